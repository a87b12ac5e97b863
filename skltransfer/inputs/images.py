"""Reading one picture from a path, encoded bytes, a PIL image or an array.

One rule for each kind of picture:

- The EXIF orientation is applied. Colour profiles are ignored.
- Alpha, of channels, palettes and transparent colours, is laid over white.
- 1-bit is black and white; 16-bit grey is scaled from 0-65535; CMYK, YCbCr and HSV are
  converted by Pillow's formulas.
- The first frame of animations and the first page of documents counts; of PIL images, the
  frame they stand at.
- JPEGs at least twice as large as needed both ways are decoded reduced.
- Files of more than `MAX_PIXELS` pixels, after that reduction, or with a side longer than
  `MAX_SIDE` are refused by their header.

No setting of Pillow is changed. Its own limit, which warns of files that are not even decoded,
plays no part unless it was lowered.
"""

from __future__ import annotations

import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np

# Importing a plugin registers its format.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ._errors import ImageReadError, read_error
from ._rule import BLACK_TO_WHITE, PixelRule
from .arrays import as_picture, to_rgb
from .resizing import draft_size, resize

with suppress(ImportError):  # it came with Pillow 11.3
    from PIL import AvifImagePlugin  # noqa: F401

MAX_PIXELS = 2**26
"""Most pixels decoded of one file: 67 million, more than cameras take but for JPEGs, which are
decoded reduced. Reading so many takes 0.8 GB for a moment, with alpha or in WebP 1.3."""

MAX_SIDE = 65_535
"""Longest side of a file, as in JPEG: Pillow's time grows with the square of a line's length."""

_MAX_REDUCED_FROM = 4 * MAX_PIXELS
"""Most pixels of a JPEG that is decoded reduced: its Huffman codes are all read."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "HEIF")
"""Formats read. HEIF is there when the user has registered a plugin for it."""

_SIXTEEN_BITS = (0.0, 65535.0)

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_SIGNATURES = (
    (b"", "it is empty. Copy or download it again."),
    (b"version https://git-lfs", "it is a Git LFS pointer. Run git lfs pull to get the file."),
    (b"%PDF", "it is a PDF. Export its pages as PNG."),
    (b"PK\x03\x04", "it is a ZIP archive. Unpack it."),
    (b"\x93NUMPY", "it is a NumPy file. Hand over the array that np.load gives."),
    (b"<svg", "it is an SVG drawing. Export it as PNG."),
    (b"<", "it is text (HTML or XML), as a failed download leaves. Download it again."),
)

_NO_VALUE = "there is no value. Fill it in, or leave the row out."

_reading_pil_images = threading.Lock()
"""PIL images load lazily and may stand in several rows, but are not thread-safe."""


def decode(source: Any, rule: PixelRule, index: int) -> np.ndarray:
    """Read one picture and resize it.

    Parameters
    ----------
    source : str, path-like, bytes, bytearray, memoryview, PIL.Image.Image, ndarray or None
        A path may begin with ``~``. Arrays are (h, w) or (h, w, c) with c of 1 (grey),
        2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha). None is a missing value, an error.
    rule : PixelRule
        Size wanted, and the range of values in arrays.
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
        When an array is not a picture.
    """
    if isinstance(source, Image.Image):
        pixels = _read_pil_image(source, index)
    elif isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
        pixels = _read_encoded(source, rule, index)
    elif source is None:
        raise missing_value(index)
    else:
        pixels = to_rgb(as_picture(np.asarray(source), index), rule.pixel_range)
    return resize(pixels, rule.size, rule.resize)


def raw_pixels(image: Image.Image, index: int) -> np.ndarray:
    """Return the upright pixels of a PIL image as an array, before scaling; for its digest."""
    with _reading_pil_images, _naming_the_row(image, index):
        image.load()
        return _upright_pixels(image)[0]


@contextmanager
def open_path(path: str | os.PathLike, index: int) -> Iterator[BinaryIO]:
    """Open a file for reading, and name the row in every error of its reading.

    Parameters
    ----------
    path : str or path-like
        ``~`` stands for the home directory. URLs are refused.
    index : int
        The row, for messages.

    Yields
    ------
    file object
        Opened in binary mode.

    Raises
    ------
    ImageReadError
        When there is no such file, or it is not a regular file, or it cannot be read.
    """
    with _naming_the_row(path, index), open(_existing_file(path), "rb") as file:
        yield file


def missing_file(path: str | os.PathLike | None) -> str | None:
    """Say why there is no file to read at a path, or no path; None if there is one."""
    if path is None:
        return _NO_VALUE
    try:
        _existing_file(path)
    except Exception as error:
        return _reason(error)
    return None


def _existing_file(path: str | os.PathLike) -> str:
    """Return the name of a regular file that is there."""
    name = local_path(path)
    mode = os.stat(name).st_mode
    if stat.S_ISDIR(mode):
        raise _Unreadable("it is a directory. List its files, or use images_from_folder.")
    # Opening a pipe would wait for its writer.
    if not stat.S_ISREG(mode):
        raise _Unreadable("it is not a regular file. Give the path of an image file.")
    return name


def local_path(path: str | os.PathLike) -> str:
    """Return the name of a local file, with ``~`` replaced; refuse URLs and nothing."""
    name = os.path.expanduser(os.fsdecode(path))
    if _URL.match(name):
        raise _Unreadable("it is a URL, and nothing is downloaded. Download it first.")
    if not name or "\0" in name:
        fault = "holds a null character" if name else "is empty"
        raise _Unreadable(f"the path {fault}. Give the path of an image file.")
    return name


def missing_value(index: int) -> ImageReadError:
    """Return the error for a row that holds nothing."""
    return read_error(index, None, _NO_VALUE)


class _Unreadable(Exception):
    """Carries a reason, to which the row is added further up."""


@contextmanager
def _naming_the_row(source: Any, index: int) -> Iterator[None]:
    """Turn whatever goes wrong in reading a source into an error that names the row."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise read_error(index, source, _reason(error)) from error


