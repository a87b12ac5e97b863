"""The pixels of PIL images: modes, transparency and orientation, a few rows at a time."""

from __future__ import annotations

import numpy as np
from PIL import Image

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE
from skltransfer.inputs.images.orientation import orientation_of, oriented

_SIXTEEN_BITS = (0.0, 65535.0)


class UprightImage:
    """A loaded PIL image as upright numbers.

    Converting a few rows at a time avoids several copies of a large image in memory.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded; it is never modified.

    Attributes
    ----------
    shape : tuple of two int
        Height and width of the upright image.
    pixel_range : tuple of two float
        The values that mean black and white.

    Raises
    ------
    Unreadable
        If the mode does not define which values are black and white, or there are no pixels.
    """

    def __init__(self, image: Image.Image) -> None:
        if 0 in image.size:
            raise Unreadable("it has no pixels.")
        _check_mode(image)
        self._image = image
        self._orientation = orientation_of(image)
        self.shape = image.size if self._orientation >= 5 else image.size[::-1]
        sixteen_bits = image.mode == "I" or image.mode.startswith("I;16")
        self.pixel_range = _SIXTEEN_BITS if sixteen_bits else BLACK_TO_WHITE

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Return some rows of the upright image, with channels as `arrays.to_rgb` expects them."""
        array = _stored_pixels(self._part(top, bottom))
        return oriented(array if array.ndim == 3 else array[..., np.newaxis], self._orientation)

    def _part(self, top: int, bottom: int) -> Image.Image:
        """Return the part of the stored image that contains some upright rows."""
        if (top, bottom) == (0, self.shape[0]):
            return self._image
        if self._orientation in (3, 4, 7, 8):
            top, bottom = self.shape[0] - bottom, self.shape[0] - top
        if self._orientation >= 5:
            return self._image.crop((top, 0, bottom, self._image.height))
        return self._image.crop((0, top, self._image.width, bottom))


# Modes -------------------------------------------------------------------------------------


def _stored_pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of a loaded image as they are stored."""
    if image.mode.startswith("I;16"):
        return _sixteen_bits(image)
    return np.asarray(image if image.mode in ("I", "F") else _in_plain_mode(image))


def _in_plain_mode(image: Image.Image) -> Image.Image:
    """Convert to the mode among L, LA, RGB and RGBA that preserves the whole image."""
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("LA", "La") else "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _sixteen_bits(image: Image.Image) -> np.ndarray:
    """Return 16-bit grey, with its transparent grey level as white."""
    array = np.asarray(image)
    transparent = image.info.get("transparency")
    return array if transparent is None else np.where(array == transparent, 65535, array)


def _check_mode(image: Image.Image) -> None:
    """Refuse modes whose values do not define black and white."""
    if image.mode == "LAB":
        raise Unreadable("its colours are in CIELAB. Convert it to RGB with PIL.ImageCms.")
    if image.mode == "I":
        _check_integers(np.asarray(image))
    if image.mode == "F":
        _check_floats(np.asarray(image))


def _check_integers(array: np.ndarray) -> None:
    """Refuse 32-bit integers that are not clearly 16-bit grey levels."""
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535 or 0 < high <= 255:
        raise Unreadable(
            f"its mode is I and its integers reach from {low} to {high}, so their scale is not "
            "known (0 to 65535 is expected). Hand over an array, and give pixel_range."
        )


def _check_floats(array: np.ndarray) -> None:
    """Refuse floats that are not clearly grey levels of 0 to 255."""
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and (high == 0 or 1 < high <= 255)):
        raise Unreadable(
            f"its mode is F and its floats reach from {low:g} to {high:g}, so their scale is not "
            "known (0 to 255 is expected). Hand over an array, and give pixel_range."
        )
