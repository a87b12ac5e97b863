"""Decoded images in one common form, whichever library decoded them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE
from skltransfer.inputs.images.levels import SIXTEEN_BITS, Levels

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""

Pixels: TypeAlias = NDArray[np.generic]


class StoredImage(Protocol):
    """A decoded image that returns its pixels part by part.

    Attributes
    ----------
    size : tuple of two int
        Width and height.
    orientation : int
        The EXIF orientation that is to be undone, 1 to 8.
    levels : Levels
        What the numbers mean.
    opaque : float
        The alpha value of an opaque pixel. Alpha is the last channel of images with 2 or 4
        channels.
    """

    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def orientation(self) -> int: ...  # noqa: D102

    @property
    def levels(self) -> Levels: ...  # noqa: D102

    @property
    def opaque(self) -> float: ...  # noqa: D102

    def pixels(self, box: Box) -> Pixels:
        """Return a part, of shape (h, w, c) with c of 1 to 4 as in `arrays.to_rgb`."""
        ...


@dataclass(frozen=True)
class PilPixels:
    """A loaded PIL image."""

    image: Image.Image
    levels: Levels
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.size

    @property
    def opaque(self) -> float:
        """The alpha value of an opaque pixel.

        For deep images, it is 65535, because only those of 16 bits have alpha. For others, it is
        the file's value of white.
        """
        ends = SIXTEEN_BITS if self.levels.is_deep else self.levels.ends or BLACK_TO_WHITE
        return ends[1]

    def pixels(self, box: Box) -> Pixels:
        """Return a part; images of 8 bits as L, LA, RGB or RGBA, whichever keeps all channels."""
        return _with_channels(_numbers(_part(self.image, box)))


@dataclass(frozen=True)
class ArrayPixels:
    """An image that was decoded to an array of shape (h, w, c)."""

    array: Pixels
    levels: Levels
    orientation: int = 1
    opaque: float = 255.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.array.shape[1], self.array.shape[0]

    def pixels(self, box: Box) -> Pixels:
        """Return a part."""
        left, top, right, bottom = box
        return self.array[top:bottom, left:right]


def _part(image: Image.Image, box: Box) -> Image.Image:
    return image if box == (0, 0, *image.size) else image.crop(box)


def _numbers(image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16"):
        return _sixteen_bits(image)
    return np.asarray(image if image.mode in ("I", "F") else _in_plain_mode(image))


def _in_plain_mode(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("LA", "La") else "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _sixteen_bits(image: Image.Image) -> Pixels:
    """Return 16-bit grey, with alpha if one grey level is transparent."""
    array = np.asarray(image).astype(np.uint16)
    transparent = image.info.get("transparency")
    if transparent is None:
        return array
    return np.dstack([array, np.where(array == transparent, 0, 65535).astype(np.uint16)])


def _with_channels(array: Pixels) -> Pixels:
    return array if array.ndim == 3 else array[..., np.newaxis]


def separated(array: NDArray[np.generic], opaque: float) -> NDArray[np.float32]:
    """Undo a multiplication by alpha: divide the colours by the last channel."""
    values = array.astype(np.float32)
    alpha = values[..., -1:]
    values[..., :-1] *= np.divide(opaque, alpha, out=np.zeros_like(alpha), where=alpha > 0)
    return values
