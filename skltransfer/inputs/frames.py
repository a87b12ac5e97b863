"""Frames that hold a column that the backbone reads, and beside it a table of other columns."""

from __future__ import annotations

import datetime
import hashlib
import pickle
from dataclasses import dataclass
from numbers import Integral, Number, Real
from typing import Any

import numpy as np

from skltransfer.inputs.missing import is_missing

_NO_INPUTS = (Number, np.bool_, datetime.date, datetime.time, datetime.timedelta, np.datetime64)
_CATEGORICAL = ("category", "categorical", "enum")


@dataclass(frozen=True)
class Frame:
    """The two parts of a frame.

    Attributes
    ----------
    inputs : frame of one column
        What the backbone reads.
    table : frame
        The other columns.
    """

    inputs: Any
    table: Any


def is_frame(X: Any) -> bool:
    """Return whether X has columns with names, as frames of pandas and polars do."""
    return hasattr(X, "columns") and len(getattr(X, "shape", ())) == 2


def split_frame(X: Any, column: Any) -> Frame:
    """Return the parts of a frame.

    Parameters
    ----------
    X : frame
        The user's X.
    column : str, int or None
        Name of the column that the backbone reads. None takes the only column that it could read.

    Raises
    ------
    TypeError
        If X is not a frame.
    ValueError
        If X has no such column, if several columns could be meant, or if X has no other columns.
    """
    if not is_frame(X):
        raise TypeError(
            f"tabular is for a frame with a column for the backbone and others beside it, but X is "
            f"a {type(X).__name__}. Pass a pandas or polars DataFrame, or set tabular=None."
        )
    column = input_column_of(X, column)
    others = [name for name in X.columns if name != column]
    if not others:
        raise ValueError(
            f"tabular is for the columns beside {column!r}, but X has no others. Add them, or set "
            "tabular=None."
        )
    return Frame(X[[column]], X[others])


def input_column_of(X: Any, column: Any) -> Any:
    """Return the name of the column that the backbone reads, checked or found."""
    names = list(X.columns)
    if column is not None:
        if column not in names:
            raise ValueError(
                f"input_column={column!r} is not a column of X. It has {_listed(names)}."
            )
        return column
    found = input_columns(X)
    if len(found) != 1:
        told = (
            f"{_listed(found)} could be meant"
            if found
            else "all columns hold numbers, dates or categories"
        )
        raise ValueError(
            f"tabular needs to know which column of X the backbone reads, but {told}. Set "
            f"input_column={(found or names)[0]!r}, or whichever it is."
        )
    return found[0]


def input_columns(X: Any) -> list[Any]:
    """Return the columns of a frame that do not hold numbers, times or categories."""
    return [name for name in X.columns if _could_be_read(X[name])]


def check_one_column(X: Any, kind: str) -> None:
    """Refuse a frame that holds more than the column that the backbone reads.

    Parameters
    ----------
    X : object
        The user's X.
    kind : str
        Name of the estimator, for the message.
    """
    if not is_frame(X) or len(X.columns) < 2:
        return
    found = input_columns(X)
    if found:
        raise ValueError(
            f"X has {len(X.columns)} columns, {_listed(list(X.columns))}, but the backbone reads "
            f"one. Pass it alone, as in X[{found[0]!r}], or say what becomes of the others: "
            f"{kind}(tabular=make_column_transformer(...), input_column={found[0]!r})."
        )


def row_digests(table: Any) -> list[bytes]:
    """Return a digest of each row of a table, from its values alone."""
    columns = [list(table[name]) for name in table.columns]
    return [
        hashlib.sha256(b"".join(map(_bytes_of, row))).digest() for row in zip(*columns, strict=True)
    ]


def _could_be_read(column: Any) -> bool:
    if str(column.dtype).lower().startswith(_CATEGORICAL):
        return False
    first = next((item for item in column if not is_missing(item)), None)
    return first is not None and not isinstance(first, _NO_INPUTS)


def _bytes_of(value: Any) -> bytes:
    """Return bytes that are the same for equal numbers of any type, and differ for other values."""
    if isinstance(value, str):
        kind, content = "str", value.encode("utf-8", "surrogatepass")
    elif isinstance(value, Integral):
        kind, content = "int", str(int(value)).encode()
    elif isinstance(value, Real):
        number = float(value)
        whole = number.is_integer()
        kind, content = ("int", str(int(number)).encode()) if whole else ("", number.hex().encode())
    else:
        kind, content = type(value).__qualname__, pickle.dumps(value, protocol=5)
    return f"{kind} {len(content)} ".encode() + content


def _listed(names: list[Any]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return f"{shown}, ..." if len(names) > 5 else shown
