"""PIL images that the user opened or made: what their numbers mean."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFile, Jpeg2KImagePlugin, TiffImagePlugin

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images import jpeg2000, tiff
from skltransfer.inputs.images.levels import Levels, by_values, unsigned
from skltransfer.inputs.images.orientation import orientation_of
from skltransfer.inputs.images.sixteen_bits import has_sixteen_bit_colours
from skltransfer.inputs.images.stored import ArrayPixels, PilPixels, StoredImage

_CIELAB = "its colours are in CIELAB. Convert it to RGB with PIL.ImageCms."
_LOST_HEADER = (
    "it is a PIL image of a TIFF of more than 8 bits. It was pickled or copied, which loses the "
    "header that says what is black. Pass the path of the file, or an array."
)
_CUT_COLOURS = (
    "a PIL image keeps only the upper 8 bits of 16-bit colours, so pixel_range cannot be applied. "
    "Pass the path of the file, or an array."
)


def check_header(image: ImageFile.ImageFile, is_explicit: bool) -> None:
    """Refuse an image that is not loaded yet if Pillow would load it wrongly or lose bits.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        The image, opened by the user.
    is_explicit : bool
        Whether the user gave `pixel_range`.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tags(tiff.tags_of(image))
    if is_explicit and has_sixteen_bit_colours(image):
        raise Unreadable(_CUT_COLOURS)
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile) and image.fp is not None:
        place = image.fp.tell()
        precision = jpeg2000.read_precision(image.fp)
        image.fp.seek(place)
        jpeg2000.check_precision(precision, image.mode)


def _check_tags(tags: tiff.Tags | None) -> None:
    """Refuse a TIFF of any depth that Pillow decodes to other numbers, or fails to decode."""
    if tags is not None and tags.is_misread_by_pillow:
        raise Unreadable(
            f"it is a TIFF of {tags}, which Pillow misreads. Pass the path of the file, or an "
            "array."
        )


def stored_pil_image(image: Image.Image, is_explicit: bool) -> StoredImage:
    """Return a loaded PIL image with what its numbers mean.

    Raises
    ------
    Unreadable
        When Pillow has lost or misread the numbers or their meaning, or the colours are in CIELAB.
    """
    if image.mode == "LAB":
        raise Unreadable(_CIELAB)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _of_tiff(image, is_explicit)
    return PilPixels(image, _levels(image), orientation_of(image))


def _levels(image: Image.Image) -> Levels:
    """Return the levels that the mode implies or, for 32-bit numbers, mode and values together."""
    if image.mode.startswith("I;16"):
        return unsigned(16)
    if image.mode not in ("I", "F"):
        return Levels()
    kind = "32-bit integers" if image.mode == "I" else "floats"
    return by_values(f"{kind} in mode {image.mode}", np.asarray(image))


def _of_tiff(image: TiffImagePlugin.TiffImageFile, is_explicit: bool) -> StoredImage:
    tags, is_grey = tiff.tags_of(image), image.mode[:1] in ("I", "F")
    if tags is None and is_grey:
        raise Unreadable(_LOST_HEADER)
    palette = tiff.palette_of_bytes(image)
    if palette is not None:
        array = palette[np.asarray(image)]
        return ArrayPixels(array, Levels(), orientation_of(image))
    if tags is None or not tags.is_deep:
        return PilPixels(image, Levels(), orientation_of(image))
    if not is_grey:
        if is_explicit:
            raise Unreadable(_CUT_COLOURS)
        return PilPixels(image, Levels(), orientation_of(image))
    array = tiff.as_stored(np.asarray(image), tags)[..., np.newaxis]
    return ArrayPixels(array, tags.levels(array), orientation_of(image))
