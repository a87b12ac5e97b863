"""Image preprocessing as layers of a Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Size


def image_input(size: Size, pixel_range: tuple[float, float]) -> tuple[KerasTensor, KerasTensor]:
    """Return an input for RGB images of any size, and the images stretched to `size`."""
    import keras

    low, high = pixel_range
    factor = 255.0 / (high - low)
    source = keras.Input((None, None, 3), dtype="float32", name="pixels")
    pixels = keras.layers.Rescaling(factor, -low * factor, dtype="float32")(source)
    return source, resized(pixels, size)


def resized(images: KerasTensor, size: Size) -> KerasTensor:
    """Resize with an antialiased bilinear filter, as `resizing` does.

    This is not a Resizing layer, because Keras passes its ``training=True`` on to all later layers.
    """
    from keras import ops

    return ops.image.resize(
        images, size, interpolation="bilinear", antialias=True, data_format="channels_last"
    )
