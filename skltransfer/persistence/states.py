"""What the attributes of each estimator may be called, and what they may hold."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from skltransfer.backbones.spec import BackboneSpec
from skltransfer.backend import backend_names
from skltransfer.inputs.reading import Reading
from skltransfer.persistence.checks import (
    Check,
    array_of,
    instance_of,
    is_bool,
    is_int,
    is_number,
    is_positive,
    is_str,
    one_of,
    optional,
    sequence_of,
)
from skltransfer.persistence.metadata_requests import REQUESTED
from skltransfer.training.head import Head
from skltransfer.training.loop import TrainingState

CARRIED = "_carried_backbone"
"""The handle of a registered name, which goes with an estimator that uses the name."""

_HISTORY = {"loss", "val_loss", "val_accuracy"}
_METHODS = {"fit", "partial_fit", "score"}
_ORIGIN = {"backbone", "image_shape", "pixel_range", "input_size", "resize"}


def _is_history(value) -> bool:
    return (
        type(value) is dict
        and set(value) <= _HISTORY
        and all(type(v) is list and all(map(is_number, v)) for v in value.values())
    )


def _is_origin(value) -> bool:
    return type(value) is dict and set(value) == _ORIGIN and is_str(value["backbone"])


def _is_output_config(value) -> bool:
    names = one_of("default", "pandas", "polars")
    return type(value) is dict and set(value) == {"transform"} and names(value["transform"])


def _is_requested(value) -> bool:
    """Whether this is what ``set_fit_request`` and the like can have asked for."""
    return type(value) is dict and all(
        method in _METHODS and type(aliases) is dict and all(map(_is_alias, aliases.values()))
        for method, aliases in value.items()
    )


def _is_alias(value) -> bool:
    return value is None or type(value) is bool or (is_str(value) and value.isidentifier())


def _is_labels(value) -> bool:
    return any(array_of(kinds, 1)(value) for kinds in ("biufU", "O"))


_FITTED: dict[str, Check] = {
    "backbone_": instance_of(BackboneSpec),
    "engine_": one_of("openvino", *backend_names()),
    "_reading": instance_of(Reading),
    "n_features_in_": is_positive,
}
_OF_EXTRACTOR: dict[str, Check] = {
    "layers_": sequence_of(is_str),
    "_feature_prefixes": sequence_of(is_str),
    "_widths": sequence_of(is_positive),
    "_n_features_out": is_positive,
}
_OF_CLASSIFIER: dict[str, Check] = {
    "_origin": _is_origin,
    "_cut": optional(is_int),
    "_seed": is_int,
    "_head": instance_of(Head),
    "_modes": sequence_of(is_bool, 2),
    "_state": instance_of(TrainingState),
    "_class_totals": array_of("f", 1),
    "classes_": _is_labels,
    "failed_rows_": array_of("iu", 1),
    "history_": _is_history,
    "n_iter_": is_int,
    "n_trainable_params_": is_positive,
}
_OPTIONAL: dict[str, Check] = {
    "feature_names_in_": array_of("O", 1),
    "_sklearn_output_config": _is_output_config,
    CARRIED: instance_of(BackboneSpec),
    REQUESTED: _is_requested,
}
_ONLY_FITTED = {"feature_names_in_"}


def _extractor_fits(state: dict[str, Any]) -> bool:
    widths = state["_widths"]
    lengths = {len(state[name]) for name in ("layers_", "_feature_prefixes", "_widths")}
    return lengths == {len(widths)} and sum(widths) == state["_n_features_out"]


def _classifier_fits(state: dict[str, Any]) -> bool:
    head, learned = state["_head"], state["_state"]
    of_classes = {len(state["classes_"]), len(state["_class_totals"]), head.n_classes}
    of_head = sum(math.prod(shape) for shape in head.shapes)
    return (
        of_classes == {head.n_classes}
        and learned.standardizer.shape == (2, head.n_features)
        and len(learned.theta) == state["n_trainable_params_"] >= of_head
        and len(state["history_"].get("loss", ())) == state["n_iter_"]
    )


KINDS = {
    "PretrainedFeatureExtractor": ({**_FITTED, **_OF_EXTRACTOR}, _extractor_fits),
    "FineTunedClassifier": ({**_FITTED, **_OF_CLASSIFIER}, _classifier_fits),
}


def unknown_names(kind: str, state: Collection[str], parameters: Collection[str]) -> set[str]:
    """Names in `state` that no estimator of `kind` has."""
    return set(state) - {*parameters, *KINDS[kind][0], *_OPTIONAL}


def check_state(kind: str, state: dict[str, Any], parameters: Collection[str]) -> None:
    """Refuse a state that no estimator of `kind` can have.

    Raises
    ------
    ValueError
        Naming what is missing, or too much, or of another type or shape.
    """
    wanted, fits = KINDS[kind]
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
            raise ValueError(f"its {kind} has {name}={state[name]!r:.80}, which cannot be.")
    if is_fitted and not fits(state):
        raise ValueError(f"its {kind} holds sizes that do not fit together.")
    _check_carried(state)


def _check_carried(state: dict[str, Any]) -> None:
    if CARRIED in state and not one_of(state[CARRIED].name)(state["backbone"]):
        raise ValueError("it brings a network under a name that its estimator does not use.")
