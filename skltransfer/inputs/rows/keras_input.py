"""Rows of numbers turned into images, as layers of a Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skltransfer.inputs.images.keras_input import resized
from skltransfer.inputs.moments import standardized_tensor
from skltransfer.inputs.rows.layout import (
    CENTRE,
    GREY_LEVELS_PER_DEVIATION,
    TabularToImage,
)

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Size


def tabular_input(layout: TabularToImage, size: Size) -> tuple[KerasTensor, KerasTensor]:
    """Return an input for rows, and the result of ``TabularToImage.images``."""
    import keras
    from keras import ops

    n_features, grid = len(layout.mean), layout.grid
    source = keras.Input((n_features,), dtype="float32", name="rows")
    x = standardized_tensor(source, layout.mean, layout.scale) * GREY_LEVELS_PER_DEVIATION
    x = ops.pad(x, ((0, 0), (0, grid * grid - n_features)))
    x = ops.reshape(x, (-1, grid, grid, 1))
    if grid > min(size):
        x = resized(x, size)
    else:
        factor = min(size) // grid
        x = ops.repeat(ops.repeat(x, factor, axis=1), factor, axis=2)
        free = [side - factor * grid for side in size]
        x = ops.pad(x, ((0, 0), (0, free[0]), (0, free[1]), (0, 0)))
    return source, ops.repeat(x + CENTRE, 3, axis=3)
