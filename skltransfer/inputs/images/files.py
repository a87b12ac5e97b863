"""Encoded images: which formats are read, and how a file becomes a loaded PIL image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

# Importing a plugin registers its format.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.limits import refusal, too_large
from skltransfer.inputs.images.orientation import orientation_of
from skltransfer.inputs.images.resizing import draft_size

if TYPE_CHECKING:
    from skltransfer.inputs.images.preprocessing import ImagePreprocessing

with suppress(ImportError):  # new in Pillow 11.3
    from PIL import AvifImagePlugin  # noqa: F401

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "HEIF")
"""Supported formats. HEIF works if the user has registered a plugin for it."""

_SIGNATURES = (
    (b"", "it is empty. Copy or download it again."),
    (b"version https://git-lfs", "it is a Git LFS pointer. Run git lfs pull to get the file."),
    (b"%PDF", "it is a PDF. Export its pages as PNG."),
    (b"PK\x03\x04", "it is a ZIP archive. Unpack it."),
    (b"\x93NUMPY", "it is a NumPy file. Hand over the array that np.load gives."),
    (b"<svg", "it is an SVG drawing. Export it as PNG."),
    (b"<", "it is text (HTML or XML), as a failed download leaves. Download it again."),
)


def load_file(file: BinaryIO, rule: ImagePreprocessing) -> Image.Image:
    """Decode the first frame of a file, and a JPEG at the suitable fraction.

    Raises
    ------
    Unreadable, or any error of Pillow
        If the file is not a supported image, too large, or damaged.
    """
    with naming_the_limit():
        return _loaded(file, rule)


@contextmanager
def naming_the_limit() -> Iterator[None]:
    """Explain a refusal by Pillow's own limit, which plugins also apply to parts of an image."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unreadable(too_large("too many")) from error


def _loaded(file: BinaryIO, rule: ImagePreprocessing) -> Image.Image:
    image = _identified(file)
    header_size = image.size
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        _reduce_jpeg(image, rule)
    check_pixels(image, header_size)
    image.load()
    return image


def _identified(file: BinaryIO) -> Image.Image:
    """Open an image by its header, as `PIL.Image.open` does.

    That function also tries formats that run other programs or that are hardly ever used, and
    applies a process-wide limit.
    """
    start = file.read(64)
    for name in _FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is not None and accepts is not None and accepts(start[:16]) is True:
            file.seek(0)
            # Without a name, so that no plugin memory-maps the file.
            return factory(file, "")
    raise Unreadable(_unknown_content(start))


def _unknown_content(start: bytes) -> str:
    """Describe data that no format accepts."""
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


def _reduce_jpeg(image: JpegImagePlugin.JpegImageFile, rule: ImagePreprocessing) -> None:
    """Let a JPEG be decoded at the suitable fraction."""
    turned = orientation_of(image) >= 5
    height, width = image.size if turned else image.size[::-1]
    wanted = draft_size((height, width), rule.size, rule.resize)
    image.draft(None, wanted if turned else wanted[::-1])


def check_pixels(image: Image.Image, header_size: tuple[int, int]) -> None:
    """Refuse an opened image that would take too much memory or time."""
    reason = refusal(image, header_size)
    if reason is not None:
        raise Unreadable(reason)
