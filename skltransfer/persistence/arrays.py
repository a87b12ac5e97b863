"""Arrays as plain bytes, with their descriptions; sizes are checked before memory is allocated."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

# Booleans, integers, floats and str of limited width: types with the same bytes everywhere.
_DTYPES = re.compile(r"\|[biu]1|<[iu][248]|<f[248]|<U[1-9][0-9]{0,5}")
_MOST_DIMENSIONS = 8
_MOST_ITEMS = 1 << 40
_LAST_CHARACTER = 0x10FFFF


def can_be_saved(array: np.ndarray) -> bool:
    """Return whether the items of `array` are plain bytes, and its axes are few enough."""
    return bool(_DTYPES.fullmatch(_stored(array.dtype).str)) and array.ndim <= _MOST_DIMENSIONS


def described(array: np.ndarray) -> dict[str, Any]:
    """Return dtype and shape of `array` in JSON types."""
    return {"dtype": _stored(array.dtype).str, "shape": list(array.shape)}


def little_endian(array: np.ndarray) -> np.ndarray:
    """Return the array in little-endian byte order."""
    return array.astype(_stored(array.dtype), copy=False)


def views_of(descriptions: object, payload: memoryview) -> list[np.ndarray]:
    """Return the consecutive arrays of `payload`, as read-only views.

    Raises
    ------
    ValueError
        If a description is invalid, if the arrays do not fill the payload exactly, or if bytes are
        not a value of their dtype.
    """
    if not isinstance(descriptions, list):
        raise ValueError("it has no list of arrays.")
    layouts = [_layout(description) for description in descriptions]
    claimed = sum(_n_bytes(dtype, shape) for dtype, shape in layouts)
    if claimed != len(payload):
        raise ValueError(f"its arrays need {claimed:,} bytes, but {len(payload):,} are there.")
    views, start = [], 0
    for dtype, shape in layouts:
        stop = start + _n_bytes(dtype, shape)
        views.append(_view(payload[start:stop], dtype, shape))
        start = stop
    return views


def _stored(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("<")


def _layout(description: object) -> tuple[np.dtype, tuple[int, ...]]:
    if not isinstance(description, dict) or list(description) != ["dtype", "shape"]:
        raise ValueError("an array is not described by its dtype and shape.")
    dtype, shape = description["dtype"], description["shape"]
    if not isinstance(dtype, str) or not _DTYPES.fullmatch(dtype):
        raise ValueError(f"an array has the dtype {dtype!r:.40}, which is not allowed.")
    if not _is_shape(shape):
        raise ValueError(f"an array has the impossible shape {shape!r:.80}.")
    return np.dtype(dtype), tuple(shape)


def _is_shape(shape: object) -> bool:
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        return False
    if not all(type(side) is int and side >= 0 for side in shape):
        return False
    n_items: int = math.prod(max(side, 1) for side in shape)  # also for empty arrays
    return n_items <= _MOST_ITEMS


def _n_bytes(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    return dtype.itemsize * math.prod(shape)


def _view(part: memoryview, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    most = {"b": ("u1", 1), "U": ("<u4", _LAST_CHARACTER)}.get(dtype.kind)
    if most is not None and np.frombuffer(part, most[0]).max(initial=0) > most[1]:
        raise ValueError(f"an array holds bytes that are not a value of its dtype {dtype.str!r}.")
    return np.frombuffer(part, dtype).reshape(shape)
