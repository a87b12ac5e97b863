"""The EXIF orientation of images, and how to undo it."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged EXIF data count as upright."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever the parser raises, the image itself is fine
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def oriented(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view that undoes one of the eight EXIF orientations."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
