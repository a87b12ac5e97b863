"""An estimator's state in one file without pickle, checked completely before anything is built.

The *state* consists of the parameters and the fitted attributes. A file contains a *manifest* in
JSON, and arrays to which the manifest refers.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skltransfer._types import Path as PathLike
from skltransfer._types import is_url
from skltransfer.augmentation.keras_layers import is_keras_layer
from skltransfer.persistence import tenants as tenants
from skltransfer.persistence.additions import completed
from skltransfer.persistence.backbones import decode_backbone, encode_backbone
from skltransfer.persistence.errors import Explained
from skltransfer.persistence.file import read_file, write_file
from skltransfer.persistence.later_parameters import with_later_parameters
from skltransfer.persistence.layers import LayerConfig, config_of, layer_from
from skltransfer.persistence.protocol_1 import upgraded
from skltransfer.persistence.states import (
    CARRIED,
    check_state,
    known_kinds,
    module_of,
    unknown_names,
)
from skltransfer.persistence.values import Reader, Writer

__all__ = ["CARRIED", "read_state", "write_state"]

_AUGMENT = "augment"
_LAYER = "layer"
_FORGED = (
    "save() writes no such file, so it was changed afterwards. Nothing in it was built. Save the "
    "estimator again where it was made."
)
_WAY_OUT = "joblib.dump(estimator, path) keeps any Python object, in a pickle."


def write_state(
    path: PathLike, estimator: type, state: dict[str, Any], parameters: Collection[str]
) -> None:
    """Write what an estimator holds; see ``BackboneEstimator.save``.

    Parameters
    ----------
    path : str or Path
        The file.
    estimator : type
        The estimator's class.
    state : dict
        Parameters and fitted attributes.
    parameters : collection of str
        Names of the parameters.

    Raises
    ------
    TypeError
        If a value cannot be saved.
    ValueError
        If `read_state` would refuse the file.
    """
    kind = estimator.__name__
    if module_of(kind) != estimator.__module__:
        raise TypeError(
            f"{kind} cannot be saved: save() knows {' and '.join(known_kinds())}, but no "
            f"subclasses of them. {_WAY_OUT}"
        )
    strange = unknown_names(kind, state, parameters)
    if strange:
        raise TypeError(
            f"This {kind} cannot be saved: save() does not know the attributes "
            f"{', '.join(sorted(strange))}. Delete them first. {_WAY_OUT}"
        )
    with _naming(f"This {kind}"):
        check_state(kind, state, parameters)
    writer, values, backbones = Writer(), {}, []
    for name, value in state.items():
        with _naming(f"{name} of this {kind}"):
            values[name] = _encoded(name, value, writer)
    for spec in writer.backbones:
        with _naming(f"The backbone {spec.name!r} of this {kind}"):
            backbones.append(encode_backbone(spec, writer))
    content = {"estimator": kind, "backbones": backbones, "state": values}
    write_file(_expanded(path), content, writer.arrays)


def read_state(path: PathLike) -> tuple[type, dict[str, Any]]:
    """Return the estimator's class and its state.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    ValueError
        With the reason, if anything in the file differs from what `write_state` writes.
    """
    file = _expanded(path)
    try:
        manifest, arrays = read_file(file)
        if manifest["protocol"] == 1:
            manifest = upgraded(manifest)
        return _check_manifest(completed(manifest), Reader(arrays))
    except Explained:
        raise
    except ValueError as error:
        raise ValueError(f"{error} {_FORGED}") from error


def _check_manifest(manifest: dict[str, Any], reader: Reader) -> tuple[type, dict[str, Any]]:
    kind = _class_of(manifest["estimator"])
    manifest = with_later_parameters(manifest, kind._get_param_names())
    if not isinstance(manifest["backbones"], list) or not isinstance(manifest["state"], dict):
        raise ValueError("its manifest has no list of backbones, or no state.")
    state = _decoded(manifest["state"], manifest["backbones"], reader)
    check_state(kind.__name__, state, kind._get_param_names())
    reader.check_all_used()
    if isinstance(state.get(_AUGMENT), LayerConfig):
        state[_AUGMENT] = layer_from(state[_AUGMENT])
    return kind, state


def _class_of(name: object) -> Any:
    """Return the estimator class that a file names."""
    module = module_of(name) if isinstance(name, str) else None
    if module is None:
        allowed = ", ".join(known_kinds())
        raise ValueError(f"it asks for the class {name!r:.60}; allowed are {allowed}.")
    return getattr(importlib.import_module(module), str(name))


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Turn an error into one that names what cannot be saved, and says what to do."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = str(error).rstrip(".")
        raise kind(f"{what} cannot be saved: {reason}. {_WAY_OUT}") from error


def _encoded(name: str, value: object, writer: Writer) -> Any:
    if name == _AUGMENT and is_keras_layer(value):
        return {_LAYER: writer.encode(config_of(value).config)}
    return writer.encode(value)


def _decoded(nodes: dict[str, Any], backbones: list[object], reader: Reader) -> dict[str, Any]:
    # Networks are decoded first, because values may refer to them.
    reader.backbones.extend(decode_backbone(node, reader) for node in backbones)
    return {name: _attribute(name, node, reader) for name, node in nodes.items()}


def _attribute(name: str, node: Any, reader: Reader) -> Any:
    if name == _AUGMENT and isinstance(node, dict) and list(node) == [_LAYER]:
        return LayerConfig(reader.decode(node[_LAYER]))
    return reader.decode(node)


def _expanded(path: PathLike) -> Path:
    """Return the local file that a path names."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(
            f"path={path!r:.80} is a {type(path).__name__}. Give the path of a file, as str or "
            "Path; for a stream or bytes, use a file in a tempfile.TemporaryDirectory()."
        )
    if is_url(path):
        raise ValueError(
            f"path={str(path)!r} is a URL, and nothing is uploaded or downloaded. Give the path of "
            "a local file, and copy it with a program for such URLs."
        )
    return Path(os.path.expanduser(path))
