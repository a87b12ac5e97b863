"""A fitted classifier as a Keras model, its reading of X inside."""

from __future__ import annotations

from skltransfer.export.keras_model import image_input, rescaled, resized
from skltransfer.inputs.reading import Reading
from skltransfer.inputs.rows import CENTRE, GREY_LEVELS_PER_DEVIATION, LARGEST_DEVIATION, RowLayout


def model_input(reading: Reading):
    """Keras input for what fit saw, and the pictures of 0 to 255 that are made of it.

    Raises
    ------
    ValueError
        When pictures are cropped or padded: only stretching has an exact equal in Keras.
    """
    if reading.layout is not None:
        return _row_input(reading.layout, reading.rule.size)
    if reading.rule.resize != "stretch":
        raise ValueError(
            f"to_keras() is not available for resize={reading.rule.resize!r}: Keras crops and pads "
            "to whole pixels, which would give other probabilities. Fit with resize='stretch', or "
            "predict with the estimator itself."
        )
    return image_input(reading.rule.size, reading.rule.pixel_range or (0.0, 255.0))


def _row_input(layout: RowLayout, size: tuple[int, int]):
    """The same as ``RowLayout.pictures``, in Keras' operations."""
    import keras
    from keras import ops

    n_features, grid = len(layout.mean), layout.grid
    source = keras.Input((n_features,), dtype="float32", name="rows")
    x = rescaled(source, 1 / layout.scale, -layout.mean / layout.scale)
    x = ops.clip(x, -LARGEST_DEVIATION, LARGEST_DEVIATION) * GREY_LEVELS_PER_DEVIATION
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
