"""Operations computed in another way than in Keras, so that all rows of a batch round alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skltransfer.backend import add_bias

if TYPE_CHECKING:
    from keras import KerasTensor


def layer_normalised(
    x: KerasTensor, gamma: KerasTensor | None, beta: KerasTensor | None, epsilon: float
) -> KerasTensor:
    """Normalise each position over its channels, the last axis; `gamma` and `beta` may be None.

    Keras uses TensorFlow's reciprocal square root, whose rounding depends on a number's position in
    memory. A square root and a division are rounded correctly. The maximum changes no value; it
    keeps TensorFlow's optimizer from combining the two.
    """
    from keras import ops

    x = ops.cast(x, "float32")
    mean, variance = ops.moments(x, axes=-1, keepdims=True)
    x = (x - mean) / ops.maximum(ops.sqrt(variance + epsilon), 0.0)
    x = x if gamma is None else x * ops.cast(gamma, "float32")
    return x if beta is None else add_bias(x, ops.cast(beta, "float32"))
