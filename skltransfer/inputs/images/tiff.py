"""TIFF: what its tags say about its numbers, and which files Pillow decodes correctly.

For numbers of up to 8 bits, Pillow honours nearly all tags. For deeper numbers, it assumes that
black is 0, that 12 bits are 16, and that libtiff returns numbers in the byte order of the file.
These assumptions may be wrong, so the tags are read here. Files that Pillow cannot decode are read
by tifffile, if it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.levels import Levels, by_values, unsigned
from skltransfer.inputs.images.limits import refusal_of_size
from skltransfer.inputs.images.stored import ArrayPixels, separated

_WHITE_IS_ZERO, _RGB = 0, 2
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}
"""Number of bands of each PhotometricInterpretation, without extra samples."""
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_FORMATS = {
    _UNSIGNED: "{}-bit integers",
    _SIGNED: "signed {}-bit integers",
    _FLOAT: "{}-bit floats",
}
_OTHER_FORMAT = "{}-bit numbers of a mixed or unknown form"
_COMPLEX = {5, 6}
_RAW = 1
_IN_LIBTIFF = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000}
"""Compressions that Pillow knows and its libtiff decodes: not WebP, JPEG 2000, JPEG XL and others.
"""
_ASSOCIATED, _UNASSOCIATED = 1, 2  # alpha: colours are multiplied by it, or are not
_IS_REDUCED = 1
_BIG = (b"\x2b\0", b"\0\x2b")
"""The version of a BigTIFF, in either byte order."""
_CANON = b"II*\0\x10\0\0\0CR"
"""The beginning of a CR2 file. "CR" alone would not suffice, because another TIFF may have grey
levels there that read "CR"."""

_RAW_PHOTOGRAPH = (
    "it is a raw photograph of a camera, or another TIFF that begins with a preview. Develop it, "
    "and export it as PNG, TIFF or JPEG."
)


@dataclass(frozen=True)
class Tags:
    """What the tags of a TIFF say about its numbers."""

    bits: tuple[int, ...]
    sample_formats: frozenset[int]
    photometric: int
    extra: tuple[int, ...]
    compression: int
    has_separate_planes: bool
    is_bit_reversed: bool
    is_big_endian: bool
    is_big: bool

    @property
    def n_bits(self) -> int:
        """Bits of the deepest band."""
        return max(self.bits)

    @property
    def sample_format(self) -> int | None:
        """The sample format of all bands; None if they differ, or if it is not known."""
        found = next(iter(self.sample_formats)) if len(self.sample_formats) == 1 else 0
        return found if found in _FORMATS else None

    @property
    def is_deep(self) -> bool:
        """Whether the numbers are anything but unsigned integers of up to 8 bits."""
        return self.n_bits > 8 or self.sample_format != _UNSIGNED

    @property
    def is_read_by_pillow(self) -> bool:
        """Whether Pillow, if it opens the file, returns the stored numbers."""
        if self.compression not in _IN_LIBTIFF:
            return False
        if self.is_big and self.is_big_endian:
            return False  # Pillow looks for offsets of 32 bits
        if self.sample_format == _SIGNED and self.n_bits == 8:
            return False
        if self.has_separate_planes:
            return self.n_bits <= 8 and not self.extra and not self._is_reversed
        return not (self._is_reversed and self.is_inverted and self.n_bits == 8)

    @property
    def is_misread_by_pillow(self) -> bool:
        """Whether a PIL image of the file holds other numbers, or fails to load.

        Pillow reads only some of the images with separate planes and extra bands. tifffile reads
        all of them, so files with such images are left to tifffile.
        """
        if not (self.has_separate_planes and self.extra) or self.is_deep or self._is_reversed:
            return not self.is_read_by_pillow
        first, *others = self.extra
        is_alpha_of_several = first in (_ASSOCIATED, _UNASSOCIATED) and bool(others)
        is_multiplied = first == _ASSOCIATED and self.compression == _RAW
        return _COLOURS.get(self.photometric) == 1 or is_alpha_of_several or is_multiplied

    @property
    def _is_reversed(self) -> bool:
        """Whether bits are in reverse order, which libtiff undoes in compressed files only."""
        return self.is_bit_reversed and self.compression == _RAW

    @property
    def is_swapped_by_pillow(self) -> bool:
        """Whether Pillow swaps the bytes of numbers that libtiff has swapped already."""
        swapped = self.is_big_endian and self.compression != _RAW
        return swapped and self.sample_format in (_SIGNED, _FLOAT)

    @property
    def is_inverted(self) -> bool:
        """Whether 0 is white."""
        return self.photometric == _WHITE_IS_ZERO

    def __str__(self) -> str:
        """Describe the numbers, for messages."""
        kind = _FORMATS.get(self.sample_format or 0, _OTHER_FORMAT).format(self.n_bits)
        bands = len(self.bits)
        return f"{bands} bands of {kind}" if bands > 1 else kind

    def levels(self, array: NDArray[np.generic]) -> Levels:
        """Return what the numbers mean; for 32 bits and more, this depends on their values."""
        if self.sample_format == _UNSIGNED and self.n_bits <= 16:
            return unsigned(self.n_bits, is_inverted=self.is_inverted)
        if self.n_bits >= 32:
            return by_values(str(self), array, is_inverted=self.is_inverted)
        return Levels(str(self), None, True, self.is_inverted)


def tags_of(image: TiffImagePlugin.TiffImageFile) -> Tags | None:
    """Return the tags of an opened TIFF; None if pickling or copying the image lost them."""
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else _tags(tags)


def read_tags(file: BinaryIO) -> Tags:
    """Return the tags of the first page of a file.

    Raises
    ------
    Unreadable
        When it is a raw photograph of a camera.
    """
    file.seek(0)
    head = file.read(16)
    directory = _directory(head)
    file.seek(directory.next)
    directory.load(file)
    is_preview = directory.get(254, 0) == _IS_REDUCED and 330 in directory
    is_raw = head.startswith(_CANON) or 50706 in directory or directory.get(262) == 32803
    if is_raw or is_preview:
        raise Unreadable(_RAW_PHOTOGRAPH)
    return _tags(directory, is_big=head[2:4] in _BIG)


def _directory(head: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Return a directory that is still to be loaded, with 64-bit offsets if the header says so."""
    if head[2:4] not in _BIG:
        return TiffImagePlugin.ImageFileDirectory_v2(head[:8])
    # Pillow recognises only the little-endian form of a BigTIFF; `prefix` gives the byte order.
    little = b"II" + _BIG[0] + head[4:]
    return TiffImagePlugin.ImageFileDirectory_v2(little, prefix=head[:2])


