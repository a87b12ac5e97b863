"""X as a sequence of pictures, whatever holds them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from skltransfer._warnings import warn_user

from . import arrays
from ._digests import (
    FileDigests,
    digest_array,
    digest_encoded,
    digest_pil_pixels,
    file_identity,
)
from ._errors import ImageReadError, describe_source, read_error, shorten
from ._paths import missing_value
from ._reading_errors import reason
from ._rule import PixelRule
from .images import decode, raw_pixels

_PATHS = (str, os.PathLike)
_ENCODED = (bytes, bytearray, memoryview)
_BLOCK = 64
"""Rows of a large array looked at together."""

_SIDE_OF_A_PICTURE = 32
"""Pixels; grey pictures of three or four columns and so many rows are hardly ever meant."""

_FRESH_SECONDS = 1.0
"""For how long a file need not be looked at again: between that and reading it passes more time."""

_file_digests = FileDigests()


class ImageSource:
    """Rows of pictures, read when asked for.

    Made by :func:`read_images`. Reading is safe from several threads.

    Attributes
    ----------
    n_features : int
        Numbers in a row of an array; 1 for separate items.
    """

    n_features: int

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def load(self, i: int, rule: PixelRule) -> np.ndarray:
        """Read one picture.

        Parameters
        ----------
        i : int
            Position in this source.
        rule : PixelRule
            Size wanted, and the range of values in arrays.

        Returns
        -------
        ndarray of shape (h, w, 3), dtype float32
            RGB in 0 to 255, C-contiguous.

        Raises
        ------
        ImageReadError
            When a path, bytes or a PIL image cannot be read. Its ``row`` is the row of the X
            given to :func:`read_images`.
        """
        return decode(self._item(i), rule, int(self._rows[i]))

    def load_block(self, indices: Sequence[int], rule: PixelRule, out: np.ndarray) -> None:
        """Read several pictures, as `load` does each.

        Parameters
        ----------
        indices : sequence of int
            Positions in this source.
        rule : PixelRule
            Size wanted, and the range of values in arrays.
        out : ndarray of shape (len(indices) or more, h, w, 3), dtype float32
            Where to write; further rows are left alone.
        """
        for position, i in enumerate(indices):
            out[position] = self.load(i, rule)

    def is_at_hand(self, rule: PixelRule) -> bool:
        """Say whether reading is a mere copy, for which a thread is not worth while."""
        return False

    def digest(self, i: int) -> bytes:
        """Return 32 bytes by which equal content of one kind is known.

        Parameters
        ----------
        i : int
            Position in this source.

        Returns
        -------
        bytes
            Of the encoded bytes, of a file as in memory; or of dtype, shape and values.

        Raises
        ------
        ImageReadError
            When a path or a PIL image cannot be read.
        """
        raise NotImplementedError

    def still_has(self, i: int, digest: bytes) -> bool:
        """Say whether a row is as it was when its digest was taken; only files may not be.

        Parameters
        ----------
        i : int
            Position in this source.
        digest : bytes
            What `digest` gave.

        Returns
        -------
        bool
            False also for a file that is gone.
        """
        return True

    def range_summary(self) -> tuple[arrays.ValueRange, ...]:
        """Return the smallest and largest numbers, for `decide_pixel_range` and `check_scale`.

        Returns
        -------
        tuple of ValueRange
            One for each family of dtypes; empty where there are no arrays.

        Raises
        ------
        ValueError
            When a row holds NaN or infinity.
        """
        return self._range_summary

    def check_paths(self) -> None:
        """Look whether all files are there, before any is read.

        Raises
        ------
        ImageReadError
            For the first that is missing; it tells how many are.
        """

    def take(self, indices: Sequence[int] | np.ndarray) -> ImageSource:
        """Return a source of some rows, which keep their numbers in messages.

        Parameters
        ----------
        indices : sequence of int or ndarray of int or bool
            Positions in this source.

        Returns
        -------
        ImageSource
            No pixels are copied.
        """
        chosen = object.__new__(type(self))
        chosen.__dict__ = {**self.__dict__, "_rows": self._rows_at(indices)}
        chosen.__dict__.pop("_range_summary", None)
        return chosen

    @cached_property
    def _range_summary(self) -> tuple[arrays.ValueRange, ...]:
        return arrays.merge_ranges(self._ranges())

    def _rows_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the row numbers at some positions."""
        indices = np.asarray(indices)
        return self._rows[indices if indices.size else []]

    def _item(self, i: int) -> Any:
        raise NotImplementedError

    def _ranges(self) -> Iterator[arrays.ValueRange]:
        raise NotImplementedError


