"""Taking X as texts: its content is checked, and nothing is tokenized yet."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from scipy.sparse import issparse

from skltransfer.inputs.columns import as_column, check_not_empty, n_dimensions
from skltransfer.inputs.errors import describe_source
from skltransfer.inputs.missing import is_missing
from skltransfer.inputs.streams import check_no_stream, check_no_streams

_ALLOWED = "a list, a 1-D array, a Series or one column of str"


def texts_of(X: Any) -> list[str | None]:
    """Return the texts of X, None for missing ones.

    Parameters
    ----------
    X : array-like
        A list, a 1-D or (n, 1) array, a Series or a one-column frame of str.

    Raises
    ------
    TypeError, ValueError
        If X is of none of these kinds, or one of its items is not a text; the message says what to
        do.
    """
    check_texts(X)
    column = as_column(X)
    check_no_streams(column or [])
    if column is None:
        raise TypeError(
            f"X ({describe_source(X)}) holds numbers, but this backbone reads texts. Pass "
            f"{_ALLOWED}."
        )
    return [_checked(item, row) for row, item in enumerate(column)]


def check_texts(X: Any) -> None:
    """Refuse containers without a column of texts, and an X without rows."""
    if isinstance(X, str):
        raise TypeError(f"X is one single text, {_shown(X)}. Pass a list: [X].")
    check_no_stream(X)
    names = list(getattr(X, "columns", ()))
    if len(names) > 1:
        raise ValueError(
            f"X has {len(names)} columns, {', '.join(map(repr, names[:5]))}, but this backbone "
            f"reads one column of texts. Pass it alone, as in X[{names[0]!r}], or through a "
            "ColumnTransformer."
        )
    if isinstance(X, (Mapping, Set)) or issparse(X) or not (hasattr(X, "__len__")):
        way_out = "what is in it, as in X['text']" if isinstance(X, Mapping) else "list(X)"
        raise TypeError(
            f"X is a {type(X).__name__}, but this backbone reads {_ALLOWED}. Pass {way_out}."
        )
    check_not_empty(X)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if n_dimensions(X) > 2 or (len(shape) == 2 and shape[1] > 1):
        raise ValueError(
            f"X has the shape {tuple(shape)}, but this backbone reads {_ALLOWED}. Pass one "
            "column, as in X[:, 0]."
        )


def _checked(item: Any, row: int) -> str | None:
    if isinstance(item, str):
        return str(item)  # also for NumPy's str
    if is_missing(item):
        return None
    decoded = ", decoded by X[row].decode('utf-8')" if isinstance(item, bytes) else ""
    raise TypeError(
        f"row {row} of X is {describe_source(item)}, but this backbone reads texts. Pass str"
        f"{decoded}; images go to an image network, such as backbone='efficientnet_lite0'."
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
