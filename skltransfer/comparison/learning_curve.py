"""Cross-validated scores by the number of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from skltransfer.backend.blas import one_thread

Positions: TypeAlias = NDArray[np.intp]
Scorer: TypeAlias = Callable[[BaseEstimator, Any, NDArray[np.generic]], float]


@dataclass(frozen=True)
class Fold:
    """A split; its training rows are ordered so that the first n are stratified, for any n."""

    train: Positions
    test: Positions


@dataclass(frozen=True)
class Scores:
    """Scores of the folds, with their mean and its standard error.

    Attributes
    ----------
    values : ndarray of float64, shape (n_folds,)
        The score of each fold.
    overlap : float
        Number of test rows divided by number of training rows. `error` is corrected by it, because
        the scores of folds depend on each other: their training parts share rows.
    """

    values: NDArray[np.float64]
    overlap: float

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(self.values.mean())

    @property
    def error(self) -> float:
        """Standard error of the mean, corrected for overlap (Nadeau and Bengio, 2003)."""
        n = len(self.values)
        return float(np.sqrt(self.values.var(ddof=1) * (1 / n + self.overlap))) if n > 1 else np.nan

    def __sub__(self, other: Scores) -> Scores:
        """Return the differences, fold by fold."""
        return Scores(self.values - other.values, self.overlap)


def folds_of(y: NDArray[np.generic], cv: Any, groups: Any, seed: int) -> list[Fold]:
    """Return the splits; an int `cv` shuffles and stratifies, and keeps groups together."""
    if isinstance(cv, int):
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        cv = kind(cv, shuffle=True, random_state=seed)
    splits = check_cv(cv, y, classifier=True).split(np.zeros(len(y)), y, groups)
    return [
        Fold(train[_stratified_order(y[train], [seed, number])], test)
        for number, (train, test) in enumerate(splits)
    ]


def _stratified_order(y: NDArray[np.generic], seed: Sequence[int]) -> Positions:
    """Shuffle so that the first n rows are stratified, for any n; begin with one of each class.

    Rows are sorted by their rank within their class, divided by the size of the class.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    labels = np.unique(y, return_inverse=True)[1][order]
    place = np.empty(len(y))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = np.arange(len(members)) / len(members)
    return order[np.argsort(place, kind="stable")]


def sizes_of(folds: Sequence[Fold], n_labels: Sequence[int | None], n_classes: int) -> list[int]:
    """Return the numbers in `n_labels` from `n_classes` up to below the smallest training part."""
    largest = min(len(fold.train) for fold in folds)
    return sorted({int(n) for n in n_labels if n is not None and n_classes <= n < largest})


def learning_curve(
    estimator: BaseEstimator,
    rows: Any,
    y: NDArray[np.generic],
    folds: Sequence[Fold],
    sizes: Sequence[int | None],
    scorer: Scorer,
    n_jobs: int | None,
) -> list[Scores]:
    """Return the scores for each number of labels in `sizes`; None is all of them."""
    jobs = (
        delayed(_score)(estimator, rows, y, fold.train[:size], fold.test, scorer)
        for size in sizes
        for fold in folds
    )
    values = np.array(Parallel(n_jobs=n_jobs)(jobs)).reshape(len(sizes), len(folds))
    n_test = np.mean([len(fold.test) for fold in folds])
    n_train = np.mean([len(fold.train) for fold in folds])
    return [
        Scores(of_size, float(n_test / (size or n_train)))
        for size, of_size in zip(sizes, values, strict=True)
    ]


def _score(
    estimator: BaseEstimator,
    rows: Any,
    y: NDArray[np.generic],
    train: Positions,
    test: Positions,
    scorer: Scorer,
) -> float:
    with one_thread():  # so that results depend on neither threads nor workers
        fitted = clone(estimator).fit(_safe_indexing(rows, train), y[train])
        try:
            return float(scorer(fitted, _safe_indexing(rows, test), y[test]))
        except ValueError as error:
            absent = np.setdiff1d(y[train], y[test])
            if not len(absent):
                raise
            raise ValueError(_fold_without_class(absent.tolist()[0], error)) from error


def _fold_without_class(label: Any, error: ValueError) -> str:
    """Return the message for a scorer that fails because a fold lacks a class."""
    reason = str(error).rstrip(".")
    return (
        f"The scorer failed on a fold without test rows of class {label!r}: {reason}. Pass fewer "
        "folds, or a scorer that is told all classes, such as make_scorer(log_loss, "
        "greater_is_better=False, response_method='predict_proba', labels=np.unique(y))."
    )