class _ArrayImages(ImageSource):
    """All pictures in one numeric array of shape (n, h, w) or (n, h, w, c)."""

    def __init__(self, pictures: np.ndarray) -> None:
        super().__init__(np.arange(len(pictures)))
        self._pictures = pictures
        self.n_features = math.prod(pictures.shape[1:])

    def load_block(self, indices: Sequence[int], rule: PixelRule, out: np.ndarray) -> None:
        if not self.is_at_hand(rule):
            return super().load_block(indices, rule, out)
        block = self._pictures[self._rows_at(indices)]
        block = block if block.ndim == 4 else block[..., np.newaxis]
        target = out[: len(block)]
        arrays.scale_pixels(np.broadcast_to(block, target.shape), rule.pixel_range, target)

    def digest(self, i: int) -> bytes:
        return digest_array(self._item(i))

    def is_at_hand(self, rule: PixelRule) -> bool:
        shape = self._pictures.shape
        return shape[1:3] == tuple(rule.size) and shape[3:] in ((), (1,), (3,))

    def _item(self, i: int) -> np.ndarray:
        return self._pictures[self._rows[i]]

    def _ranges(self) -> Iterator[arrays.ValueRange]:
        for start in range(0, len(self), _BLOCK):
            rows = self._rows[start : start + _BLOCK]
            block = self._pictures[rows]
            seen = arrays.value_range(block)
            if not _is_finite(seen):
                _refuse_non_finite(block, rows)
            yield seen


class _ItemImages(ImageSource):
    """Pictures one by one: paths, encoded bytes, PIL images and arrays."""

    n_features = 1

    def __init__(self, items: list) -> None:
        super().__init__(np.arange(len(items)))
        self._items = items
        self._identities: dict[int, tuple] = {}
        self._fresh_until = 0.0

    def digest(self, i: int) -> bytes:
        row = int(self._rows[i])
        item = self._items[row]
        if isinstance(item, _PATHS):
            return _file_digests.digest(item, row, self._identity_just_seen(row))
        if isinstance(item, _ENCODED):
            return digest_encoded(item)
        if isinstance(item, Image.Image):
            return digest_pil_pixels(raw_pixels(item, row))
        if item is None:
            raise missing_value(row)
        return digest_array(item)

    def still_has(self, i: int, digest: bytes) -> bool:
        item = self._item(i)
        if not isinstance(item, _PATHS):
            return True
        try:
            return _file_digests.digest(item, int(self._rows[i])) == digest
        except ImageReadError:
            return False

    def check_paths(self) -> None:
        faults: list[tuple[int, str]] = []
        for row in self._rows.tolist():
            if isinstance(self._items[row], (*_PATHS, type(None))):
                try:
                    self._identities[row] = file_identity(self._items[row])
                except Exception as error:
                    faults.append((row, reason(error)))
        if faults:
            row, fault = faults[0]
            count = f" Of {len(self)} rows, {len(faults)} have no file." if faults[1:] else ""
            raise read_error(row, self._items[row], fault + count)
        self._fresh_until = time.monotonic() + _FRESH_SECONDS

    def _identity_just_seen(self, row: int) -> tuple | None:
        """Identity of a row's file, if `check_paths` has just looked at it, and nobody since."""
        is_fresh = time.monotonic() < self._fresh_until
        return self._identities.pop(row, None) if is_fresh else None

    def _item(self, i: int) -> Any:
        return self._items[self._rows[i]]

    def _ranges(self) -> Iterator[arrays.ValueRange]:
        for row in self._rows:
            item = self._items[row]
            if isinstance(item, np.ndarray):
                seen = arrays.value_range(item)
                if not _is_finite(seen):
                    _refuse_non_finite(item[np.newaxis], [row])
                yield seen


