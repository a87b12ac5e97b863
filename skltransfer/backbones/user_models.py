"""A user's own Keras model as a backbone, held by content."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

from skltransfer.backbones.functional_models import arrays_of, require_one_input_and_output
from skltransfer.backbones.keras_applications import seeded_python_random
from skltransfer.backbones.layer_names import with_fresh_names
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.backend import built, import_keras

_DEFAULT_SIZE = (224, 224)
_MODES = ("tf", "torch", "caffe")


def spec_from_model(
    model, name: str, preprocessing=None, *, renumber: bool = False
) -> BackboneSpec:
    """Describe a functional or sequential Keras model by its configuration and weights.

    With `renumber` its layers that nobody has named get the names that they have in a fresh
    process.

    Raises
    ------
    ValueError
        When the model has several inputs or outputs, is no graph, or its configuration does not
        load in Keras' safe mode.
    """
    _require_pictures_in(model, name)
    _require_pixels_for_ints(model, name, preprocessing)
    config = _safe_config(model, name)
    config = with_fresh_names(config) if renumber else config
    height, width, channels = model.inputs[0].shape[1:]
    return BackboneSpec(
        name=name,
        architecture={"kind": "model", "config": config},
        preprocessing={**_described(preprocessing), "channels": channels},
        input_size=(height or _DEFAULT_SIZE[0], width or _DEFAULT_SIZE[1]),
        weights=read_only(arrays_of(model)),
    )


def spec_from_file(path) -> BackboneSpec:
    """Read a ``.keras`` file in safe mode: it can hold no code."""
    keras = import_keras()
    path = Path(os.path.expanduser(path))
    if path.name.lower().endswith(".weights.h5"):
        raise ValueError(
            f"backbone={str(path)!r} is a file of weights alone. Pass it as weights=, beside the "
            "name of its architecture as backbone=."
        )
    if path.suffix.lower() in (".h5", ".hdf5"):
        raise ValueError(
            f"backbone={str(path)!r} is a whole model in the .h5 format, which Keras cannot load "
            "safely. Save it as .keras. A weights-only .h5 file goes to weights=, beside the name "
            "of its architecture as backbone=."
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
    return spec_from_model(model, path.stem)


def build_from_config(config: dict[str, Any]):
    """Build a model from its configuration, in safe mode."""
    import keras

    # A copy, since Keras empties what it is given.
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)


def model_of(name: str, model_or_builder):
    """The model itself, or what its builder returns."""
    keras = import_keras()
    if isinstance(model_or_builder, keras.Model):
        return model_or_builder
    if isinstance(model_or_builder, Callable):
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


def _require_pictures_in(model, name: str) -> None:
    require_one_input_and_output(model)
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"Backbone {name!r} takes rows of shape {shape}; a backbone takes pictures of shape "
            "(height, width, 3) or (height, width, 1), channels last."
        )


def _require_pixels_for_ints(model, name: str, preprocessing) -> None:
    number_format = model.inputs[0].dtype
    if "int" in number_format and preprocessing is not None:
        raise ValueError(
            f"Backbone {name!r} takes {number_format}, but preprocessing={preprocessing!r} makes "
            "fractions of pixels. Leave preprocessing at None, for pixels from 0 to 255."
        )


def _safe_config(model, name: str) -> dict[str, Any]:
    import keras

    config = keras.saving.serialize_keras_object(model)
    for key in ("build_config", "compile_config"):
        config.pop(key, None)
    try:
        with seeded_python_random(0):
            rebuilt = built(lambda: build_from_config(config))
    except Exception as error:
        raise ValueError(
            f"The configuration of backbone {name!r} does not load in Keras' safe mode: {error} "
            "Replace Lambda layers, and register custom layers with "
            "keras.saving.register_keras_serializable."
        ) from error
    if [w.shape for w in rebuilt.weights] != [w.shape for w in model.weights]:
        raise ValueError(
            f"Backbone {name!r} does not come back from its configuration with the same weights: "
            "a custom layer lacks get_config or creates weights of another shape."
        )
    return config


def _described(preprocessing) -> dict[str, Any]:
    """Preprocessing in JSON's types."""
    if preprocessing is None:
        return {"kind": "scale", "scale": 1.0, "offset": 0.0}
    if preprocessing in _MODES:
        return {"kind": "mode", "mode": preprocessing}
    if (
        isinstance(preprocessing, tuple)
        and len(preprocessing) == 2
        and all(isinstance(value, Real) for value in preprocessing)
    ):
        scale, offset = map(float, preprocessing)
        return {"kind": "scale", "scale": scale, "offset": offset}
    raise ValueError(
        f"preprocessing={preprocessing!r} is none of None (pixels from 0 to 255 as they are), "
        f"{', '.join(map(repr, _MODES))} (Keras' modes) and (scale, offset) for "
        "pixel * scale + offset."
    )
