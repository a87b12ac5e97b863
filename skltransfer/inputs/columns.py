"""X as a container: its number of dimensions, and the content of its only column."""

from __future__ import annotations

from typing import Any


def check_not_empty(X: Any) -> None:
    """Refuse an X without rows, because its kind cannot be determined.

    Parameters
    ----------
    X : object
        The user's X.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    length = (len(X),) if isinstance(X, (list, tuple)) else ()
    shape = tuple(getattr(X, "shape", length))
    if shape[:1] == (0,):
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required: X "
            "holds no rows."
        )


def n_dimensions(X: Any) -> int:
    """Return the number of dimensions of array-likes and nested lists; 0 for anything else."""
    if hasattr(X, "__array__") and hasattr(X, "shape"):
        of_an_item = getattr(getattr(X, "dtype", None), "shape", ())  # for polars arrays
        return len(X.shape) + len(of_an_item)
    if isinstance(X, (list, tuple)) and X and isinstance(X[0], (list, tuple)):
        return 1 + max(1, n_dimensions(X[0]))
    return 1 if isinstance(X, (list, tuple)) else 0


def as_column(X: Any) -> list[Any] | None:
    """Return the items of a list, 1-D array, Series or one-column frame, if they may be objects."""
    if isinstance(X, (list, tuple)):
        is_one_column = X and all(isinstance(row, (list, tuple)) and len(row) == 1 for row in X)
        return [row[0] for row in X] if is_one_column else list(X)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) == 2 and shape[1] == 1 and hasattr(X, "columns"):
        return as_column(X[X.columns[0]])
    if len(shape) == 2 and shape[1] == 1 and _may_hold_objects(X):
        return list(X[:, 0])
    return list(X) if len(shape) == 1 and _may_hold_objects(X) else None


def _may_hold_objects(X: Any) -> bool:
    """Return whether the dtype of X (NumPy's, pandas' or polars') is not one of plain numbers."""
    return getattr(getattr(X, "dtype", None), "kind", "O") not in "biufc"
