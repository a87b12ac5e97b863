"""Reading one image from a path, encoded bytes, a PIL image or an array.

One rule for each kind of image:

- The EXIF orientation is applied. Colour profiles are ignored.
- Images with transparency (an alpha channel, or transparent colours) are composited over white.
- In unsigned integers, 0 is black and the largest value that the header allows is white, or the
  reverse if the header says so. If such integers have more than 8 bits, an explicit ``pixel_range``
  overrides this. Signed integers and floats need a ``pixel_range``, except floats that are plainly
  0-255 and 32-bit integers that are plainly 0-65535. 16-bit colours keep all their bits.
- CMYK, YCbCr and HSV are converted by Pillow's formulas.
- Only the first frame of an animation and the first page of a document are read. A PIL image is
  read at its current frame.
- JPEGs at least twice as large as needed in both directions are decoded at a reduced size.
- Files with more than `MAX_PIXELS` pixels after this reduction, or with a side longer than 65,535,
  are refused before they are decoded. PIL images that were opened from such files are refused too.
- An image is either read or refused. Pillow's warnings, which are about damaged metadata, are
  suppressed.

Pillow's settings are not changed. Pillow's own limit on pixels has no effect unless the user
lowered it.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from skltransfer.inputs.digests import digest_pil_pixels
from skltransfer.inputs.errors import ImageReadError, Unreadable
from skltransfer.inputs.images.arrays import as_image, to_rgb
from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE
from skltransfer.inputs.images.limits import MAX_PIXELS
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.reader import reader
from skltransfer.inputs.images.resizing import resize_rows
from skltransfer.inputs.images.upright import UprightImage
from skltransfer.inputs.reading import missing_value, naming_the_row, open_path

if TYPE_CHECKING:
    from skltransfer.inputs.images.levels import Levels
    from skltransfer.inputs.images.stored import StoredImage

__all__ = ["MAX_PIXELS", "decode", "deep_values", "pil_digest"]

_WHITE = np.float32(BLACK_TO_WHITE[1])

_reading_pil_images = threading.Lock()
"""PIL images load lazily and may occur in several rows, but are not thread-safe."""


def decode(source: Any, rule: ImagePreprocessing, index: int) -> np.ndarray:
    """Read one image and resize it.

    Parameters
    ----------
    source : str, path-like, bytes, bytearray, memoryview, PIL.Image.Image, ndarray or None
        A path may begin with ``~``. Arrays are (h, w) or (h, w, c) with c of 1 (grey), 2 (grey,
        alpha), 3 (RGB) or 4 (RGB, alpha). None is a missing value and raises an error.
    rule : ImagePreprocessing
        Target size, and the range of values in arrays.
    index : int
        The row, for messages.

    Returns
    -------
    ndarray of shape (h, w, 3), dtype float32
        RGB in 0 to 255, C-contiguous.

    Raises
    ------
    ImageReadError
        When a path, bytes or a PIL image cannot be read.
    TypeError, ValueError
        When an array is not an image.
    """
    if isinstance(source, Image.Image):
        with _reading_pil_images, naming_the_row(source, index):
            return _read_stored(reader().load_pil_image(source, is_explicit=rule.is_explicit), rule)
    if isinstance(source, (str, os.PathLike)):
        with open_path(source, index) as file:
            return _read_file(file, rule)
    if isinstance(source, (bytes, bytearray, memoryview)):
        with naming_the_row(source, index):
            return _read_file(io.BytesIO(source), rule)
    if source is None:
        raise missing_value(index)
    return _read_array(as_image(np.asarray(source), index), rule)


def pil_digest(image: Image.Image, index: int) -> bytes:
    """Return the digest of a PIL image: of its upright pixels and of what they mean."""
    with _reading_pil_images, naming_the_row(image, index):
        stored = reader().load_pil_image(image, is_explicit=False)
        upright = UprightImage(stored)
        return digest_pil_pixels(upright.rows(0, upright.shape[0]), repr(stored.levels))


def deep_values(
    source: Any, rule: ImagePreprocessing, index: int
) -> list[tuple[float, float, Levels]]:
    """Return the range of the numbers of a row, if they have more than 8 bits.

    Parameters
    ----------
    source : str, path-like, bytes, bytearray, memoryview or PIL.Image.Image
        What the row holds.
    rule : ImagePreprocessing
        How it is read.
    index : int
        The row.

    Returns
    -------
    list of (float, float, Levels)
        One item: the smallest and the largest number, and what they mean. The list is empty for
        other rows, and for rows that cannot be read, because reading them later raises an error
        that says why.
    """
    try:
        stored = _deep_image(source, rule, index)
        upright = UprightImage(stored) if stored is not None else None
    except (ImageReadError, Unreadable):
        return []
    if stored is None or upright is None:
        return []
    pixels = upright.rows(0, upright.shape[0])
    colours = pixels[..., : max(1, pixels.shape[2] - 1)] if pixels.shape[2] in (2, 4) else pixels
    return [(float(colours.min()), float(colours.max()), stored.levels)]


def _deep_image(source: Any, rule: ImagePreprocessing, index: int) -> StoredImage | None:
    if isinstance(source, Image.Image):
        return _deep_pil_image(source, rule, index)
    if isinstance(source, (str, os.PathLike)):
        with open_path(source, index) as file:
            return _deep_file(file, rule)
    with naming_the_row(source, index):
        return _deep_file(io.BytesIO(source), rule)


def _deep_file(file: BinaryIO, rule: ImagePreprocessing) -> StoredImage | None:
    if not reader().holds_deep_numbers(file):
        return None
    file.seek(0)
    return reader().load_file(file, rule)


def _deep_pil_image(image: Image.Image, rule: ImagePreprocessing, index: int) -> StoredImage | None:
    if image.mode[:1] not in ("I", "F"):
        return None
    with _reading_pil_images, naming_the_row(image, index):
        return reader().load_pil_image(image, is_explicit=rule.is_explicit)


def _read_file(file: BinaryIO, rule: ImagePreprocessing) -> np.ndarray:
    return _read_stored(reader().load_file(file, rule), rule)


def _read_stored(stored: StoredImage, rule: ImagePreprocessing) -> np.ndarray:
    upright = UprightImage(stored)
    ends = stored.levels.pixel_range(rule)
    return _resized(upright.rows, upright.shape, ends, rule, stored.opaque)


def _read_array(image: np.ndarray, rule: ImagePreprocessing) -> np.ndarray:
    def rows(top: int, bottom: int) -> np.ndarray:
        return image[top:bottom]

    return _resized(rows, image.shape[:2], rule.pixel_range, rule)


def _resized(
    rows: Callable[[int, int], np.ndarray],
    shape: tuple[int, int],
    pixel_range: tuple[float, float] | None,
    rule: ImagePreprocessing,
    opaque: float | None = None,
) -> np.ndarray:
    """Scale to 0-255, composite over white and resize, a few rows at a time."""

    def rgb_rows(top: int, bottom: int) -> np.ndarray:
        part = rows(top, bottom)
        return to_rgb(part, pixel_range, opaque=opaque, clip=rule.clips)

    resized = resize_rows(rgb_rows, shape, rule.size, rule.resize)
    if resized.shape[:2] == tuple(shape):
        return resized  # possibly the user's own array, which must not change
    np.minimum(resized, _WHITE, out=resized)  # rounded weights may sum to more than 1
    return resized
