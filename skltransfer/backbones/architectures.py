"""Kinds of architectures and of preprocessing, by the names that specs have for them.

A file of backbones for one kind of input registers what is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skltransfer.inputs._input import Size


@dataclass(frozen=True)
class Architecture:
    """How networks of one make are built.

    Attributes
    ----------
    build : callable
        From the description in a spec and a size of rows to a ``keras.Model``.
    stage_pattern : callable
        From the description to a regular expression that reads stages from names of layers, or
        None.
    is_built_by_code : bool
        Whether code of Keras or of this package builds it, which draws the names of layers.
    """

    build: Callable[[dict[str, Any], Size], Any]
    stage_pattern: Callable[[dict[str, Any]], str | None] = lambda description: None
    is_built_by_code: bool = True


_architectures: dict[str, Architecture] = {}
_preprocessing: dict[str, Callable[[dict[str, Any]], Callable[..., Any]]] = {
    "none": lambda how: lambda tensor: tensor
}


def register_architecture(kind: str, architecture: Architecture) -> None:
    """Add a kind of architecture, the ``"kind"`` of the descriptions in specs."""
    _architectures[kind] = architecture


def register_preprocessing(kind: str, make: Callable[[dict[str, Any]], Callable[..., Any]]) -> None:
    """Add a kind of preprocessing; `make` gives the function from a row's tensors to one tensor."""
    _preprocessing[kind] = make


def architecture_of(description: dict[str, Any]) -> Architecture:
    """How a described network is built."""
    return _architectures[description["kind"]]


def preprocessing_of(how: dict[str, Any]) -> Callable[..., Any]:
    """Function from the tensors of rows to the network's input."""
    return _preprocessing[how["kind"]](how)
