"""Checks of the estimators and parameters that are passed to displays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

_EMPTY_FOLDER = (
    " If the names are the target_names of a folder, they may include the name of an empty class "
    "folder: list the files with labels='names', and leave out display_labels."
)


def unwrapped(estimator: Any) -> Any:
    """Return the estimator itself, or the best estimator of a fitted search."""
    if hasattr(estimator, "cv_results_") and not hasattr(estimator, "best_estimator_"):
        raise ValueError(
            f"This {type(estimator).__name__} was fitted with refit={estimator.refit!r} and keeps "
            "no fitted estimator. Fit it with refit=True, or pass a fitted estimator."
        )
    return getattr(estimator, "best_estimator_", estimator)


def last_of(estimator: Any) -> Any:
    """Return the last step of a pipeline, or of a search's best one, or the estimator itself."""
    check_is_fitted(estimator)
    found = unwrapped(estimator)
    return found[-1] if isinstance(found, Pipeline) else found


def check_count(name: str, value: Any, smallest: int) -> int:
    """Return `value` if it is an int of at least `smallest`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"{name}={value!r} must be an int of {smallest} or more.")
    return int(value)


def class_names(classes: np.ndarray, display_labels: Sequence[object] | None) -> list[str]:
    """Return the names to plot for the `classes`: the labels themselves, or `display_labels`."""
    if display_labels is None:
        return [str(label) for label in classes]
    if len(display_labels) != len(classes):
        cause = _EMPTY_FOLDER if len(display_labels) > len(classes) else ""
        raise ValueError(
            f"display_labels has {len(display_labels)} names, but there are {len(classes)} "
            f"classes: {classes.tolist()}. Give one name for each, in this order.{cause}"
        )
    return [str(name) for name in display_labels]


def check_one_label(y: Any, call: str) -> None:
    """Refuse several labels in each row; `call` shows how to pass one of them."""
    if np.ndim(y) == 2 and np.shape(y)[1] > 1:
        raise ValueError(
            f"y has {np.shape(y)[1]} labels in each row, but this display shows one. Choose label "
            f"j: {call}."
        )


def positions_among(
    labels: Iterable[object], classes: np.ndarray, name: str, advice: str
) -> np.ndarray:
    """Return the position of each label in `classes`; `name` is the parameter that holds them."""
    place = {label: index for index, label in enumerate(classes.tolist())}
    unknown = sorted({str(label) for label in labels if label not in place})
    if unknown:
        raise ValueError(
            f"{name} holds {', '.join(unknown)}, which is not among the classes "
            f"{classes.tolist()}. {advice}"
        )
    return np.array([place[label] for label in labels], dtype=np.intp)