def looks_like_images(X: Any) -> bool:
    """Say whether X speaks for itself as pictures, without an ``image_shape``.

    Parameters
    ----------
    X : object
        What the user handed over.

    Returns
    -------
    bool
        True for arrays of three or more dimensions, and for lists, 1-D object or string
        arrays, Series and one-column frames that hold a path, encoded bytes, a PIL image or an
        array of two or more dimensions. Also for a single path, bytes or PIL image, so that
        :func:`read_images` can say that a list is wanted. False for rows of numbers and
        anything else.
    """
    if isinstance(X, (*_PATHS, *_ENCODED, Image.Image)):
        return True
    if _n_dimensions(X) >= 3:
        return True
    column = _as_column(X)
    return column is not None and any(_is_image_like(item) for item in column)


def read_images(X: Any, *, image_shape: Sequence[int] | None = None) -> ImageSource:
    """Take X as a sequence of pictures. Nothing is read or copied yet.

    Parameters
    ----------
    X : array-like
        - Numeric array of shape (n, h, w, c) with c of 1 (grey), 2 (grey, alpha), 3 (RGB) or
          4 (RGB, alpha), or (n, h, w), which is always grey, however small w is.
        - List, 1-D object or string array, Series or one-column frame of paths, encoded bytes,
          PIL images and arrays, also mixed.
        - Rows of numbers of shape (n, n_features), when `image_shape` is given.
    image_shape : (h, w) or (h, w, c), default=None
        How to read rows of numbers; otherwise without effect.

    Returns
    -------
    ImageSource
        The pictures.

    Raises
    ------
    TypeError
        When X or one of its items is of no kind above.
    ValueError
        When X is empty, or a shape is not that of pictures, or `image_shape` does not fit.
    """
    if isinstance(X, (*_PATHS, *_ENCODED, Image.Image)):
        raise TypeError(
            f"X is {describe_source(X)}, one single picture. Hand over a list: [X]. For a folder "
            "of class folders, see images_from_folder."
        )
    if _n_dimensions(X) >= 3:
        return _ArrayImages(_checked_pictures(_as_numbers(X)))
    column = _as_column(X)
    if column is not None and any(_is_image_like(item) for item in column):
        return _ItemImages([_checked_item(item, row) for row, item in enumerate(column)])
    if image_shape is not None:
        return _ArrayImages(_rows_as_pictures(_as_numbers(X), image_shape))
    refuse_empty(X)
    raise TypeError(
        f"X ({describe_source(X)}) holds no pictures. Hand over an array of shape (n, h, w, c) or "
        "(n, h, w), a list of paths, bytes, PIL images or arrays, or rows of numbers together "
        "with image_shape=(h, w) or (h, w, c)."
    )


# What X is ---------------------------------------------------------------------------------


def _n_dimensions(X: Any) -> int:
    """Return the number of dimensions of array-likes and nested lists; 0 for anything else."""
    if hasattr(X, "__array__") and hasattr(X, "shape"):
        of_an_item = getattr(getattr(X, "dtype", None), "shape", ())  # of polars' arrays
        return len(X.shape) + len(of_an_item)
    if isinstance(X, (list, tuple)) and X and isinstance(X[0], (list, tuple)):
        return 1 + max(1, _n_dimensions(X[0]))
    return 1 if isinstance(X, (list, tuple)) else 0


def _as_column(X: Any) -> list | None:
    """Return the items of a list, 1-D array, Series or one column that may be pictures."""
    if isinstance(X, (list, tuple)):
        is_one_column = X and all(isinstance(row, (list, tuple)) and len(row) == 1 for row in X)
        return [row[0] for row in X] if is_one_column else list(X)
    shape = getattr(X, "shape", ())
    if len(shape) == 2 and shape[1] == 1 and hasattr(X, "columns"):
        return _as_column(X[X.columns[0]])
    if len(shape) == 2 and shape[1] == 1 and _may_hold_objects(X):
        return list(X[:, 0])
    return list(X) if len(shape) == 1 and _may_hold_objects(X) else None


def _may_hold_objects(X: Any) -> bool:
    """Say whether the dtype, of NumPy, pandas or polars, is none of plain numbers."""
    return getattr(getattr(X, "dtype", None), "kind", "O") not in "biufc"


def _is_image_like(item: Any) -> bool:
    """Say whether an item alone shows that X holds pictures."""
    if isinstance(item, (*_PATHS, *_ENCODED, Image.Image)):
        return True
    return hasattr(item, "__array__") and _n_dimensions(item) >= 2