def _reason(error: Exception) -> str:
    """Say what an exception of Pillow or the file system means, and the way out."""
    if isinstance(error, _Unreadable):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # plugins look at parts of images too
        return _too_large("too many")
    if isinstance(error, FileNotFoundError):
        return "there is no such file. Check the path and the working directory."
    if isinstance(error, PermissionError):
        return "permission denied. Make the file readable."
    if isinstance(error, OSError) and error.strerror:  # Pillow's own have no such text
        return f"the system cannot open it ({error.strerror}). Check the path."
    detail = str(error) or type(error).__name__
    return f"it is damaged or truncated ({detail}). Replace the file, or leave the row out."


# Encoded images ----------------------------------------------------------------------------


def _read_encoded(source: Any, rule: PixelRule, index: int) -> np.ndarray:
    """Read a path or encoded bytes as pixels, see `arrays.to_rgb`, about as large as needed."""
    if isinstance(source, (str, os.PathLike)):
        with open_path(source, index) as file:
            return _read_file(file, rule)
    with _naming_the_row(source, index):
        return _read_file(io.BytesIO(source), rule)


def _read_file(file: BinaryIO, rule: PixelRule) -> np.ndarray:
    pixels, pixel_range = _decode_file(file, rule)  # frees the memory of Pillow's image
    return to_rgb(pixels, pixel_range)


