"""Rows, targets and weights as one weighted distribution.

A fit depends only on this distribution. So an integer weight has exactly the same effect as that
many copies of the row, and weight 0 the same as leaving the row out. To ensure this, rows of weight
0 are dropped, equal rows with equal targets are merged, and the merged rows are sorted by content.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WeightedRows:
    """The merged training set.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Position in X of the first row of each group of equal rows.
    targets : ndarray, shape (n,) or (n, k)
        Targets, as the task encodes them.
    weights : ndarray of float64, shape (n,)
        Sum of the weights of each group.
    keys : list of bytes
        Content of each row, used for sorting.
    """

    rows: NDArray[np.intp]
    targets: NDArray[np.generic]
    weights: NDArray[np.float64]
    keys: list[bytes]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.bool_]) -> WeightedRows:
        """Return the `chosen` rows, in the same order."""
        positions = np.flatnonzero(chosen)
        return WeightedRows(
            self.rows[positions],
            self.targets[positions],
            self.weights[positions],
            [self.keys[i] for i in positions],
        )


def merge_rows(
    keys: list[bytes],
    targets: NDArray[np.generic],
    weights: NDArray[np.float64],
    others: list[bytes] | None = None,
) -> WeightedRows:
    """Merge equal (row, target) pairs and sort them by content.

    Parameters
    ----------
    keys : list of bytes
        Digest of each row.
    targets : ndarray, shape (n,) or (n, k)
        Target of each row, as the task encodes it.
    weights : ndarray of float64, shape (n,)
        Positive weights.
    others : list of bytes or None, default=None
        Digests of the rest of each row, such as its table columns; a further sort key after `keys`.
    """
    others = keys if others is None else others
    groups: dict[tuple[bytes, bytes, object], list[int]] = {}
    for row, whole in enumerate(zip(keys, others, _comparable(targets), strict=True)):
        groups.setdefault(whole, []).append(row)
    ordered = [groups[pair] for pair in sorted(groups)]
    firsts = np.array([rows[0] for rows in ordered], dtype=np.intp)
    return WeightedRows(
        rows=firsts,
        targets=targets[firsts],
        # fsum rounds once, so the order of the summands does not matter
        weights=np.array([math.fsum(weights[rows]) for rows in ordered]),
        keys=[keys[first] for first in firsts],
    )


def _comparable(targets: NDArray[np.generic]) -> list[object]:
    values: list[Any] = targets.tolist()
    return values if targets.ndim == 1 else [tuple(row) for row in values]


def split_by_weight(
    weights: NDArray[np.float64], fraction: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Choose random rows that have about `fraction` of the weight: at least one, but not all."""
    order = rng.permutation(len(weights))
    reached = np.cumsum(weights[order])
    wanted = int(np.searchsorted(reached, fraction * reached[-1])) + 1
    return order[: min(wanted, len(order) - 1)]


def split_by_content(
    rows: WeightedRows, fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose random rows that have about `fraction` of the weight; equal content stays together.

    If all rows have the same content, none is chosen.
    """
    is_new = [index == 0 or key != rows.keys[index - 1] for index, key in enumerate(rows.keys)]
    numbers = np.cumsum(is_new) - 1  # equal keys are adjacent
    weights = np.asarray(np.bincount(numbers, rows.weights), np.float64)
    return np.isin(numbers, split_by_weight(weights, fraction, rng))
