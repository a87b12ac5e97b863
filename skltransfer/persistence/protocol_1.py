"""Conversion of files of protocol 1, the first version of the format, to protocol 2.

A *record* is a dataclass of the fitted state in a file. Protocol 1 named records after their
classes, had one record for both images and rows of numbers, and knew only class labels. Values that
it lacked are filled in so that the meaning stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_RENAMED = {"_cut": "_freeze_point", "_reading": "_encoding"}
_LATER = {"_freeze_point", "_encoding", "_task", "_layer", "_pooling"}
_LATER_PARAMETERS = {"layer": None, "pooling": None}
"""Parameters that the classifier lacked in protocol 1; the extractor already had both."""

_HEAD = ("n_features", "units", "activation", "n_classes")
_TRAINING_STATE = ("theta", "fixed", "standardizer", "first", "second", "n_steps")
_RULE = ("size", "resize", "pixel_range")
_RULE_OF_NUMBERS = {"resize": "stretch", "pixel_range": None}
_LAYOUT = ("mean", "scale")
_FIELDS_RENAMED = {
    "n_classes": "n_outputs",
    "theta": "params",
    "first": "exp_avg",
    "second": "exp_avg_sq",
}
_BACKBONE = ("name", "fingerprint", "architecture", "preprocessing", "input_size", "weights")
_INPUT = {"input_size": "input"}
_VIEWS = {"flips+turns": "dihedral"}


def upgraded(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest in protocol 2; invalid parts stay as they are, to be refused later.

    Parameters
    ----------
    manifest : dict
        The manifest, the JSON part of a file, as read.

    Raises
    ------
    ValueError
        If it contains something that protocol 2 introduced.
    """
    state, backbones = manifest["state"], manifest["backbones"]
    if isinstance(state, dict):
        is_classifier = manifest["estimator"] == "FineTunedClassifier"
        state = (_of_classifier if is_classifier else _of_extractor)(state)
    if isinstance(backbones, list):
        backbones = [_backbone(node) for node in backbones]
    return {**manifest, "state": state, "backbones": backbones}


def _of_extractor(state: dict[str, Any]) -> dict[str, Any]:
    _check_none_later(state, _LATER)
    filled = _renamed(state)
    if {"_encoding", "pooling"} <= set(filled):
        filled["_pooling"] = filled["pooling"]
    return filled


def _of_classifier(state: dict[str, Any]) -> dict[str, Any]:
    _check_none_later(state, _LATER | set(_LATER_PARAMETERS))
    filled = {**_renamed(state), **_LATER_PARAMETERS}
    if isinstance(filled.get("augment"), str):
        filled["augment"] = _VIEWS.get(filled["augment"], filled["augment"])
    if {"classes_", "_class_totals"} <= set(filled):
        filled |= {"_layer": None, "_pooling": "avg"}
        filled["_task"] = {
            "classification": {
                "classes": filled.pop("classes_"),
                "class_weight": None,
                "label_smoothing": 0.0,
                "totals": filled.pop("_class_totals"),
            }
        }
    return filled


def _check_none_later(found: dict[str, Any], later: set[str]) -> None:
    names = later & set(found)
    if names:
        raise ValueError(f"it holds {', '.join(sorted(names))}, which protocol 1 does not know.")


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes under their new names, with their records in the new form."""
    return {
        _RENAMED.get(name, name): _ATTRIBUTES[name](node) if name in _ATTRIBUTES else node
        for name, node in state.items()
    }


def _record(old: str, new: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return a function that renames a record and its fields."""

    def renamed(node: Any) -> Any:
        fields = _fields(node, old, names)
        if fields is None:
            return node
        return {new: {_FIELDS_RENAMED.get(f, f): value for f, value in fields.items()}}

    return renamed


def _fields(node: Any, name: str, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the fields of a protocol 1 record; None for anything else."""
    if not isinstance(node, dict) or list(node) != [name]:
        return None
    content: dict[str, Any] = node[name]
    return content if isinstance(content, dict) and tuple(content) == names else None


def _encoding(node: Any) -> Any:
    fields = _fields(node, "Reading", ("rule", "layout", "image_shape"))
    if fields is None:
        return node
    rule, layout, shape = fields.values()
    if layout is None:
        return {"image_encoding": {"preprocessing": _preprocessing(rule), "image_shape": shape}}
    of_rule = _fields(rule, "PixelRule", _RULE)
    if of_rule is None or of_rule != {**of_rule, **_RULE_OF_NUMBERS} or shape is not None:
        return node
    return {"tabular_encoding": {"size": of_rule["size"], "layout": _layout(layout)}}


def _origin(node: Any) -> Any:
    """Return the origin (the settings that no later fit can change) with missing ones filled in."""
    if isinstance(node, dict) and isinstance(node.get("dict"), list):
        return {"dict": [*node["dict"], *map(list, _LATER_PARAMETERS.items())]}
    return node


_preprocessing = _record("PixelRule", "image_preprocessing", _RULE)
_layout = _record("RowLayout", "tabular_to_image", _LAYOUT)
_ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    "_head": _record("Head", "head", _HEAD),
    "_origin": _origin,
    "_reading": _encoding,
    "_state": _record("TrainingState", "training_state", _TRAINING_STATE),
}


def _backbone(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    _check_none_later(node, {"input"})
    if tuple(node) != _BACKBONE:
        return node
    upgraded = {**node, "input_size": {"image_input": {"size": node["input_size"]}}}
    return {_INPUT.get(name, name): content for name, content in upgraded.items()}
