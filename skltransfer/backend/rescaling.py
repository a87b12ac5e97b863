"""Factors and offsets of columns as a Keras layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from keras import KerasTensor


def rescaled(
    x: KerasTensor, factors: NDArray[np.floating], offsets: NDArray[np.floating]
) -> KerasTensor:
    """``x * factors + offsets`` along the last axis of rows, as layers that can be saved.

    As images of one pixel: of fewer than three axes Keras takes factors for those of the first
    axis where the user has set ``image_data_format="channels_first"``.
    """
    import keras
    from keras import ops

    as_pixel = (1, 1, len(factors))
    layer = keras.layers.Rescaling(
        factors.reshape(as_pixel).tolist(), offsets.reshape(as_pixel).tolist(), dtype="float32"
    )
    return ops.reshape(layer(ops.reshape(x, (-1, *as_pixel))), (-1, len(factors)))
