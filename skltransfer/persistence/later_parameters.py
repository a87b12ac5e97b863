"""Parameters that older files lack, with the values that change nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_OF_ORIGIN: dict[str, Any] = {"max_tokens": None, "sample_rate": None, "max_seconds": None}
LATER_PARAMETERS: dict[str, Any] = {
    **_OF_ORIGIN,
    "tabular": None,
    "input_column": None,
    "adaptation": None,
}


def with_later_parameters(manifest: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Fill in later parameters; invalid parts stay as they are, to be refused later.

    Parameters
    ----------
    manifest : dict
        The manifest, the JSON part of a file, as read.
    names : collection of str
        Names of the parameters of the estimator's class.
    """
    state = manifest["state"]
    if not isinstance(state, dict):
        return manifest
    later = {name: value for name, value in LATER_PARAMETERS.items() if name in names}
    filled = state | {name: value for name, value in later.items() if name not in state}
    if "_origin" in filled:
        filled["_origin"] = _origin(filled["_origin"])
    return {**manifest, "state": filled}


def _origin(node: Any) -> Any:
    """Return the origin (the settings that no later fit can change) with missing ones filled in."""
    pairs = node.get("dict") if isinstance(node, dict) else None
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and pair for pair in pairs):
        return node
    known = [pair[0] for pair in pairs]
    missing = [[name, value] for name, value in _OF_ORIGIN.items() if name not in known]
    return {"dict": [*pairs, *missing]}
