"""Parameters that came after a file was written, with the values that meant the same."""

from __future__ import annotations

from typing import Any

_PARAMETERS: dict[str, Any] = {"max_tokens": None, "sample_rate": None, "max_seconds": None}


def with_later_parameters(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest as it is written today; what is not as `write_state` writes it is left."""
    state = manifest["state"]
    if not isinstance(state, dict):
        return manifest
    filled = {**_PARAMETERS, **state}
    if "_origin" in filled:
        filled["_origin"] = _origin(filled["_origin"])
    return {**manifest, "state": filled}


def _origin(node: Any) -> Any:
    """What a fit starts from."""
    pairs = node.get("dict") if isinstance(node, dict) else None
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and pair for pair in pairs):
        return node
    known = [pair[0] for pair in pairs]
    later = [[name, value] for name, value in _PARAMETERS.items() if name not in known]
    return {"dict": [*pairs, *later]}
