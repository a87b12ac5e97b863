"""Encoded images: which formats are read, and how a file becomes numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

# Importing a plugin registers its format.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images import jpeg, jpeg2000, netpbm, sixteen_bits, tiff
from skltransfer.inputs.images.levels import unsigned
from skltransfer.inputs.images.limits import refusal, too_large
from skltransfer.inputs.images.orientation import orientation_of
from skltransfer.inputs.images.pil_images import check_header, stored_pil_image
from skltransfer.inputs.images.reader import register_reader
from skltransfer.inputs.images.resizing import draft_size
from skltransfer.inputs.images.stored import PilPixels, StoredImage
from skltransfer.inputs.images.unread import unknown_content

if TYPE_CHECKING:
    from skltransfer.inputs.images.preprocessing import ImagePreprocessing

with suppress(ImportError):  # new in Pillow 11.3
    from PIL import AvifImagePlugin  # noqa: F401

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000", "HEIF")
"""Formats that are read; HEIF only if the user has registered a plugin for it."""

_INKS = (
    "it holds 16-bit CMYK, whose numbers are amounts of ink, so pixel_range cannot be applied. "
    "Convert it to RGB, or pass an array."
)
_TIFF, _JPEG = "TIFF", "JPEG"


def load_file(file: BinaryIO, rule: ImagePreprocessing) -> StoredImage:
    """Decode the first frame of a file; a large JPEG at a reduced size.

    Raises
    ------
    Unreadable, or any error of Pillow
        If the file is not a supported image, too large, or damaged.
    """
    with naming_the_limit():
        name = _format_of(file)
        if name == _TIFF:
            return _load_tiff(file, rule)
        if name == _JPEG:
            jpeg.check_coding(file)
        return _load(_opened(file, name), file, rule)


def holds_deep_numbers(file: BinaryIO) -> bool:
    """Whether the header announces anything but unsigned integers of up to 8 bits.

    Raises
    ------
    Unreadable, or any error of Pillow
        If the header is damaged.
    """
    name = _format_of(file)
    if name == _TIFF:
        return tiff.read_tags(file).is_deep
    if name == "JPEG2000":
        return jpeg2000.read_precision(file).is_deep
    if name not in ("PNG", "PPM"):
        return False
    image = _opened(file, name)
    if name == "PPM":
        return image.mode == "F" or netpbm.largest_value(image) > 255
    return image.mode.startswith("I") or sixteen_bits.has_sixteen_bit_colours(image)


def announced_format(file: BinaryIO, rule: ImagePreprocessing) -> str:
    """Return the format of a file whose header promises an image that can be decoded.

    If the file is a TIFF, only its first bytes are read.

    Raises
    ------
    Unreadable, or any error of Pillow
        If the header is damaged, or the image is not supported or too large.
    """
    with naming_the_limit():
        name = _format_of(file)
        if name == _JPEG:
            jpeg.check_coding(file)
        if name != _TIFF:
            image = _opened(file, name)
            _check_size(image, rule)
    return name


@contextmanager
def naming_the_limit() -> Iterator[None]:
    """Explain a refusal by Pillow's own limit, which plugins also apply to parts of an image."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unreadable(too_large("too many")) from error


def _format_of(file: BinaryIO) -> str:
    """Return the format that the first bytes announce.

    This replaces `PIL.Image.open`, which also tries rare formats and formats that run other
    programs, and applies a process-wide limit.
    """
    start = file.read(132)
    for name in _FORMATS:
        _, accepts = Image.OPEN.get(name, (None, None))
        if accepts is not None and accepts(start[:16]) is True:
            return name
    raise Unreadable(unknown_content(start))


def _opened(file: BinaryIO, name: str) -> ImageFile.ImageFile:
    """Open an image by its header."""
    file.seek(0)
    # Without a file name, no plugin can map the file into memory.
    return Image.OPEN[name][0](file, "")


def _check_size(image: ImageFile.ImageFile, rule: ImagePreprocessing) -> None:
    """Choose the size at which a JPEG is decoded, and refuse images that are too large."""
    header_size = image.size
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        _reduce_jpeg(image, rule)
    check_pixels(image, header_size)


def _load(image: ImageFile.ImageFile, file: BinaryIO, rule: ImagePreprocessing) -> StoredImage:
    _check_size(image, rule)
    if isinstance(image, PpmImagePlugin.PpmImageFile) and netpbm.largest_value(image) > 255:
        return netpbm.read_deep(image, file)
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        precision = jpeg2000.read_precision(file)
        jpeg2000.check_precision(precision, image.mode)
        image.load()
        return jpeg2000.stored_image(image, precision)
    if sixteen_bits.has_sixteen_bit_colours(image):
        if rule.is_explicit and sixteen_bits.has_inks(image):
            raise Unreadable(_INKS)
        return sixteen_bits.sixteen_bit_colours(image, lambda: _opened(file, str(image.format)))
    image.load()
    if isinstance(image, PngImagePlugin.PngImageFile) and image.mode.startswith("I"):
        return PilPixels(image, unsigned(16), orientation_of(image))
    return stored_pil_image(image, rule.is_explicit)


def _load_tiff(file: BinaryIO, rule: ImagePreprocessing) -> StoredImage:
    tags = tiff.read_tags(file)
    image = _opened_tiff(file) if tags.is_read_by_pillow else None
    if image is None:
        return tiff.read_by_tifffile(file, tags)
    return _load(image, file, rule)


def _opened_tiff(file: BinaryIO) -> ImageFile.ImageFile | None:
    """Open a TIFF; return None if Pillow has no mode for its numbers."""
    try:
        return _opened(file, _TIFF)
    except SyntaxError as error:
        if "mode" in str(error):
            return None
        raise


def _reduce_jpeg(image: JpegImagePlugin.JpegImageFile, rule: ImagePreprocessing) -> None:
    """Let a JPEG be decoded at 1/2, 1/4 or 1/8 of its size if that is large enough."""
    turned = orientation_of(image) >= 5
    height, width = image.size if turned else image.size[::-1]
    wanted = draft_size((height, width), rule.size, rule.resize)
    image.draft(None, wanted if turned else wanted[::-1])


def load_pil_image(image: Image.Image, *, is_explicit: bool) -> StoredImage:
    """Load a user's PIL image; if it was opened from a file, the limits on files apply."""
    if isinstance(image, ImageFile.ImageFile):
        check_pixels(image, image.size)
        check_header(image, is_explicit)
    with naming_the_limit():
        image.load()
    return stored_pil_image(image, is_explicit)


def check_pixels(image: Image.Image, header_size: tuple[int, int]) -> None:
    """Refuse an opened image that would take too much memory or time."""
    reason = refusal(image, header_size)
    if reason is not None:
        raise Unreadable(reason)


register_reader(sys.modules[__name__])
