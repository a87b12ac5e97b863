"""Reading one image from a path, encoded bytes, a PIL image or an array.

One rule for each kind of image:

- The EXIF orientation is applied. Colour profiles are ignored.
- Alpha (channels, palettes and transparent colours) is composited over white.
- 1-bit is black and white; 16-bit grey is scaled from 0-65535; CMYK, YCbCr and HSV are
  converted by Pillow's formulas.
- Of animations and documents, the first frame or page is read; of PIL images, the current frame.
- JPEGs at least twice as large as needed in both directions are decoded at a reduced size.
- Files with more than `MAX_PIXELS` pixels after that reduction, or with a side longer than 65,535,
  are refused from their header; so are PIL images opened from such files.
- An image is read or refused; Pillow's warnings about damaged metadata are suppressed.

No setting of Pillow is changed. Pillow's own limit, which warns even of files that are not decoded,
has no effect unless it was lowered.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

from skltransfer.inputs.images.arrays import as_image, to_rgb
from skltransfer.inputs.images.files import check_pixels, load_file, naming_the_limit
from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE
from skltransfer.inputs.images.limits import MAX_PIXELS
from skltransfer.inputs.images.pil_images import UprightImage
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.resizing import resize_rows
from skltransfer.inputs.reading import missing_value, naming_the_row, open_path

__all__ = ["MAX_PIXELS", "decode", "raw_pixels"]

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
            _load(source)
            return _read_image(source, rule)
    if isinstance(source, (str, os.PathLike)):
        with open_path(source, index) as file:
            return _read_file(file, rule)
    if isinstance(source, (bytes, bytearray, memoryview)):
        with naming_the_row(source, index):
            return _read_file(io.BytesIO(source), rule)
    if source is None:
        raise missing_value(index)
    return _read_array(as_image(np.asarray(source), index), rule)


def raw_pixels(image: Image.Image, index: int) -> np.ndarray:
    """Return the upright pixels of a PIL image as an array, before scaling; for its digest."""
    with _reading_pil_images, naming_the_row(image, index):
        _load(image)
        upright = UprightImage(image)
        return upright.rows(0, upright.shape[0])


def _load(image: Image.Image) -> None:
    """Load a user's PIL image; images opened from files have the same limits as files."""
    if isinstance(image, ImageFile.ImageFile):
        check_pixels(image, image.size)
    with naming_the_limit():
        image.load()


def _read_file(file: BinaryIO, rule: ImagePreprocessing) -> np.ndarray:
    with load_file(file, rule) as image:
        return _read_image(image, rule)


def _read_image(image: Image.Image, rule: ImagePreprocessing) -> np.ndarray:
    upright = UprightImage(image)
    return _resized(upright.rows, upright.shape, upright.pixel_range, rule)


def _read_array(image: np.ndarray, rule: ImagePreprocessing) -> np.ndarray:
    def rows(top: int, bottom: int) -> np.ndarray:
        return image[top:bottom]

    return _resized(rows, image.shape[:2], rule.pixel_range, rule)


def _resized(
    rows: Callable[[int, int], np.ndarray],
    shape: tuple[int, int],
    pixel_range: tuple[float, float] | None,
    rule: ImagePreprocessing,
) -> np.ndarray:
    """Scale to 0-255, composite over white and resize, a few rows at a time."""

    def rgb_rows(top: int, bottom: int) -> np.ndarray:
        return to_rgb(rows(top, bottom), pixel_range)

    resized = resize_rows(rgb_rows, shape, rule.size, rule.resize)
    if resized.shape[:2] == tuple(shape):
        return resized  # possibly the user's own array
    np.minimum(resized, _WHITE, out=resized)  # rounded weights may sum to more
    return resized
