"""A pretrained network as plain data: what to build, the weights, and the kind of input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.backbones.architectures import architecture_of
from skltransfer.backbones.layer_names import with_fresh_names
from skltransfer.backbones.shipped import shipped_spec
from skltransfer.backend import as_array

if TYPE_CHECKING:
    from skltransfer.inputs._input import InputKind, Size


@dataclass(frozen=True, eq=False, repr=False)
class BackboneSpec:
    """A pretrained network identified by content; it pickles without Keras objects.

    Attributes
    ----------
    name : str
        Name of the network.
    architecture : dict
        What to build, in JSON types: {"kind": "bundled" | "keras.applications" | "model" | ...,
        ...}; see `register_architecture`.
    preprocessing : dict
        How the tensors of a row become the network's input, in JSON types.
    input : InputKind
        The network's kind of input.
    weights : tuple of ndarray
        Arrays in the order of ``keras.Model.weights``.
    stage_pattern : str or None
        Regular expression that extracts a stage's label from a layer's name.
    bundled : bool
        Whether the weights come with the package or a companion; pickles leave such weights out.
    fingerprint : str
        SHA-256 of architecture, preprocessing, input and weights, in hexadecimal digits. It ignores
        the numbers that Keras gives to unnamed layers.
    wording : str
        SHA-256 of the architecture, including the numbers that `fingerprint` ignores.
    """

    name: str
    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    input: InputKind
    weights: tuple[np.ndarray, ...]
    stage_pattern: str | None = None
    bundled: bool = False
    fingerprint: str = ""
    wording: str = field(default="", init=False)

    def __post_init__(self) -> None:
        named = json.dumps(self.architecture, sort_keys=True)
        object.__setattr__(self, "wording", hashlib.sha256(named.encode()).hexdigest())
        if not self.fingerprint:
            architecture = with_fresh_names(self.architecture)
            described = json.dumps(
                [architecture, self.preprocessing, *self.input.identity()], sort_keys=True
            )
            object.__setattr__(self, "fingerprint", fingerprint(described, self.weights))

    @property
    def is_built_by_code(self) -> bool:
        """Whether code of Keras or of this package builds it and assigns the layer names."""
        return architecture_of(self.architecture).is_built_by_code

    @property
    def input_size(self) -> Size:
        """Size of rows that the network was trained at, such as (height, width)."""
        return self.input.size

    @property
    def n_parameters(self) -> int:
        """Number of weights, including BatchNorm statistics."""
        return sum(array.size for array in self.weights)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BackboneSpec) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<backbone {self.name!r} {self.fingerprint[:8]}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return everything or, for a network that is shipped, its name and fingerprint."""
        if not self.bundled:
            return dict(self.__dict__)
        return {"name": self.name, "bundled": True, "fingerprint": self.fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["bundled"]:
            shipped = shipped_spec(state["name"])
            _check_is_the_same(shipped, state["fingerprint"])
            state = shipped.__dict__
        self.__dict__.update(state)

    def __deepcopy__(self, memo: dict[int, Any]) -> BackboneSpec:
        """Return itself: a spec never changes, and its arrays are large."""
        return self


def _check_is_the_same(shipped: BackboneSpec, fingerprint: str) -> None:
    if shipped.fingerprint != fingerprint:
        raise ValueError(
            f"The estimator was fitted on other weights of {shipped.name!r} than this version of "
            "skltransfer ships. Load it with the version it was saved with, or fit it again."
        )


def fingerprint(described: str, arrays: Iterable[np.ndarray]) -> str:
    """Return the SHA-256 of a description and of the content, dtype and shape of arrays."""
    digest = hashlib.sha256(described.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read_only(arrays: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return read-only copies of `arrays`."""
    copies = tuple(np.array(array) for array in arrays)
    for copy in copies:
        copy.flags.writeable = False
    return copies


def arrays_of(model: Any) -> list[np.ndarray]:
    """Return the weights of a Keras model, as ``get_weights`` does."""
    return [as_array(variable) for variable in model.weights]