def _decode_file(file: BinaryIO, rule: PixelRule) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the pixels of a file as `_upright_pixels` does."""
    with _identified(file) as image:
        header_size = image.size
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            _reduce_jpeg(image, rule)
        _check_pixels(image, header_size)
        image.load()
        return _upright_pixels(image)


def _identified(file: BinaryIO) -> Image.Image:
    """Open an image by its header, as `PIL.Image.open` does.

    That function also tries formats which run other programs or which hardly any file is
    in, and applies a process-wide limit by a warning, which threads cannot silence.
    """
    start = file.read(64)
    for name in _FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is not None and accepts(start[:16]) is True:
            file.seek(0)
            # Without a name, so that no plugin maps the file into memory.
            return factory(file, "")
    raise _Unreadable(_unknown_content(start))


def _unknown_content(start: bytes) -> str:
    """Say what data that no format accepts seem to be."""
    for signature, meaning in _SIGNATURES:
        if start.lstrip().startswith(signature) if signature else not start:
            return meaning
    if start[4:8] == b"ftyp":
        return "it is HEIC, AVIF or a video. Convert it, or register a Pillow plugin for it."
    kind = "text" if start.isascii() and b"\0" not in start else "data"
    return (
        f"it is {kind} of no known image format, beginning {start[:16]!r}. Read are JPEG, PNG, "
        "GIF, BMP, TIFF, WebP, AVIF and PPM; open others yourself and hand over PIL images."
    )


def _reduce_jpeg(image: JpegImagePlugin.JpegImageFile, rule: PixelRule) -> None:
    """Have a JPEG decoded at the fraction that fits."""
    turned = _orientation(image) >= 5
    height, width = image.size if turned else image.size[::-1]
    wanted = draft_size((height, width), rule.size, rule.resize)
    image.draft(None, wanted if turned else wanted[::-1])


def _check_pixels(image: Image.Image, header_size: tuple[int, int]) -> None:
    """Refuse an image whose header announces more than is good for memory and time."""
    # Progressive files keep all coefficients, whatever the size they are decoded at.
    decoded = header_size if "progressive" in image.info else image.size
    fits = _pixels(decoded) <= MAX_PIXELS and _pixels(header_size) <= _MAX_REDUCED_FROM
    if not fits or max(header_size) > MAX_SIDE:
        raise _Unreadable(_too_large("{:,}x{:,}".format(*header_size)))


def _too_large(announced: str) -> str:
    return (
        f"its header announces {announced} pixels, and at most {MAX_PIXELS:,} are decoded, "
        f"{MAX_SIDE:,} on a side. Make it smaller, or cut it into tiles."
    )


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


# PIL images --------------------------------------------------------------------------------


def _read_pil_image(image: Image.Image, index: int) -> np.ndarray:
    """Read a PIL image in memory, or opened lazily, as pixels, see `arrays.to_rgb`."""
    with _reading_pil_images, _naming_the_row(image, index):
        image.load()
        return to_rgb(*_upright_pixels(image))


def _upright_pixels(image: Image.Image) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the pixels of a loaded image, its orientation applied, and their range."""
    array, pixel_range = _stored_pixels(image)
    if 0 in array.shape:
        raise _Unreadable("it has no pixels.")
    picture = array if array.ndim == 3 else array[..., np.newaxis]
    return _oriented(picture, _orientation(image)), pixel_range


def _stored_pixels(image: Image.Image) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the pixels of a loaded image as they are stored, and their range."""
    if image.mode.startswith("I;16"):
        return _sixteen_bits(image), _SIXTEEN_BITS
    if image.mode == "I":
        return _checked_integers(np.asarray(image)), _SIXTEEN_BITS
    if image.mode == "F":
        return _checked_floats(np.asarray(image)), BLACK_TO_WHITE
    return np.asarray(_in_plain_mode(image)), BLACK_TO_WHITE


def _in_plain_mode(image: Image.Image) -> Image.Image:
    """Convert to the mode among L, LA, RGB and RGBA that keeps all of an image."""
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("LA", "La") else "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    if image.mode == "LAB":
        raise _Unreadable("its colours are in CIELAB. Convert it to RGB with PIL.ImageCms.")
    return image if image.mode == mode else image.convert(mode)


def _sixteen_bits(image: Image.Image) -> np.ndarray:
    """Return 16-bit grey, its transparent grey level as white."""
    array = np.asarray(image)
    transparent = image.info.get("transparency")
    return array if transparent is None else np.where(array == transparent, 65535, array)


def _checked_integers(array: np.ndarray) -> np.ndarray:
    """Return 32-bit integers that are plainly 16-bit grey levels."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high > 65535 or 0 < high <= 255:
        raise _Unreadable(
            f"its mode is I and its integers reach from {low} to {high}, so their scale is not "
            "known (0 to 65535 is expected). Hand over an array, and give pixel_range."
        )
    return array


def _checked_floats(array: np.ndarray) -> np.ndarray:
    """Return floats that are plainly grey levels of 0 to 255."""
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if not (low >= 0 and (high == 0 or 1 < high <= 255)):
        raise _Unreadable(
            f"its mode is F and its floats reach from {low:g} to {high:g}, so their scale is not "
            "known (0 to 255 is expected). Hand over an array, and give pixel_range."
        )
    return array


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged EXIF data count as upright."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever the parser stumbles on, the picture itself is fine
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def _oriented(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view that undoes one of the eight EXIF orientations."""
    if orientation >= 5:
        picture = picture.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return picture
