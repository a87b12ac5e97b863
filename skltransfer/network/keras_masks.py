"""The masks that Keras attaches to tensors: finding and attaching them."""

from __future__ import annotations

from typing import Any


def carries_mask(tensor: Any) -> bool:
    """Return whether a mask is attached to a tensor."""
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
    """Return the same tensor with a mask attached."""
    import keras

    class Masked(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return keras.ops.multiply(inputs, 1)  # a new tensor: the same one would keep its mask

        def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
            return mask

    return Masked(dtype=tensor.dtype)(tensor)