def _tags(tags: Mapping[int, Any], *, is_big: bool = False) -> Tags:
    bits, bands = tuple(tags.get(258, (1,))), int(tags.get(277, 1))
    bits = bits * bands if len(bits) == 1 else bits[:bands]
    return Tags(
        bits=bits,
        sample_formats=frozenset(tags.get(339, (_UNSIGNED,))),
        photometric=tags.get(262, 0),
        extra=tuple(tags.get(338, ())),
        compression=tags.get(259, _RAW),
        has_separate_planes=tags.get(284, 1) == 2 and bands > 1,
        is_bit_reversed=tags.get(266, 1) == 2,
        is_big_endian=getattr(tags, "prefix", b"II") == b"MM",
        is_big=is_big,
    )


def palette_of_bytes(image: TiffImagePlugin.TiffImageFile) -> NDArray[np.uint8] | None:
    """Return the colours of a palette that was written in 8 bits instead of 16, or None.

    Pillow reads such a palette as black. As in libtiff, a palette counts as one of 8 bits if no
    value exceeds 255.
    """
    colours = getattr(image, "tag_v2", {}).get(320, ()) if image.mode == "P" else ()
    if not colours or len(colours) % 3 or max(colours) > 255:
        return None
    return np.array(colours, np.uint8).reshape(3, -1).T


