"""Deciding whether X holds images or numbers."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from skltransfer.inputs.columns import as_column, n_dimensions

PATHS = (str, os.PathLike)
ENCODED = (bytes, bytearray, memoryview)


def looks_like_images(X: Any) -> bool:
    """Return whether X is recognisable as images, without an ``image_shape``.

    Parameters
    ----------
    X : object
        The user's X.

    Returns
    -------
    bool
        True for arrays of three or more dimensions, and for lists, 1-D object or string arrays,
        Series and one-column frames that hold a path, encoded bytes, a PIL image or an array of two
        or more dimensions. Also True for a single path, bytes or PIL image, so that
        :func:`read_images` can ask for a list. False for rows of numbers and anything else.
    """
    if isinstance(X, (*PATHS, *ENCODED, Image.Image)):
        return True
    if n_dimensions(X) >= 3:
        return True
    column = as_column(X)
    return column is not None and any(is_image_like(item) for item in column)


def is_image_like(item: Any) -> bool:
    """Return whether an item alone shows that X holds images."""
    if isinstance(item, (*PATHS, *ENCODED, Image.Image)):
        return True
    return hasattr(item, "__array__") and n_dimensions(item) >= 2