def is_missing(item: Any) -> bool:
    """Say whether an item is None, NaN, pandas' NA or NaT."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float) and math.isnan(item)


# Checks ------------------------------------------------------------------------------------


def _as_numbers(X: Any) -> np.ndarray:
    """Return a numeric array; object arrays of equal pictures become one."""
    try:
        array = np.asarray(X)
        array = np.asarray(array.tolist()) if array.dtype == object else array
    except ValueError as error:
        raise ValueError(f"X is nested, but its parts differ in length: {error}") from error
    arrays.check_numeric(array.dtype, "X")
    return array


def _checked_pictures(array: np.ndarray) -> np.ndarray:
    """Return the array if it is a batch of pictures."""
    refuse_empty(array)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"X has shape {array.shape}, but pictures are (n, h, w, channels) or (n, h, w)."
        )
    arrays.check_picture_shape(array.shape[1:], f"X has shape {array.shape}: every row")
    _warn_of_one_picture(array.shape)
    return array


def _warn_of_one_picture(shape: tuple[int, ...]) -> None:
    """Tell that an array which looks like one picture in colour is read as many grey ones."""
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= _SIDE_OF_A_PICTURE:
        count, height, width = shape
        warn_user(
            f"X has shape {shape} and is read as {count} grey pictures of {height} x {width} "
            "pixels. If it is one picture in colour, hand over a list: [X]."
        )


def _checked_item(item: Any, row: int) -> Any:
    """Return an item that can be read later; arrays are looked at now."""
    if is_missing(item):
        return None
    if isinstance(item, memoryview) and not _is_plain(item):
        return item.tobytes()
    if isinstance(item, (*_PATHS, *_ENCODED, Image.Image)):
        return item
    if hasattr(item, "__array__") or isinstance(item, (list, tuple)):
        array = np.asarray(item)
        arrays.as_picture(array, row)
        return array
    raise TypeError(
        f"row {row} of X is {describe_source(item)}: {shorten(repr(item))}. Allowed are paths, "
        "encoded bytes, PIL images and arrays of shape (h, w) or (h, w, channels)."
    )


def _is_plain(view: memoryview) -> bool:
    """Say whether a view is of bytes side by side, as hashing and slicing take for granted."""
    return view.contiguous and (view.ndim, view.itemsize) == (1, 1)


def _rows_as_pictures(array: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """View rows of numbers as pictures of one shape."""
    shape = _checked_image_shape(image_shape)
    if array.ndim != 2:
        raise ValueError(f"image_shape is for 2-D rows of numbers, but X has shape {array.shape}.")
    refuse_empty(array)
    height, width, channels = shape
    if array.shape[1] != math.prod(shape):
        factors = "x".join(str(int(side)) for side in image_shape)
        raise ValueError(
            f"X has {array.shape[1]} columns, but image_shape={tuple(image_shape)} needs "
            f"{factors} = {math.prod(shape)}.{_other_channels(array.shape[1], height, width)}"
        )
    return array.reshape(len(array), height, width, channels)


def _checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (h, w, c), or say what is wrong with `image_shape`."""
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
    """Propose the number of channels that would fit the width of rows."""
    channels, rest = divmod(columns, height * width)
    if rest or not 1 <= channels <= 4:
        return ""
    return f" Did you mean image_shape=({height}, {width}, {channels})?"


def refuse_empty(X: Any) -> None:
    """Refuse an X of no rows, of which it cannot be said what they would hold.

    Parameters
    ----------
    X : object
        What the user handed over.

    Raises
    ------
    ValueError
        When there are no rows.
    """
    length = (len(X),) if isinstance(X, (list, tuple)) else ()
    shape = tuple(getattr(X, "shape", length))
    if shape[:1] == (0,):
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required: X "
            "holds no pictures and no rows."
        )


def _is_finite(seen: arrays.ValueRange) -> bool:
    return math.isfinite(seen.low) and math.isfinite(seen.high)


def _refuse_non_finite(block: np.ndarray, rows: Sequence[int]) -> None:
    """Raise for the first row of a block that holds NaN or infinity."""
    finite = np.isfinite(block).reshape(len(block), -1)
    first = int(np.argmin(finite.all(axis=1)))
    what = "NaN" if np.isnan(block[first]).any() else "infinity"
    raise ValueError(
        f"Input X contains {what}: {np.sum(~finite[first])} values of row {rows[first]}. Replace "
        "these values, or leave the row out."
    )
