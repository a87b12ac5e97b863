"""The names and allowed values of the attributes of each estimator."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from skltransfer._fields import IntVector, PositiveInt
from skltransfer.backbones.spec import BackboneSpec
from skltransfer.backend import backend_names
from skltransfer.persistence.checks import Check, checks_of, is_str, one_of
from skltransfer.persistence.records import serves_as
from skltransfer.tasks.classification import Classification
from skltransfer.tasks.multilabel import MultiLabel
from skltransfer.tasks.regression import Regression
from skltransfer.training.head import Head
from skltransfer.training.members import Member
from skltransfer.training.state import TrainingState

CARRIED = "_carried_backbone"
"""Attribute with the network that was registered under a name. It is saved with every estimator
that uses this name."""

_METHODS = {"fit", "partial_fit", "score"}
_ORIGIN = {
    *("backbone", "image_shape", "pixel_range", "input_size", "resize", "layer", "pooling"),
    *("max_tokens", "sample_rate", "max_seconds"),
}


@dataclass(frozen=True)
class EstimatorState:
    """The state of estimators of one class.

    Attributes
    ----------
    module : str
        Module of the class.
    fitted : mapping of str to callable
        The attributes that `fit` sets, with their checks.
    fits : callable
        Returns whether the attributes are consistent.
    """

    module: str
    fitted: Mapping[str, Check]
    fits: Callable[[dict[str, Any]], bool]


def _is_history(value: dict[str, list[float]]) -> bool:
    return all(name == "loss" or name.startswith("val_") for name in value)


def _is_origin(value: dict[str, Any]) -> bool:
    return set(value) == _ORIGIN and is_str(value["backbone"])


def _is_output_config(value: dict[str, Any]) -> bool:
    return set(value) == {"transform"} and _is_container(value["transform"])


def _is_requested(value: dict[str, dict[Any, Any]]) -> bool:
    """Return whether `value` could come from ``set_fit_request`` and similar methods."""
    return set(value) <= _METHODS and all(
        map(_is_alias, chain.from_iterable(aliases.values() for aliases in value.values()))
    )


def _is_alias(value: object) -> bool:
    return value is None or type(value) is bool or (is_str(value) and str(value).isidentifier())


_is_container = one_of("default", "pandas", "polars")
_Dict: TypeAlias = dict[Any, Any]


class BackboneState(TypedDict):
    """Attributes that `fit` sets in every estimator."""

    backbone_: BackboneSpec
    engine_: Annotated[str, one_of("openvino", *backend_names())]
    _encoding: Annotated[object, serves_as("encoding")]
    _pooling: str
    _precision: Annotated[str, one_of("float32", "bfloat16", "float16")]
    n_features_in_: PositiveInt


class ExtractorState(BackboneState):
    """Attributes of a fitted extractor."""

    layers_: tuple[str, ...]
    _feature_prefixes: tuple[str, ...]
    _widths: tuple[PositiveInt, ...]
    _n_features_out: PositiveInt


class FineTunedState(BackboneState):
    """Attributes of every fine-tuned estimator."""

    _layer: str | None
    _origin: Annotated[_Dict, _is_origin]
    _freeze_points: tuple[int | None, ...]
    _seed: int
    _head: Head
    _members: tuple[Member, ...]
    _modes: tuple[bool, bool]
    _states: tuple[TrainingState, ...]
    _task: Annotated[object, serves_as("task")]
    failed_rows_: IntVector
    history_: Annotated[dict[str, list[float]], _is_history]
    n_iter_: int
    n_trainable_params_: PositiveInt


class OptionalState(TypedDict):
    """Attributes that an estimator may have, fitted or not."""

    feature_names_in_: Annotated[NDArray[np.object_], lambda names: names.ndim == 1]
    _sklearn_output_config: Annotated[_Dict, _is_output_config]
    _carried_backbone: BackboneSpec
    _requested_metadata: Annotated[dict[str, _Dict], _is_requested]


FINE_TUNED = checks_of(FineTunedState)
_OPTIONAL = checks_of(OptionalState)
_ONLY_FITTED = {"feature_names_in_"}


def _extractor_fits(state: dict[str, Any]) -> bool:
    widths = state["_widths"]
    lengths = {len(state[name]) for name in ("layers_", "_feature_prefixes", "_widths")}
    return lengths == {len(widths)} and sum(widths) == state["_n_features_out"]


def fine_tuned_fits(state: dict[str, Any]) -> bool:
    """Return whether the attributes of a fine-tuned estimator are consistent."""
    head, learned, task = state["_head"], state["_states"], state["_task"]
    of_head = sum(math.prod(shape) for shape in head.shapes)
    n_params = [len(each.params) for each in learned]
    return bool(
        task.n_outputs == head.n_outputs
        and len(state["_members"]) == len(state["_freeze_points"]) == len(learned) > 0
        and all(each.standardizer.shape == (2, head.n_features) for each in learned)
        and sum(n_params) == state["n_trainable_params_"]
        and min(n_params) >= of_head
        and len(state["history_"].get("loss", ())) == state["n_iter_"]
    )


def _classifier_fits(state: dict[str, Any]) -> bool:
    task = state["_task"]
    knows_labels = type(task) in (Classification, MultiLabel) and task.totals is not None
    return knows_labels and fine_tuned_fits(state)


def _regressor_fits(state: dict[str, Any]) -> bool:
    task = state["_task"]
    return type(task) is Regression and task.mean is not None and fine_tuned_fits(state)


_estimators = {
    "PretrainedFeatureExtractor": EstimatorState(
        "skltransfer.estimators.extractor", checks_of(ExtractorState), _extractor_fits
    ),
    "FineTunedClassifier": EstimatorState(
        "skltransfer.estimators.classifier", FINE_TUNED, _classifier_fits
    ),
    "FineTunedRegressor": EstimatorState(
        "skltransfer.estimators.regressor", FINE_TUNED, _regressor_fits
    ),
}


def register_estimator(kind: type, fitted: Mapping[str, Check], fits: Callable[..., bool]) -> None:
    """Register a class of estimators for saving and loading."""
    _estimators[kind.__name__] = EstimatorState(kind.__module__, fitted, fits)


def module_of(kind: str) -> str | None:
    """Return the module of the estimator class saved under a name; None if there is none."""
    return _estimators[kind].module if kind in _estimators else None


def known_kinds() -> tuple[str, ...]:
    """Return the names of all estimator classes that can be saved."""
    return tuple(_estimators)


def unknown_names(kind: str, state: Collection[str], parameters: Collection[str]) -> set[str]:
    """Return the names in `state` that no estimator of `kind` has."""
    return set(state) - {*parameters, *_estimators[kind].fitted, *_OPTIONAL}


def check_state(kind: str, state: dict[str, Any], parameters: Collection[str]) -> None:
    """Refuse a state that no estimator of `kind` can have.

    Raises
    ------
    ValueError
        If something is missing, unexpected, or of a wrong type or shape; the message names it.
    """
    wanted, fits = _estimators[kind].fitted, _estimators[kind].fits
    missing = set(parameters) - set(state)
    strange = unknown_names(kind, state, parameters)
    is_fitted = not wanted.keys().isdisjoint(state)
    if is_fitted or not _ONLY_FITTED.isdisjoint(state):
        missing |= set(wanted) - set(state)
    if missing or strange:
        what, names = ("lacks", missing) if missing else ("cannot have", strange)
        raise ValueError(f"its {kind} {what} {', '.join(sorted(names)):.200}.")
    for name, check in {**wanted, **_OPTIONAL}.items():
        if name in state and not check(state[name]):
            raise ValueError(f"its {kind} has {name}={state[name]!r:.80}, which is not allowed.")
    if is_fitted and not fits(state):
        raise ValueError(f"its {kind} holds sizes that do not fit together.")
    _check_carried(state)


def _check_carried(state: dict[str, Any]) -> None:
    if CARRIED in state and not one_of(state[CARRIED].name)(state["backbone"]):
        raise ValueError("it contains a network under a name that its estimator does not use.")
