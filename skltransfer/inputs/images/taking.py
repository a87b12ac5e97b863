"""Taking X as images: its content is checked, and nothing is read yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from skltransfer._warnings import warn_user
from skltransfer.inputs.columns import as_column, check_not_empty, n_dimensions
from skltransfer.inputs.errors import describe_source, shorten
from skltransfer.inputs.images import arrays
from skltransfer.inputs.images.recognition import (
    ENCODED,
    PATHS,
    is_image_like,
)
from skltransfer.inputs.images.sources import ArrayImages, ImageSource, ItemImages
from skltransfer.inputs.missing import is_missing

_SIDE_OF_A_IMAGE = 32
"""An array of at least this many grey images, at least this many pixels high and only 3 or 4 wide,
is hardly ever intended."""


def read_images(X: Any, *, image_shape: Sequence[int] | None = None) -> ImageSource:
    """Take X as a sequence of images. Nothing is read or copied yet.

    Parameters
    ----------
    X : array-like
        - Numeric array of shape (n, h, w, c) with c of 1 (grey), 2 (grey, alpha), 3 (RGB) or
          4 (RGB, alpha), or (n, h, w), which is always grey, however small w is.
        - List, 1-D object or string array, Series or one-column frame of paths, encoded bytes,
          PIL images and arrays, also mixed.
        - Rows of numbers of shape (n, n_features), when `image_shape` is given.
    image_shape : (h, w) or (h, w, c), default=None
        How to read rows of numbers; no effect on other kinds of X.

    Returns
    -------
    ImageSource
        The images.

    Raises
    ------
    TypeError
        If X or one of its items is of none of these kinds.
    ValueError
        If X is empty, if a shape is not that of an image, or if `image_shape` does not fit.
    """
    if isinstance(X, (*PATHS, *ENCODED, Image.Image)):
        raise TypeError(
            f"X is {describe_source(X)}, one single image. Pass a list: [X]. For a folder "
            "of class folders, see images_from_folder."
        )
    if n_dimensions(X) >= 3:
        return ArrayImages(_check_images(_as_numbers(X)))
    column = as_column(X)
    if column is not None and any(is_image_like(item) for item in column):
        return ItemImages([_check_item(item, row) for row, item in enumerate(column)])
    if image_shape is not None:
        return ArrayImages(_rows_as_images(_as_numbers(X), image_shape))
    check_not_empty(X)
    raise TypeError(
        f"X ({describe_source(X)}) holds no images. Pass an array of shape (n, h, w, c) or "
        "(n, h, w), a list of paths, bytes, PIL images or arrays, or rows of numbers together "
        "with image_shape=(h, w) or (h, w, c)."
    )


def _as_numbers(X: Any) -> np.ndarray:
    """Return a numeric array; an object array of images of equal shape becomes numeric."""
    try:
        array = np.asarray(X)
        array = np.asarray(array.tolist()) if array.dtype == object else array
    except ValueError as error:
        raise ValueError(
            f"X is nested, but its parts differ in length: {str(error).rstrip('.')}. Pass a "
            "list of arrays: [np.asarray(x) for x in X]."
        ) from error
    arrays.check_numeric(array.dtype, "X")
    return array


def _check_images(array: np.ndarray) -> np.ndarray:
    """Return the array if it is a batch of images."""
    check_not_empty(array)
    if array.ndim not in (3, 4):
        way_out = " Merge the first axes: X.reshape(-1, *X.shape[-3:])." if array.ndim > 4 else ""
        raise ValueError(
            f"X has shape {array.shape}, but images are (n, h, w, channels) or (n, h, w).{way_out}"
        )
    arrays.check_image_shape(array.shape[1:], f"X has shape {array.shape}: every row")
    _warn_of_one_image(array.shape)
    return array


def _warn_of_one_image(shape: tuple[int, ...]) -> None:
    """Warn that an array that looks like one colour image is read as many grey ones."""
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= _SIDE_OF_A_IMAGE:
        count, height, width = shape
        warn_user(
            f"X has shape {shape} and is read as {count} grey images of {height} x {width} "
            "pixels. If it is one image in colour, pass a list: [X]."
        )


def _check_item(item: Any, row: int) -> Any:
    """Check an item that is read later; arrays are checked completely."""
    if is_missing(item):
        return None
    if isinstance(item, memoryview) and not _is_plain(item):
        return item.tobytes()
    if isinstance(item, (*PATHS, *ENCODED, Image.Image)):
        return item
    if hasattr(item, "__array__") or isinstance(item, (list, tuple)):
        array = np.asarray(item)
        arrays.as_image(array, row)
        return array
    raise TypeError(
        f"row {row} of X is {describe_source(item)}: {shorten(repr(item))}. Allowed are paths, "
        "encoded bytes, PIL images and arrays of shape (h, w) or (h, w, channels)."
    )


def _is_plain(view: memoryview) -> bool:
    """Return whether a view holds contiguous bytes, as hashing and slicing require."""
    return view.contiguous and (view.ndim, view.itemsize) == (1, 1)


def _rows_as_images(array: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """View rows of numbers as images of one shape."""
    shape = _check_image_shape(image_shape)
    if array.ndim != 2:
        raise ValueError(f"image_shape is for 2-D rows of numbers, but X has shape {array.shape}.")
    check_not_empty(array)
    height, width, channels = shape
    if array.shape[1] != math.prod(shape):
        factors = "x".join(str(int(side)) for side in image_shape)
        raise ValueError(
            f"X has {array.shape[1]} columns, but image_shape={tuple(image_shape)} needs "
            f"{factors} = {math.prod(shape)}.{_other_channels(array.shape[1], height, width)}"
        )
    return array.reshape(len(array), height, width, channels)


def _check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (h, w, c), or raise an error that says what is wrong with `image_shape`."""
    whole = isinstance(image_shape, (tuple, list)) and all(
        isinstance(side, (int, np.integer)) and not isinstance(side, bool) and side > 0
        for side in image_shape
    )
    if not whole or len(image_shape) not in (2, 3) or (*image_shape, 1)[2] > 4:
        raise ValueError(
            f"image_shape={image_shape!r} is not allowed: give (h, w) or (h, w, channels) in "
            "positive integers, with 1 to 4 channels."
        )
    height, width, channels = (int(side) for side in (*image_shape, 1)[:3])
    return height, width, channels


def _other_channels(columns: int, height: int, width: int) -> str:
    """Suggest the number of channels that would fit the width of rows."""
    channels, rest = divmod(columns, height * width)
    if rest or not 1 <= channels <= 4:
        return ""
    return f" Did you mean image_shape=({height}, {width}, {channels})?"
