"""The y of a classifier: one label for each row, or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse, sparray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skltransfer._warnings import warn_user
from skltransfer.estimators.columns_of_values import as_given, check_column
from skltransfer.inputs.missing import is_missing
from skltransfer.tasks._task import Floats
from skltransfer.tasks.classification import Classification, check_class_weight
from skltransfer.tasks.multilabel import DTYPES, Container, MultiLabel

_NESTED = (list, tuple, set, frozenset, np.ndarray)


@dataclass(frozen=True)
class OneLabel:
    """One label for each row.

    Attributes
    ----------
    values : ndarray of shape (n,)
        The labels.
    """

    values: NDArray[np.generic]

    kind: ClassVar[type] = Classification
    described: ClassVar[str] = "one label"

    def check(self, weights: Floats) -> None:
        """Do nothing: the labels were checked when they were read."""

    def warn(self, weights: Floats) -> None:
        """Do nothing: there is nothing to warn of."""

    def check_known(self, weights: Floats, classes: NDArray[np.generic]) -> None:
        """Refuse labels that are not among the classes of the first fit."""
        new = np.setdiff1d(self.values[weights > 0], classes)
        if len(new):
            raise ValueError(
                f"y contains {new.tolist()}, which are not among the classes of the first fit, "
                f"{classes.tolist()}. Fit a new classifier, or pass all classes at the start."
            )

    def task(
        self,
        seen: NDArray[np.generic],
        classes: NDArray[np.generic] | None,
        class_weight: Any,
    ) -> Classification:
        """Return the task of predicting the `classes`; None takes those of the labels `seen`."""
        if isinstance(class_weight, (list, tuple)):
            raise ValueError(
                f"class_weight={class_weight!r} is a list, as for several labels in each row, but "
                "y has one label in each row. Pass one dict, from class to factor."
            )
        known = np.unique(seen) if classes is None else classes
        return Classification(known, class_weight)


@dataclass(frozen=True)
class SeveralLabels:
    """Several labels for each row.

    Attributes
    ----------
    values : ndarray of int8, shape (n, n_labels)
        1 where a label is true, 0 where it is false, and 2 where y has another value.
    given : ndarray or sparse matrix of shape (n, n_labels)
        The labels as they were passed.
    names : ndarray of str objects or None
        Names of the columns of a frame.
    """

    values: NDArray[np.int8]
    given: Any
    names: NDArray[np.object_] | None

    kind: ClassVar[type] = MultiLabel
    described: ClassVar[str] = "several labels"

    @property
    def n_labels(self) -> int:
        """Number of labels in each row."""
        return len(self.values[0])

    def check(self, weights: Floats) -> None:
        """Refuse values other than 0 and 1, in rows of positive weight."""
        faulty = np.argwhere((self.values > 1) & (weights > 0)[:, np.newaxis])
        if not len(faulty):
            return
        row, column = faulty[0].tolist()
        value = self.given.tocsr()[row, column] if issparse(self.given) else self.given[row, column]
        name = "" if self.names is None else f" ({self.names[column]!r})"
        raise ValueError(
            f"y of shape {self.values.shape} has {value.item()!r} in row {row}, column {column}"
            f"{name}, but several labels in each row must be 0 and 1, or False and True."
            f"{self._way_out()}"
        )

    def _way_out(self) -> str:
        found = set(np.unique(self.given.data if issparse(self.given) else self.given).tolist())
        if found <= {-1, 1}:
            return " Pass (y > 0).astype(int)."
        if found == {1, 2}:
            return " Pass y - 1."
        return (
            " For several classes in every column, see sklearn.multioutput.MultiOutputClassifier."
        )

    def check_known(self, weights: Floats, classes: NDArray[np.generic]) -> None:
        """Refuse another number of labels than in the first fit."""
        if len(classes) != self.n_labels:
            raise ValueError(
                f"y has {self.n_labels} labels in each row, but classes, or the first fit, has "
                f"{len(classes)}. In partial_fit, pass classes=np.arange({self.n_labels})."
            )
        if classes.tolist() != list(range(self.n_labels)):
            raise ValueError(
                f"classes is {classes.tolist()}, but for {self.n_labels} labels in each row it "
                f"must be np.arange({self.n_labels})."
            )

    def task(
        self,
        seen: NDArray[np.generic],
        classes: NDArray[np.generic] | None,
        class_weight: Any,
    ) -> MultiLabel:
        """Return the task of predicting which of the labels are true."""
        self._check_class_weight(class_weight)
        return MultiLabel(
            n_labels=self.n_labels,
            names=self.names,
            dtype=str(_dtype_of(self.given)),
            container=_container_of(self.given),
            class_weight=class_weight,
        )

    def warn(self, weights: Floats) -> None:
        """Warn if exactly one label is true in every row: y is then probably one-hot encoded."""
        counted = self.values[weights > 0]
        if len(counted) > 1 and (counted.sum(axis=1) == 1).all():
            warn_user(
                f"y of shape {self.values.shape} has exactly one 1 in every row, and is learned as "
                "several labels that do not exclude each other. For classes that exclude each "
                "other, pass y.argmax(axis=1)."
            )

    def _check_class_weight(self, class_weight: Any) -> None:
        if class_weight is None or isinstance(class_weight, str):
            return
        example = f"[{{0: 1.0, 1: 2.0}}, ...] of {self.n_labels} dicts"
        if isinstance(class_weight, Mapping) or len(class_weight) != self.n_labels:
            raise ValueError(
                f"class_weight={class_weight!r} does not fit y with {self.n_labels} labels in each "
                f"row. Pass a list with a dict for each label, {example}, or 'balanced'."
            )
        for label, factors in enumerate(class_weight):
            if not isinstance(factors, Mapping) or not set(factors) <= {0, 1}:
                raise ValueError(
                    f"class_weight has {factors!r} for label {label}, but a dict with factors for "
                    f"0 and 1 is needed, as in {example}."
                )


LabelsOfRows: TypeAlias = OneLabel | SeveralLabels


def read_labels(y: Any) -> LabelsOfRows:
    """Return y as one label or several for each row; a single column is one, with a warning."""
    check_column(y, "y")
    _check_no_tags(y)
    if issparse(y):
        if y.shape[1] > 1:
            return SeveralLabels(_indicators(y.toarray()), y, None)
        y = y.toarray()
    elif _n_columns(y) > 1:
        columns = getattr(y, "columns", None)
        names = None if columns is None else np.array([str(name) for name in columns], object)
        given = np.asarray(y)
        _check_several_there(given)
        return SeveralLabels(_indicators(given), given, names)
    found = as_given(y, column_or_1d(y, warn=True))
    _check_labels_there(y if isinstance(y, (list, tuple)) else found)
    _check_kind_of_labels(found)
    return OneLabel(found)


def _check_kind_of_labels(found: NDArray[np.generic]) -> None:
    """Refuse continuous numbers, times, and labels that cannot be sorted."""
    if found.dtype.kind in "Mm":
        raise ValueError(
            f"y holds times ({found.dtype}), which are not labels. Turn them into classes, as in "
            "y.astype('datetime64[M]').astype(str), or into numbers for a FineTunedRegressor."
        )
    if found.dtype == object and len(kinds := {type(label).__name__ for label in found}) > 1:
        try:
            np.unique(found)
        except TypeError as error:
            raise ValueError(
                f"y holds labels of types that cannot be sorted together: {sorted(kinds)}. Pass "
                "one type, as in [str(label) for label in y]."
            ) from error
    try:
        check_classification_targets(found)
    except ValueError as error:
        raise ValueError(
            f"{error} If y holds numbers to be predicted, use a FineTunedRegressor; if it holds "
            "classes, pass them as integers or strings."
        ) from error


def lost_labels(y: NDArray[np.generic], y_read: NDArray[np.generic]) -> list[Any]:
    """Return the labels that no readable row has."""
    if y.ndim == 1:
        found: list[Any] = np.setdiff1d(y, y_read).tolist()
        return found
    gone = (y == 1).any(axis=0) & ~(y_read == 1).any(axis=0)
    return np.flatnonzero(gone).tolist()


def check_same_kind(task: Classification | MultiLabel, labels: LabelsOfRows) -> None:
    """Refuse one label for each row after a fit with several, and several after a fit with one."""
    if type(task) is not labels.kind:
        before = "several labels" if isinstance(task, MultiLabel) else "one label"
        raise ValueError(
            f"y has {labels.described} in each row, but the first fit had {before}. Fit a new "
            "classifier."
        )


def check_factors(class_weight: Any) -> None:
    """Refuse factors that are not finite numbers of 0 or more, before anything is read."""
    for factors in class_weight if isinstance(class_weight, (list, tuple)) else [class_weight]:
        check_class_weight(factors)


def _n_columns(y: Any) -> int:
    shape = getattr(y, "shape", None)
    shape = np.asarray(y).shape if shape is None else shape
    return int(shape[1]) if len(shape) == 2 else 1


def _indicators(values: NDArray[np.generic]) -> NDArray[np.int8]:
    """Return 0 and 1 as they are, and 2 for any other value."""
    found = np.full(values.shape, 2, np.int8)
    found[values == 0] = 0
    found[values == 1] = 1
    return found


def _dtype_of(given: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = given.dtype
    return dtype if str(dtype) in DTYPES else np.dtype(int)


def _container_of(given: Any) -> Container:
    if not issparse(given):
        return "array"
    return "csr_array" if isinstance(given, sparray) else "csr_matrix"


def _check_no_tags(y: Any) -> None:
    """Refuse lists of tags, which may differ in length, and texts in several columns."""
    rows = y if isinstance(y, (list, tuple)) else getattr(y, "tolist", lambda: y)()
    if issparse(y) or not isinstance(rows, (list, tuple)):
        return
    nested = [row for row in rows if isinstance(row, _NESTED)]
    if not nested:
        return
    differ = len({len(row) for row in nested}) > 1 or len(nested) < len(rows)
    if differ or any(isinstance(row, (set, frozenset)) or _holds_text(row) for row in nested):
        raise ValueError(
            f"y holds a list of tags for each row, such as {nested[0]!r:.60}. Turn them into "
            "columns of 0 and 1: sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)."
        )


def _holds_text(row: Iterable[Any]) -> bool:
    labels = list(row)
    return len(labels) > 1 and any(isinstance(label, str) for label in labels)


def _check_labels_there(y: NDArray[np.generic] | list[Any] | tuple[Any, ...]) -> None:
    """Refuse None, NaN and NA, which NumPy would turn into text in a list of strings."""
    labels = y if isinstance(y, (list, tuple)) or y.dtype.kind in "fO" else ()
    missing = [row for row, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise ValueError(
            f"y has no label in row {missing[0]}: it is {labels[missing[0]]}. This holds for "
            f"{len(missing)} of {len(y)} rows. Leave them out of X and y."
        )


def _check_several_there(given: NDArray[np.generic]) -> None:
    """Refuse None and NA among several labels. NaN is left to `check`, which knows the weights."""
    if given.dtype.kind != "O":
        return
    missing = [row for row, labels in enumerate(given) if any(map(is_missing, labels))]
    if missing:
        raise ValueError(
            f"y has no value for some label of row {missing[0]}: {given[missing[0]].tolist()}. "
            f"This holds for {len(missing)} of {len(given)} rows. Fill them in, or leave the rows "
            "out of X and y."
        )
