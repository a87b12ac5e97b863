"""Rows, labels and weights as one weighted distribution.

A fit that is a function of the distribution alone gives integer weights the meaning of repeated
rows, and weight 0 that of a row removed, exactly: rows of weight 0 are dropped, equal rows with
equal labels merged, and the rest put in an order that only content decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np


@dataclass(frozen=True)
class WeightedRows:
    """The merged training set.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Position in X of the first of each group of equal rows.
    labels : ndarray of int, shape (n,)
        Index of the class of each.
    weights : ndarray of float64, shape (n,)
        Sum of the weights of each group.
    keys : list of bytes
        Content of each row, by which they are ordered.
    """

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    keys: list[bytes]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> WeightedRows:
        """A part of the rows, in the same order."""
        positions = np.arange(len(self))[chosen]
        return WeightedRows(
            self.rows[positions],
            self.labels[positions],
            self.weights[positions],
            [self.keys[i] for i in positions],
        )


def merge_rows(keys: list[bytes], labels: np.ndarray, weights: np.ndarray) -> WeightedRows:
    """Merge equal (row, label) pairs and put them in the order of their content.

    Parameters
    ----------
    keys : list of bytes
        Digest of each row.
    labels : ndarray of int, shape (n,)
        Index of the class of each row.
    weights : ndarray of float64, shape (n,)
        Positive weights.
    """
    groups: dict[tuple[bytes, int], list[int]] = {}
    for row, pair in enumerate(zip(keys, labels.tolist(), strict=True)):
        groups.setdefault(pair, []).append(row)
    ordered = sorted(groups)
    return WeightedRows(
        rows=np.array([groups[pair][0] for pair in ordered], dtype=np.intp),
        labels=np.array([label for _, label in ordered], dtype=np.intp),
        # fsum rounds once: 3 x 0.1 is the same however it is put together
        weights=np.array([math.fsum(weights[groups[pair]]) for pair in ordered]),
        keys=[key for key, _ in ordered],
    )


def class_factors(class_weight, classes: np.ndarray, rows: WeightedRows) -> np.ndarray:
    """Factor of each class on the loss.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        As in scikit-learn: "balanced" makes the classes' total weights equal.
    classes : ndarray of shape (n_classes,)
        Labels, in the order of the indices in `rows`.
    rows : WeightedRows
        Training set.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, dict):
        return _given_factors(class_weight, classes.tolist())
    totals = np.array([math.fsum(rows.weights[rows.labels == k]) for k in range(len(classes))])
    present = totals > 0  # after a warm start or in partial_fit some class may be absent
    factors = np.ones(len(classes))
    with np.errstate(over="ignore"):  # it is refused with the weights of the rows
        factors[present] = math.fsum(totals) / (np.count_nonzero(present) * totals[present])
    return factors


def check_class_weight(class_weight) -> None:
    """Refuse factors that are no numbers, negative or not finite, before anything is read."""
    for label, factor in class_weight.items() if isinstance(class_weight, dict) else ():
        is_number = isinstance(factor, Real) and not isinstance(factor, bool)
        if not is_number or not 0 <= factor < math.inf:
            raise ValueError(
                f"class_weight={class_weight!r} gives class {label!r} the factor {factor!r}. "
                "Factors must be finite numbers, 0 or more."
            )


def _given_factors(class_weight: dict, labels: list) -> np.ndarray:
    """Factors of a dict, 1 for classes that it leaves out.

    As in scikit-learn, it may hold more than the classes only where it leaves none out: a fold
    may lack a class, but a mistyped label would go unnoticed.
    """
    unknown = [label for label in class_weight if label not in labels]
    without = [label for label in labels if label not in class_weight]
    if unknown and without:
        raise ValueError(
            f"class_weight has factors for {unknown}, which are not among the classes {labels} of "
            f"y, and none for {without}. Use the labels as they are in y."
        )
    factors = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not factors.any():
        raise ValueError(
            f"class_weight={class_weight!r} gives every class the factor 0; at least one must be "
            "positive."
        )
    return factors


def split_by_weight(
    rows: WeightedRows, n_classes: int, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Choose a stratified part of about `fraction` of each class's weight.

    Returns
    -------
    ndarray of bool, shape (n,)
        Which rows are chosen. Every class keeps at least one row on the other side; a class of a
        single row is not chosen from.
    """
    chosen = np.zeros(len(rows), dtype=bool)
    for label in range(n_classes):
        members = rng.permutation(np.flatnonzero(rows.labels == label))
        if not len(members):  # after a warm start a class may be absent
            continue
        reached = np.cumsum(rows.weights[members])
        wanted = int(np.searchsorted(reached, fraction * reached[-1])) + 1
        chosen[members[: min(wanted, len(members) - 1)]] = True
    return chosen
