"""The masks that Keras sends along with tensors: where they are, and how to put one there."""

from __future__ import annotations

from typing import Any


def carries_mask(tensor: Any) -> bool:
    """Whether a mask goes along with a tensor."""
    import keras

    class Probe(keras.layers.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            self.has_met = mask is not None
            return inputs

    probe = Probe(dtype=tensor.dtype)
    probe.supports_masking = True
    probe(tensor)
    return bool(probe.has_met)


def with_mask(tensor: Any, mask: Any) -> Any:
    """The same tensor, with a mask that goes along."""
    import keras

    class Masked(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return keras.ops.multiply(inputs, 1)  # on the tensor itself Keras would keep its own

        def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
            return mask

    return Masked(dtype=tensor.dtype)(tensor)
