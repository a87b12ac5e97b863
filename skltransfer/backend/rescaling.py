"""Multiplication of columns by factors and addition of offsets, as a Keras layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from keras import KerasTensor


def rescaled(
    x: KerasTensor, factors: NDArray[np.floating], offsets: NDArray[np.floating]
) -> KerasTensor:
    """Return ``x * factors + offsets`` along the last axis, computed by layers that can be saved.

    The rows are treated as images of one pixel. Otherwise, Keras would apply the factors to the
    first axis if the user has set ``image_data_format="channels_first"``.
    """
    import keras
    from keras import ops

    as_pixel = (1, 1, len(factors))
    layer = keras.layers.Rescaling(
        factors.reshape(as_pixel).tolist(), offsets.reshape(as_pixel).tolist(), dtype="float32"
    )
    return ops.reshape(layer(ops.reshape(x, (-1, *as_pixel))), (-1, len(factors)))
