"""A user's Keras model as a backbone, held by content."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skltransfer._last_used import LastUsed
from skltransfer._types import Path as PathLike
from skltransfer.backbones.architectures import Architecture, register_architecture
from skltransfer.backbones.block_layers import with_blocks_apart
from skltransfer.backbones.functional_models import check_one_input_and_output
from skltransfer.backbones.layer_names import with_fresh_names
from skltransfer.backbones.random_state import seeded_python_random
from skltransfer.backbones.spec import BackboneSpec, arrays_of, read_only
from skltransfer.backend import built, import_keras

if TYPE_CHECKING:
    import keras

    from skltransfer.inputs._input import InputKind, Size

_comes_back: LastUsed[bool] = LastUsed(16)
"""Models whose configuration was checked, because every fit gets the same model again."""


def spec_of_model(
    model: Any,
    name: str,
    input: InputKind,
    preprocessing: dict[str, Any] | None = None,
    *,
    renumber: bool = False,
) -> BackboneSpec:
    """Describe a functional or sequential Keras model by its configuration and weights.

    Without `preprocessing` the model receives a row's tensor unchanged. With `renumber`, unnamed
    layers get the names that they have in a fresh process.

    Raises
    ------
    ValueError
        If the model has several inputs or outputs, if it is not a graph, or if its configuration
        does not load in Keras' safe mode.
    """
    check_one_input_and_output(model)
    config = _safe_config(model, name)
    apart = with_blocks_apart(model)
    return BackboneSpec(
        name=name,
        architecture={
            "kind": "model" if apart is model else "model of blocks",
            "config": with_fresh_names(config) if renumber else config,
        },
        preprocessing=preprocessing or {"kind": "none"},
        input=input,
        weights=read_only(arrays_of(apart)),
    )


def model_from_file(path: PathLike) -> tuple[keras.Model, str]:
    """Return the model in a ``.keras`` file, read in Keras' safe mode, and its name."""
    keras = import_keras()
    path = Path(os.path.expanduser(path))
    if path.name.lower().endswith(".weights.h5"):
        raise ValueError(
            f"backbone={str(path)!r} is a file of weights alone. Pass it as weights=, and the name "
            "of its architecture as backbone=."
        )
    if path.suffix.lower() in (".h5", ".hdf5"):
        raise ValueError(
            f"backbone={str(path)!r} is a whole model in the .h5 format, which Keras cannot load "
            "safely. Save it as .keras. Pass a weights-only .h5 file as weights=, and the name of "
            "its architecture as backbone=."
        )
    if not path.is_file():
        raise ValueError(
            f"backbone={str(path)!r}: there is no such file. Give the path of a .keras file or a "
            "name from list_backbones()."
        )
    try:
        with seeded_python_random(0):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"backbone={str(path)!r} does not load in Keras' safe mode: {error} Save it with "
            "model.save('name.keras'), without Lambda layers; a custom layer must be registered "
            "with keras.saving.register_keras_serializable before it is loaded."
        ) from error
    return model, path.stem


def bare_config(part: keras.Model | keras.Layer) -> dict[str, Any]:
    """Return the configuration of a model or layer, without its build and compile settings."""
    import keras

    config: dict[str, Any] = keras.saving.serialize_keras_object(part)
    for key in ("build_config", "compile_config"):
        config.pop(key, None)
    return config


def build_from_config(config: dict[str, Any]) -> Any:
    """Build a model or layer from its configuration, in safe mode."""
    import keras

    # A copy, because Keras empties its argument.
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)


def model_of(name: str, model_or_builder: object) -> keras.Model:
    """Return the model itself, or the result of its builder."""
    keras = import_keras()
    if isinstance(model_or_builder, keras.Model):
        return model_or_builder
    if callable(model_or_builder):
        built = model_or_builder()
        if isinstance(built, keras.Model):
            return built
        raise TypeError(
            f"The builder of backbone {name!r} returned {type(built).__name__}, not a keras.Model."
        )
    raise TypeError(
        f"register_backbone({name!r}, ...) takes a keras.Model or a function without arguments "
        f"that returns one, not {type(model_or_builder).__name__}."
    )


def _safe_config(model: keras.Model, name: str) -> dict[str, Any]:
    """Return the model's configuration, after a check that the model can be rebuilt from it."""
    config = bare_config(model)
    shapes = [tuple(weight.shape) for weight in model.weights]
    _comes_back.get(
        _check_identity(config, shapes), lambda: _check_comes_back(config, shapes, name)
    )
    return config


def _check_identity(config: dict[str, Any], shapes: list[tuple[int, ...]]) -> str:
    """Return a digest of what the check depends on, custom layers included."""
    import keras

    custom = sorted(map(repr, keras.saving.get_custom_objects().items()))
    described = json.dumps([config, shapes, custom], sort_keys=True, default=repr)
    return hashlib.sha256(described.encode()).hexdigest()


def _check_comes_back(config: dict[str, Any], shapes: list[tuple[int, ...]], name: str) -> bool:
    """Refuse a configuration that cannot be built, or gives weights of other shapes."""
    try:
        with seeded_python_random(0):
            rebuilt = built(lambda: build_from_config(config))
    except Exception as error:
        raise ValueError(
            f"The configuration of backbone {name!r} does not load in Keras' safe mode: {error} "
            "Replace Lambda layers, and register custom layers with "
            "keras.saving.register_keras_serializable."
        ) from error
    if [tuple(weight.shape) for weight in rebuilt.weights] != shapes:
        raise ValueError(
            f"Backbone {name!r} cannot be rebuilt from its configuration with the same weights: "
            "a custom layer lacks get_config, or creates weights of another shape."
        )
    return True


def _build(description: dict[str, Any], size: Size) -> Any:
    return build_from_config(description["config"])


def _build_apart(description: dict[str, Any], size: Size) -> Any:
    return with_blocks_apart(_build(description, size))


register_architecture("model", Architecture(_build, is_built_by_code=False))
register_architecture("model of blocks", Architecture(_build_apart, is_built_by_code=False))
