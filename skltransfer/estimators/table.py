"""The extra columns of the head: a fitted transformer, and the moments that standardise them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from skltransfer.inputs.frames import row_digests
from skltransfer.inputs.moments import column_moments, standardized

if TYPE_CHECKING:
    from skltransfer.inputs._input import Moments
    from skltransfer.tasks._task import Floats, Singles
    from skltransfer.tasks.weighting import WeightedRows


@dataclass(frozen=True)
class FittedTable:
    """How the columns that the backbone does not read become extra columns of the head.

    Attributes
    ----------
    transformer : object
        The fitted transformer, which turns these columns into numbers.
    mean, scale : ndarray of float64, shape (n_columns,)
        Weighted mean and standard deviation of these numbers in fit; constant columns have scale 1.
    """

    transformer: Any
    mean: Floats
    scale: Floats

    @property
    def n_columns(self) -> int:
        """Number of extra columns."""
        return len(self.mean)

    @property
    def moments(self) -> Moments:
        """The mean and the scale."""
        return self.mean, self.scale

    def columns(self, table: Any, rows: NDArray[np.intp] | None = None) -> Singles:
        """Return standardised columns of `table`; `rows` are positions in X, for messages."""
        numbers = _transformed(self.transformer, table, rows)
        if numbers.shape[1] != self.n_columns:
            raise ValueError(
                f"tabular={self.transformer!r} gives {numbers.shape[1]} columns, but gave "
                f"{self.n_columns} in fit. Use a transformer that always gives the same number."
            )
        return standardized(numbers, self.mean, self.scale).astype(np.float32)


def fit_table(
    tabular: Any,
    table: Any,
    y: NDArray[np.generic],
    rows: WeightedRows,
    positions: NDArray[np.intp],
    seed: int,
) -> FittedTable:
    """Fit a clone of a transformer on the distinct rows; take weighted moments of all rows.

    Parameters
    ----------
    tabular : transformer
        The user's transformer, which is not changed.
    table : frame
        The columns that the backbone does not read, for the merged rows.
    y : ndarray
        Targets of these rows, as the user gave them.
    rows : WeightedRows
        The merged rows. If rows differ only in their targets, the transformer sees only the first
        of them.
    positions : ndarray of int
        Positions of the merged rows in X, for messages.
    seed : int
        Value for every `random_state` of the transformer that is None.
    """
    seen = list(zip(rows.keys, row_digests(table), strict=True))
    firsts = [row for row, key in enumerate(seen) if row == 0 or key != seen[row - 1]]
    transformer = _seeded(clone(tabular), seed)
    transformer.fit(_safe_indexing(table, firsts), y[firsts])
    moments = column_moments(_transformed(transformer, table, positions), rows.weights)
    return FittedTable(transformer, *moments)


def _transformed(transformer: Any, table: Any, rows: NDArray[np.intp] | None) -> Floats:
    """Return finite numbers of shape (n, n_columns)."""
    found = transformer.transform(table)
    dense = found.toarray() if issparse(found) else np.asarray(found)
    try:
        numbers = np.asarray(dense, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"tabular={transformer!r} gives {dense.dtype} columns, but the head reads numbers. "
            f"Encode them, for instance with OneHotEncoder. ({error})"
        ) from error
    if numbers.ndim != 2 or len(numbers) != len(table) or not numbers.shape[1]:
        raise ValueError(
            f"tabular={transformer!r} gives an array of shape {numbers.shape} for {len(table)} "
            "rows of X, but must give one row for each, with at least one number."
        )
    _check_finite(numbers, transformer, rows)
    return numbers


def _check_finite(numbers: Floats, transformer: Any, rows: NDArray[np.intp] | None) -> None:
    faulty = np.argwhere(~np.isfinite(numbers))
    if len(faulty):
        row, column = faulty[0].tolist()
        position = row if rows is None else rows[row]
        raise ValueError(
            f"tabular={transformer!r} gives {numbers[row, column]} for row {position} of X, in its "
            f"column {column}. Impute missing values, as in make_pipeline(SimpleImputer(), ...), "
            "or leave the row out."
        )


def _seeded(transformer: Any, seed: int) -> Any:
    """Set every `random_state` that is None."""
    given = transformer.get_params(deep=True)
    names = [name for name in sorted(given) if name.split("__")[-1] == "random_state"]
    return transformer.set_params(**{name: seed for name in names if given[name] is None})
