"""Fields added to protocol 2 before its release, with the values that files without them get.

A *protocol* is a version of the file format. A *manifest* is the part of a file that is JSON.
"""

from __future__ import annotations

from typing import Any

_HEAD = "head"
_SINGLE = {"_freeze_point", "_state"}
_NAN = {"float": "nan"}
_UNKNOWN = {
    "freeze_depth": "unknown",
    "learning_rate": _NAN,
    "layer_decay": _NAN,
    "label_smoothing": 0.0,
}
"""How a member (one network of an ensemble) was trained, where a file does not say it."""

_IMAGES, _RULE, _EXPLICIT = "image_encoding", "image_preprocessing", "is_explicit"


def completed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest with missing fields filled in; invalid parts stay, to be refused later.

    Parameters
    ----------
    manifest : dict
        A manifest of protocol 2.
    """
    state = manifest["state"]
    if not isinstance(state, dict):
        return manifest
    is_explicit = state.get("pixel_range") is not None
    state = {name: _with_explicit(node, is_explicit) for name, node in state.items()}
    if "_head" in state:
        state["_head"] = _without_columns(state["_head"])
    if "_pooling" in state and "precision" in state:
        state.setdefault("_precision", state["precision"])
    if state.keys() >= _SINGLE:
        state = _with_members(state)
    return {**manifest, "state": state}


def _without_columns(node: Any) -> Any:
    """Return a head with `n_columns=0` if it lacks this field: then it reads only features."""
    fields = node.get(_HEAD) if isinstance(node, dict) else None
    if not isinstance(fields, dict) or "n_columns" in fields:
        return node
    return {_HEAD: {**fields, "n_columns": 0}}


def _with_members(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with one member, made of the estimator's own attributes."""
    kept = {name: node for name, node in state.items() if name not in _SINGLE}
    known = {name: _plain_or(state.get(name), node) for name, node in _UNKNOWN.items()}
    return {
        **kept,
        "_freeze_points": {"tuple": [state["_freeze_point"]]},
        "_members": {"tuple": [{"member": known}]},
        "_states": {"tuple": [state["_state"]]},
    }


def _plain_or(node: Any, other: Any) -> Any:
    """Return a parameter if it is a plain value, which may occur twice in a file; else `other`."""
    return node if type(node) in (int, float, str) else other


def _with_explicit(node: Any, is_explicit: bool) -> Any:
    """Return an image encoding; if it does not say whether `pixel_range` was given, add this."""
    encoding = node.get(_IMAGES) if isinstance(node, dict) else None
    rule = encoding.get("preprocessing") if isinstance(encoding, dict) else None
    fields = rule.get(_RULE) if isinstance(rule, dict) else None
    if not isinstance(encoding, dict) or not isinstance(fields, dict) or _EXPLICIT in fields:
        return node
    return {_IMAGES: {**encoding, "preprocessing": {_RULE: {**fields, _EXPLICIT: is_explicit}}}}