def as_stored(array: NDArray[np.generic], tags: Tags) -> NDArray[np.generic]:
    """Return the numbers of a grey image as the file holds them, after Pillow has read it."""
    if tags.is_swapped_by_pillow:
        array = (array.astype(np.int16) if tags.n_bits == 16 else array).byteswap()
    if tags.sample_format == _UNSIGNED and tags.n_bits == 32:
        return array.view(np.uint32)
    return array


# By tifffile -------------------------------------------------------------------------------


def read_by_tifffile(file: BinaryIO, tags: Tags) -> ArrayPixels:
    """Read the first page of a TIFF that Pillow does not read.

    Raises
    ------
    Unreadable
        When it is no image of 1 to 4 channels, or tifffile or its codecs are not installed.
    """
    _check_bands(tags)
    try:
        from tifffile import TiffFile
    except ImportError:
        raise Unreadable(
            f"it is a TIFF of {tags}, which Pillow does not read. pip install 'skltransfer[tiff]', "
            "or pass an array, and give pixel_range."
        ) from None
    file.seek(0)
    with TiffFile(file) as opened:
        page: Any = opened.pages[0]
        reason = refusal_of_size((page.imagewidth, page.imagelength))
        if reason is not None:
            raise Unreadable(reason)
        orientation = page.tags.valueof(274, 1)
        array = _with_bands_last(_decoded(page), page.axes)
    return _as_image(array, tags, orientation if orientation in range(1, 9) else 1)


def _check_bands(tags: Tags) -> None:
    """Refuse complex numbers, colours that are not RGB, and bands that are no channels."""
    if tags.sample_formats & _COMPLEX:
        raise Unreadable(
            "it is a TIFF of complex numbers, which have no grey levels. Pass arrays of their "
            "magnitudes: np.abs(tifffile.imread(path))."
        )
    if tags.photometric not in (0, 1, 2):
        names = {3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "CIELAB", 9: "CIELAB", 10: "CIELAB"}
        name = names.get(tags.photometric, f"PhotometricInterpretation {tags.photometric}")
        raise Unreadable(
            f"it is a TIFF of {tags} in {name}, which is not read. Convert it to RGB, and pass "
            "an array."
        )
    colours = _COLOURS[tags.photometric]
    if len(tags.bits) > colours + max(1, len(tags.extra)) or len(tags.bits) < colours:
        raise Unreadable(
            f"it is a TIFF of {tags}, but images have 1 to 4 channels. Choose some, and pass "
            "arrays: tifffile.imread(path)[..., :3]."
        )


def _decoded(page: Any) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = page.asarray()
    except (NotImplementedError, ValueError) as error:  # for example a codec is missing
        if "imagecodecs" not in str(error):
            raise
        raise Unreadable(
            f"it is a TIFF whose codec tifffile lacks ({error}). pip install imagecodecs, or pass "
            "an array."
        ) from error
    return array


def _with_bands_last(array: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    if axes in ("YX", "YXS"):
        return array.reshape(*array.shape[:2], -1)
    if axes == "SYX":
        return np.moveaxis(array, 0, -1)
    raise Unreadable(
        f"it is a TIFF with the axes {axes}, but an image has YX or YXS. Pass one image of it, as "
        "an array."
    )


def _as_image(array: NDArray[np.generic], tags: Tags, orientation: int) -> ArrayPixels:
    colours = _COLOURS[tags.photometric]
    has_alpha = tags.extra[:1] in ((_ASSOCIATED,), (_UNASSOCIATED,)) or (
        not tags.extra and array.shape[2] == colours + 1
    )
    levels = tags.levels(array[..., :colours])
    if not has_alpha:
        return ArrayPixels(array[..., :colours], levels, orientation)
    if tags.sample_format != _UNSIGNED:
        raise Unreadable(
            f"it is a TIFF of {tags}, and the last band is alpha on an unknown scale. "
            "Pass an array without it, and give pixel_range."
        )
    opaque = float(2**tags.n_bits - 1)
    array = array[..., : colours + 1]
    if tags.extra[:1] == (_ASSOCIATED,):
        array = separated(array, opaque)
    return ArrayPixels(array, levels, orientation, opaque)
