"""Taking X as sounds: its content is checked, and nothing is read yet."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Set
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skltransfer.inputs.columns import as_column, check_not_empty, n_dimensions
from skltransfer.inputs.errors import describe_source, shorten
from skltransfer.inputs.missing import check_not_masked, is_missing
from skltransfer.inputs.sounds.sources import Clip, Item
from skltransfer.inputs.sounds.waveforms import check_clip, check_dtype, check_rate, check_values
from skltransfer.inputs.streams import check_no_stream, check_no_streams

PATHS = (str, os.PathLike)
ENCODED = (bytes, bytearray, memoryview)

_ALLOWED = (
    "a list or one column of paths, encoded bytes, pairs (rate, array) or arrays of samples, or an "
    "array of shape (n, samples) or (n, samples, channels)"
)
_NO_RATE = (
    "holds samples without a sample rate. Set sample_rate, in Hz, as in sample_rate=16000, or pass "
    "pairs [(rate, array), ...]."
)
_NO_RATE_IN_FIT = (
    "holds samples without a sample rate, and this estimator was fitted with sample_rate=None. "
    "Pass pairs [(rate, array), ...], or fit again with sample_rate=16000, say."
)


def sounds_of(X: Any, sample_rate: int | None, *, is_fitted: bool = False) -> list[Item]:
    """Return the sounds of X, None for missing ones.

    Parameters
    ----------
    X : array-like
        - List, tuple, 1-D object array, Series or one-column frame of paths, encoded bytes, pairs
          (rate, array) and arrays, also mixed.
        - Numeric array of shape (n, samples) or (n, samples, channels).
    sample_rate : int or None
        Rate of arrays that come without one, in Hz.
    is_fitted : bool, default=False
        Whether the rate was fixed by an earlier fit, so that setting the parameter changes nothing.

    Raises
    ------
    TypeError, ValueError
        When X is of none of these kinds, or one of its items is not a sound; the message says what
        to do.
    """
    check_sounds(X)
    no_rate = _NO_RATE_IN_FIT if is_fitted else _NO_RATE
    column = None if _is_block(X) else as_column(X)
    check_no_streams(column or [])
    if column is None:
        return _rows_of(_as_numbers(X), sample_rate, no_rate)
    return [_item(item, row, sample_rate, no_rate) for row, item in enumerate(column)]


def check_sounds(X: Any) -> None:
    """Refuse a single sound, containers without a column of sounds, and an X without rows."""
    if isinstance(X, (*PATHS, *ENCODED)):
        raise TypeError(
            f"X is {describe_source(X)}, one single sound. Pass a list: [X]. For a folder of "
            "class folders, see sounds_from_folder."
        )
    if _is_pair(X):
        raise TypeError("X is one single sound, (rate, array). Pass a list: [X].")
    check_no_stream(X)
    if isinstance(X, (Mapping, Set)) or issparse(X) or not hasattr(X, "__len__"):
        way_out = "what is in it, as in X['audio']" if isinstance(X, Mapping) else "list(X)"
        raise TypeError(f"X is a {type(X).__name__}, but sounds are {_ALLOWED}. Pass {way_out}.")
    check_not_empty(X)
    _check_columns(X)
    check_not_masked(X, "X")


def width_of(X: Any) -> int:
    """Return the number of values in a row of an array; 1 for separate items."""
    return math.prod(np.shape(X)[1:]) if _is_block(X) else 1


def _check_columns(X: Any) -> None:
    names = list(getattr(X, "columns", ()))
    if len(names) > 1 and not _is_block(X):
        raise ValueError(
            f"X has {len(names)} columns, {', '.join(map(repr, names[:5]))}, but this backbone "
            f"reads one column of sounds. Pass it alone, as in X[[{names[0]!r}]], or through a "
            "ColumnTransformer."
        )


def _is_pair(X: Any) -> bool:
    """Whether X is (rate, array), as `scipy.io.wavfile.read` gives it."""
    if not isinstance(X, (tuple, list)) or len(X) != 2:
        return False
    rate, samples = X
    is_rate = isinstance(rate, Real) and not isinstance(rate, bool)
    return is_rate and n_dimensions(samples) >= 1 and not isinstance(samples, str)


def _is_block(X: Any) -> bool:
    """Whether X is one array of numbers, or nested lists of them, with a sound in each row."""
    if hasattr(X, "dtypes") and len(getattr(X, "shape", ())) == 2:  # a frame
        return all(map(_is_number, X.dtypes))
    if hasattr(X, "dtype") and hasattr(X, "shape"):
        return _is_number(X.dtype)
    nested = isinstance(X, (list, tuple)) and all(isinstance(row, (list, tuple)) for row in X)
    return nested and not any(map(_is_pair, X)) and all(isinstance(v, Real) for v in X[0])


def _is_number(dtype: Any) -> bool:
    """Whether a dtype of NumPy, pandas or polars is one of plain numbers."""
    is_numeric = getattr(dtype, "is_numeric", None)  # of polars
    return is_numeric() if is_numeric else getattr(dtype, "kind", "f") in tuple("biufc")


def _as_numbers(X: Any) -> Any:
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            "X is a nested list, and its rows differ in length. Make an array of each row."
        ) from error


def _rows_of(block: Any, sample_rate: int | None, no_rate: str) -> list[Item]:
    """Return the sounds of an array, all of the same length."""
    check_dtype(block.dtype, "X")
    if block.ndim == 1:
        raise ValueError(
            f"X has the shape {block.shape}, that of one single sound. Pass a list: [X]."
        )
    if block.ndim > 3:
        raise ValueError(
            f"X has the shape {block.shape}. Sounds are of shape (n, samples) or (n, samples, "
            "channels)."
        )
    check_clip(block.shape[1:], f"X has the shape {block.shape}: every row")
    if sample_rate is None:
        raise ValueError(f"X {no_rate}")
    for row, samples in enumerate(block):
        check_values(samples, f"row {row} of X")
    return [Clip(samples, sample_rate) for samples in block]


def _item(item: Any, row: int, sample_rate: int | None, no_rate: str) -> Item:
    """Return an item that can be read later; arrays are checked now."""
    if is_missing(item):
        return None
    if isinstance(item, PATHS):
        return item
    if isinstance(item, ENCODED):
        return bytes(item)
    if _is_pair(item):
        return _clip(item[1], row, _naming(row, lambda: check_rate(item[0])))
    if hasattr(item, "__array__") or isinstance(item, (list, tuple)):
        if sample_rate is None:
            raise ValueError(f"row {row} of X {no_rate}")
        return _clip(item, row, sample_rate)
    raise TypeError(
        f"row {row} of X is {describe_source(item)}: {shorten(repr(item))}. Sounds are {_ALLOWED}."
    )


def _clip(samples: Any, row: int, rate: int) -> Clip:
    array = np.asarray(samples)
    if array.dtype == np.int64 and isinstance(samples, (list, tuple)):
        array = array.astype(np.float64)  # the user did not choose the dtype of a list
    check_dtype(array.dtype, f"row {row} of X")
    check_clip(array.shape, f"row {row} of X")
    check_values(array, f"row {row} of X")
    return Clip(array, rate)


def _naming(row: int, check: Callable[[], int]) -> int:
    try:
        return check()
    except ValueError as error:
        raise ValueError(f"row {row} of X: {error}") from error
