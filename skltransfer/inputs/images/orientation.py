"""The EXIF orientation of images, and how to undo it."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image, ImageFile

_QUARTER_TURNED = range(5, 9)
_TOLERANCE = 0.01
"""How much the aspect ratio of an image may differ from the one in its EXIF data, as a share."""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged EXIF data count as upright.

    `Image.rotate` and `Image.transpose` turn the pixels and leave the tag as it was. An image that
    was turned in this way counts as upright. It is recognised by two signs: it is in memory, and
    its height and width are exchanged in comparison with its EXIF data.
    """
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        if orientation in _QUARTER_TURNED and _is_turned(image, exif):
            return 1
    except Exception:  # whatever the parser stumbles on, the image itself is fine
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def _is_turned(image: Image.Image, exif: Image.Exif) -> bool:
    """Whether an image has been turned by a quarter since its EXIF data were written."""
    if isinstance(image, ImageFile.ImageFile):
        return False  # still as it was opened
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    width = tags.get(ExifTags.Base.ExifImageWidth, 0)
    height = tags.get(ExifTags.Base.ExifImageHeight, 0)
    if not width or not height or width == height:
        return False
    return bool(abs(image.width * width / (image.height * height) - 1) < _TOLERANCE)


def oriented(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view that undoes one of the eight EXIF orientations."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
