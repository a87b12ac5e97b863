"""JPEG 2000: the bit depth in its header. Pillow shifts the numbers to 8 or 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.levels import Levels, unsigned
from skltransfer.inputs.images.stored import ArrayPixels, PilPixels, StoredImage

_START = b"\xff\x4f\xff\x51"
"""Markers of a codestream and of its size segment."""
_N_BANDS, _FIRST_BAND = 38, 40
"""Offsets, from the marker of the size segment, of the number of bands and the first depth."""


@dataclass(frozen=True)
class Precision:
    """Bits of the bands of a JPEG 2000."""

    bits: int
    is_signed: bool

    @property
    def is_deep(self) -> bool:
        """Whether the numbers are anything but unsigned integers of up to 8 bits."""
        return self.bits > 8 or self.is_signed

    def __str__(self) -> str:
        """Describe the numbers, for messages."""
        return f"signed {self.bits}-bit integers" if self.is_signed else f"{self.bits} bits"


def read_precision(file: IO[bytes]) -> Precision:
    """Return the precision that all bands have.

    Raises
    ------
    Unreadable
        If bands differ, or if there are more bands than an image has.
    """
    file.seek(0)
    data = file.read()
    start = data.index(_START) + 2
    bands = int.from_bytes(data[start + _N_BANDS : start + _FIRST_BAND], "big")
    precisions = set(data[start + _FIRST_BAND : start + _FIRST_BAND + 3 * bands : 3])
    if not 1 <= bands <= 4:
        raise Unreadable(
            f"it is a JPEG 2000 of {bands} bands, but images have 1 to 4. Choose some of them, and "
            "pass arrays."
        )
    if len(precisions) > 1:
        raise Unreadable(
            "it is a JPEG 2000 whose bands differ in bit depth, which is not read. Pass an array."
        )
    found = precisions.pop()
    return Precision((found & 0x7F) + 1, bool(found & 0x80))


def check_precision(precision: Precision, mode: str) -> None:
    """Refuse depths that Pillow decodes wrongly: the brightest levels come out black.

    Parameters
    ----------
    precision : Precision
        What the header says.
    mode : str
        Mode of the PIL image.
    """
    if not precision.is_deep or (mode.startswith("I;16") and precision.bits <= 16):
        return
    kind = "grey" if mode in ("L", "I;16") else "colours"
    raise Unreadable(
        f"it is a JPEG 2000 of {kind} in {precision}, which Pillow does not read correctly. "
        "Convert it to PNG or TIFF, or pass an array, and give pixel_range."
    )


def stored_image(image: Image.Image, precision: Precision) -> StoredImage:
    """Return a loaded JPEG 2000 with its numbers as they were encoded."""
    if precision.is_deep:
        return _grey(np.asarray(image), precision)
    levels = Levels() if image.mode in ("P", "PA") else _shifted(precision.bits)
    return PilPixels(image, levels)


def _shifted(bits: int) -> Levels:
    """Levels of up to 8 bits, which Pillow shifts to the left."""
    return Levels(f"{bits} bits", (0.0, float(2**bits - 1 << 8 - bits)))


def _grey(array: NDArray[np.uint16], precision: Precision) -> ArrayPixels:
    """Undo Pillow's shift to 16 bits and, for signed numbers, its shift to positive ones."""
    numbers = array[..., np.newaxis].astype(np.int32) >> 16 - precision.bits
    if not precision.is_signed:
        return ArrayPixels(numbers, unsigned(precision.bits))
    return ArrayPixels(numbers - 2 ** (precision.bits - 1), Levels(str(precision), None, True))
