"""Kinds of architectures and preprocessing, by the names used in specs.

The module for each kind of input registers its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skltransfer.inputs._input import Size


@dataclass(frozen=True)
class Architecture:
    """How networks of one kind are built.

    Attributes
    ----------
    build : callable
        Builds a ``keras.Model`` from the description in a spec and a size of rows.
    stage_pattern : callable
        Returns, for a description, a regular expression that reads stages from layer names, or
        None.
    is_built_by_code : bool
        Whether code of Keras or of this package builds the network and assigns the layer names.
    """

    build: Callable[[dict[str, Any], Size], Any]
    stage_pattern: Callable[[dict[str, Any]], str | None] = lambda description: None
    is_built_by_code: bool = True


_architectures: dict[str, Architecture] = {}
_preprocessing: dict[str, Callable[[dict[str, Any]], Callable[..., Any]]] = {
    "none": lambda how: lambda tensor: tensor
}


def register_architecture(kind: str, architecture: Architecture) -> None:
    """Register a kind of architecture, the ``"kind"`` of descriptions in specs."""
    _architectures[kind] = architecture


def register_preprocessing(kind: str, make: Callable[[dict[str, Any]], Callable[..., Any]]) -> None:
    """Register a kind of preprocessing; `make` returns a function from a row to one tensor."""
    _preprocessing[kind] = make


def architecture_of(description: dict[str, Any]) -> Architecture:
    """Return how a described network is built."""
    return _architectures[description["kind"]]


def preprocessing_of(how: dict[str, Any]) -> Callable[..., Any]:
    """Return the function from the tensors of rows to the network's input."""
    return _preprocessing[how["kind"]](how)
