"""Splitting X into what the backbone reads and the extra columns that the head reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names, _check_n_features

from skltransfer.inputs._input import columns_of
from skltransfer.inputs.frames import check_one_column, split_frame

if TYPE_CHECKING:
    from skltransfer.inputs._input import Source
    from skltransfer.tasks._task import Singles


def inputs_of(estimator: Any, X: Any) -> Any:
    """Return the part of X that the backbone would read in a fit with the current parameters.

    Raises
    ------
    TypeError, ValueError
        If `tabular` is set and X is not a frame, or if X has other columns and `tabular` is None.
    """
    if estimator.tabular is not None:
        return split_frame(X, estimator.input_column).inputs
    check_one_column(X, type(estimator).__name__)
    return X


def apart(
    estimator: Any, X: Any, chosen: NDArray[np.intp] | None = None
) -> tuple[Source, Any | None]:
    """Return the rows of X, or the `chosen` ones, read as in fit, and the table of all rows."""
    encoding = estimator._encoding
    if not hasattr(estimator, "_table"):
        return encoding.source(estimator, X, chosen), None
    parts = split_frame(X, estimator._input_column)
    _check_feature_names(estimator, X, reset=False)
    _check_n_features(estimator, X, reset=False)
    return encoding.source(_without_table(estimator), parts.inputs, chosen), parts.table


def source_in(estimator: Any, X: Any) -> Any:
    """Return the rows of X as a fitted estimator's backbone reads them."""
    return apart(estimator, X)[0]


def read_by(estimator: Any, X: Any) -> Any:
    """Return the part of X that a fitted estimator's backbone reads: all of it, or one column."""
    if not hasattr(estimator, "_table"):
        return X
    return split_frame(X, estimator._input_column).inputs


def rows_of(estimator: Any, X: Any) -> tuple[Source, Singles | None]:
    """Return the rows of X, and the extra columns that the head reads, if any."""
    source, table = apart(estimator, X)
    if table is not None:
        return source, estimator._table.columns(table)
    return source, columns_of(source) if estimator._head.n_columns else None


def remember_columns(estimator: Any, X: Any) -> None:
    """Set the names and the number of the columns of a frame."""
    _check_feature_names(estimator, X, reset=True)
    _check_n_features(estimator, X, reset=True)


def check_table_kept(estimator: Any) -> None:
    """Refuse to continue if the earlier fit had a table and this one has none, or the reverse."""
    if (estimator.tabular is None) == hasattr(estimator, "_table"):
        before, now = ("a", "none") if estimator.tabular is None else ("no", "one")
        raise ValueError(
            f"The first fit had {before} table beside the input, and now there is {now}, but the "
            "inputs of the head cannot change. Set tabular back, or set warm_start=False and call "
            "fit to start again."
        )


def _without_table(estimator: Any) -> Any:
    """Return a copy of the estimator for which the backbone's column is all of X."""
    alone = object.__new__(type(estimator))
    vars(alone).update(vars(estimator), n_features_in_=1)
    if hasattr(estimator, "feature_names_in_"):
        alone.feature_names_in_ = np.array([estimator._input_column], dtype=object)
    return alone
