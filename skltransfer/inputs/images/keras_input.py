"""Image preprocessing as layers of a Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Size


def image_input(
    size: Size, pixel_range: tuple[float, float], *, clip: bool
) -> tuple[KerasTensor, KerasTensor]:
    """Return an input for RGB images of any height and width, and its images stretched to `size`.

    Parameters
    ----------
    size : tuple of int
        Height and width that the network sees.
    pixel_range : tuple of two float
        The values of black and white.
    clip : bool
        Whether to clip values to the range.
    """
    import keras

    low, high = pixel_range
    factor = 255.0 / (high - low)
    source = keras.Input((None, None, 3), dtype="float32", name="pixels")
    pixels = keras.layers.Rescaling(factor, -low * factor, dtype="float32")(source)
    pixels = keras.ops.clip(pixels, 0.0, 255.0) if clip else pixels
    return source, resized(pixels, size)


def resized(images: KerasTensor, size: Size) -> KerasTensor:
    """Resize with an antialiased bilinear filter, as `resizing` does.

    No Resizing layer is used, because its default is ``training=True``, which Keras would pass on
    to all later layers.
    """
    from keras import ops

    return ops.image.resize(
        images, size, interpolation="bilinear", antialias=True, data_format="channels_last"
    )
