"""16-bit colours in PNG and TIFF; Pillow by itself keeps only their upper 8 bits."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from skltransfer.inputs.images.levels import SIXTEEN_BITS, Levels, unsigned
from skltransfer.inputs.images.orientation import orientation_of
from skltransfer.inputs.images.stored import Box, separated

_LEVELS = unsigned(16)
_INKS = Levels("inks of 16 bits", SIXTEEN_BITS)
_RAW_MODE = re.compile(r"(LA|RGBX|RGBA|RGBa|RGB|CMYK);16([LBN])")
_OTHER_BYTE = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
"""For each byte order, the one with which Pillow takes the lower byte for the upper one."""


def has_sixteen_bit_colours(image: ImageFile.ImageFile) -> bool:
    """Whether an image that is not loaded yet holds colours of 16 bits."""
    return _raw_mode(image) is not None


def has_inks(image: ImageFile.ImageFile) -> bool:
    """Whether an image that is not loaded yet holds 16-bit CMYK."""
    found = _raw_mode(image)
    return found is not None and found.group(1) == "CMYK"


def sixteen_bit_colours(
    image: ImageFile.ImageFile, again: Callable[[], ImageFile.ImageFile]
) -> SixteenBitColours:
    """Decode 16-bit colours in full.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        The image, opened but not loaded.
    again : callable
        Opens the same image once more.
    """
    found = _raw_mode(image)
    assert found is not None
    channels, order = found.groups()
    halves: tuple[ImageFile.ImageFile, ...]
    if channels == "LA":  # four bytes, which Pillow takes for four channels
        halves = (_decoded(image, "RGBA"),)
    else:
        stored = channels.upper()  # as RGBa, Pillow would divide each byte by alpha
        halves = (
            _decoded(image, f"{stored};16{order}"),
            _decoded(again(), f"{stored};16{_OTHER_BYTE[order]}"),
        )
    return SixteenBitColours(halves, orientation_of(image), channels)


def _raw_mode(image: ImageFile.ImageFile) -> re.Match[str] | None:
    arguments = image.tile[0][3] if image.tile else None
    name = arguments if isinstance(arguments, str) else arguments[0] if arguments else None
    return _RAW_MODE.fullmatch(name) if isinstance(name, str) else None


def _decoded(image: ImageFile.ImageFile, raw_mode: str) -> ImageFile.ImageFile:
    """Load an image, with its bytes read in another raw mode."""
    image.tile = [_with_raw_mode(tile, raw_mode) for tile in image.tile]
    image.load()
    return image


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    arguments = raw_mode if isinstance(tile[3], str) else (raw_mode, *tile[3][1:])
    return type(tile)(*tile[:3], arguments) if hasattr(tile, "_fields") else (*tile[:3], arguments)


@dataclass(frozen=True)
class SixteenBitColours:
    """A decoded image of 16-bit colours, with upper and lower bytes in separate images.

    Attributes
    ----------
    halves : tuple of one or two PIL images
        The upper and the lower bytes; or one image in which they alternate.
    orientation : int
        The EXIF orientation that is to be undone.
    channels : str
        As Pillow names them: "LA", "RGB", "RGBX", "RGBA", "RGBa" (multiplied by alpha) or "CMYK".
    """

    halves: tuple[ImageFile.ImageFile, ...]
    orientation: int
    channels: str

    opaque: float = SIXTEEN_BITS[1]

    @property
    def levels(self) -> Levels:
        """What the numbers mean; ``pixel_range`` does not apply to CMYK."""
        return _INKS if self.channels == "CMYK" else _LEVELS

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.halves[0].size

    def pixels(self, box: Box) -> NDArray[np.generic]:
        """Return a part, with two, three or four channels."""
        parts = [np.asarray(half.crop(box)).astype(np.uint16) for half in self.halves]
        upper, lower = parts if parts[1:] else (parts[0][..., ::2], parts[0][..., 1::2])
        joined = upper * np.uint16(256) + lower
        transparent = self.halves[0].info.get("transparency")
        if transparent is not None:
            alpha = np.where((joined == transparent).all(axis=-1), 0, 65535)
            return np.dstack([joined, alpha.astype(np.uint16)])
        if self.channels == "CMYK":
            return _without_inks(joined)
        return separated(joined, self.opaque) if self.channels == "RGBa" else joined


def _without_inks(cmyk: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return RGB by Pillow's formula: what an ink and black together leave of white."""
    left = np.float32(SIXTEEN_BITS[1]) - cmyk
    return left[..., :3] * (left[..., 3:] / np.float32(SIXTEEN_BITS[1]))
