"""Networks in a file: if the package ships a network, its name and fingerprint; else its content.

The *fingerprint* is a digest of the network with its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.architectures import architecture_of
from skltransfer.backbones.efficientnet_lite import VARIANTS
from skltransfer.backbones.shipped import shipped_spec
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.backbones.transformer import KIND, TransformerConfig
from skltransfer.persistence.checks import Check, is_finite, is_json, is_str, one_of
from skltransfer.persistence.errors import Explained
from skltransfer.persistence.keras_configs import check_config
from skltransfer.persistence.records import serves_as

if TYPE_CHECKING:
    import numpy as np

    from skltransfer.persistence.values import Reader, Writer

_CONTENT = ("architecture", "preprocessing", "input")
_KEYS = ("name", "fingerprint", *_CONTENT, "weights")
_BUNDLED_KEYS = ("name", "fingerprint")
_MODES = ("tf", "torch", "caffe")
_PIXELS = "biuf"


def encode_backbone(spec: BackboneSpec, writer: Writer) -> dict[str, Any]:
    """Return the network in JSON types; for a bundled one, only its name and fingerprint.

    Raises
    ------
    ValueError
        If the network's configuration names something that could not be loaded again.
    """
    named = {"name": spec.name, "fingerprint": spec.fingerprint}
    if spec.bundled:
        return named
    check_config(spec.architecture)
    content = {name: writer.encode(getattr(spec, name)) for name in _CONTENT}
    return {**named, **content, "weights": [writer.add_array(array) for array in spec.weights]}


def decode_backbone(node: object, reader: Reader) -> BackboneSpec:
    """Return the network, after checking its fingerprint; no layer is built.

    Raises
    ------
    ValueError
        If the network does not match its fingerprint, or asks for something forbidden.
    """
    if not isinstance(node, dict) or tuple(node) not in (_KEYS, _BUNDLED_KEYS):
        raise ValueError(f"a backbone in it does not consist of {', '.join(_KEYS)}.")
    if not is_str(node["name"]) or not is_str(node["fingerprint"]):
        raise ValueError("a backbone in it lacks a name or a fingerprint.")
    if tuple(node) == _BUNDLED_KEYS:
        return _bundled(**node)
    content = {name: reader.decode(node[name]) for name in _CONTENT}
    _check_content(**content)
    if not isinstance(node["weights"], list):
        raise ValueError("a backbone in it has no list of weights.")
    weights = read_only(map(reader.view, node["weights"]))
    if not all(array.dtype.kind in _PIXELS for array in weights):
        raise ValueError("a backbone in it has weights that are not numbers.")
    described = content["architecture"]
    _check_shapes(described, weights)
    pattern = architecture_of(described).stage_pattern(described)
    try:
        spec = BackboneSpec(node["name"], **content, weights=weights, stage_pattern=pattern)
    except (AttributeError, KeyError, TypeError) as error:  # from an invalid configuration
        raise ValueError("a backbone in it has invalid layers.") from error
    if spec.fingerprint != node["fingerprint"]:
        raise ValueError(f"its backbone {node['name']!r:.60} is not the one that was saved.")
    return spec


def _bundled(name: str, fingerprint: str) -> BackboneSpec:
    try:
        spec = shipped_spec(name)
    except ImportError as error:
        raise Explained(str(error)) from error
    except KeyError:
        spec = shipped_spec()
    if (name, fingerprint) != (spec.name, spec.fingerprint):
        raise Explained(
            f"it asks for the bundled network {name!r:.60} with the fingerprint "
            f"{fingerprint[:16]}..., but this version of skltransfer ships {spec.name!r} with "
            f"{spec.fingerprint[:16]}... Open it with the version that it was saved with."
        )
    return spec


def _check_content(architecture: Any, preprocessing: Any, input: Any) -> None:
    if not is_json([architecture, preprocessing]):  # the fingerprint is computed from JSON
        raise ValueError("a backbone in it is not described in JSON types.")
    if not _is_architecture(architecture):
        raise ValueError("a backbone in it has an invalid architecture.")
    if not _is_preprocessing(preprocessing):
        raise ValueError(f"a backbone in it has the invalid preprocessing {preprocessing!r:.80}.")
    if not serves_as("input")(input):
        raise ValueError(f"a backbone in it reads {input!r:.60}, which is not a kind of input.")
    check_config(architecture)


def _check_shapes(architecture: dict[str, Any], weights: tuple[np.ndarray, ...]) -> None:
    """Refuse a description that does not fit the weights, before anything is built."""
    if architecture["kind"] == KIND:
        shapes = tuple(TransformerConfig.of(architecture).shapes().values())
        if tuple(array.shape for array in weights) != shapes:
            raise ValueError(
                "a backbone in it has weights whose shapes do not fit its description."
            )


def _is_architecture(architecture: Any) -> bool:
    if type(architecture) is not dict:
        return False
    kind = architecture.get("kind")
    if kind == "bundled":
        return set(architecture) == {"kind", "name"} and one_of(*VARIANTS)(architecture["name"])
    if kind == "speech_embedding":
        return architecture == {"kind": kind}
    if kind == "keras.applications":
        return set(architecture) == {"kind", "name"} and _is_application(architecture["name"])
    if kind == KIND:
        return _is_transformer(architecture)
    return kind in ("model", "model of blocks") and set(architecture) == {"kind", "config"}


def _is_transformer(architecture: dict[str, Any]) -> bool:
    try:
        TransformerConfig.of(architecture)
    except ValueError:
        return False
    return True


def _is_application(name: Any) -> bool:
    return is_str(name) and name in applications.names()


def _is_preprocessing(how: Any) -> bool:
    if type(how) is not dict or how.get("channels", 3) not in (1, 3):
        return False
    how = {key: value for key, value in how.items() if key != "channels"}
    kind = how.pop("kind", None)
    if not one_of(*_PREPROCESSING)(kind):
        return False
    checks = _PREPROCESSING[kind]
    return set(how) == set(checks) and all(checks[name](value) for name, value in how.items())


_PREPROCESSING: dict[str, dict[str, Check]] = {
    "none": {},
    "one_channel": {},
    "scale": {"scale": is_finite, "offset": is_finite},
    "mode": {"mode": one_of(*_MODES)},
    "keras.applications": {"name": _is_application},
}
