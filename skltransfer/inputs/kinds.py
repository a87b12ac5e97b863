"""The kinds of input, by name; each registers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skltransfer.inputs._input import InputKind

_kinds: dict[str, type[InputKind]] = {}


def register_kind(kind: type[InputKind], name: str) -> None:
    """Register a kind of input."""
    _kinds[name] = kind


def parameters_of_kinds() -> frozenset[str]:
    """Return all parameters that apply only to some kinds of input."""
    found: frozenset[str] = frozenset()
    return found.union(*(_parameters(kind) for kind in _kinds.values()))


def _parameters(kind: type[InputKind]) -> frozenset[str]:
    parameters: frozenset[str] = vars(kind)["parameters"]
    return parameters
