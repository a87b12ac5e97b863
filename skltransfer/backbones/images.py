"""Image networks: how they are built, and the preprocessing of pixels before the first layer."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Any

from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.architectures import (
    Architecture,
    register_architecture,
    register_preprocessing,
)
from skltransfer.backbones.companions import EFFICIENTNET_LITE2
from skltransfer.backbones.efficientnet_lite import (
    INPUT_OFFSET,
    INPUT_SCALE,
    LITE0,
    build_efficientnet_lite,
    bundled_weights,
    load_efficientnet_lite_weights,
)
from skltransfer.backbones.functional_models import check_one_input_and_output
from skltransfer.backbones.recognition import recognised
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.backbones.user_models import spec_of_model
from skltransfer.inputs.images.kind import ImageInput

if TYPE_CHECKING:
    import numpy as np

    from skltransfer.inputs._input import Size

_STAGES_OF_LITE = r"^block(\d+)[a-z]+_"
_COMPANION_WEIGHTS = "efficientnet_lite2.npz"
_DEFAULT_SIZE = (224, 224)
_MODES = ("tf", "torch", "caffe")


@lru_cache(maxsize=1)  # its fingerprint covers all weights
def bundled_spec() -> BackboneSpec:
    """Return the network whose weights are part of the package."""
    return _efficientnet_lite(LITE0, bundled_input(), bundled_weights())


def bundled_input() -> ImageInput:
    """Return the input of the bundled network, without reading its weights."""
    return ImageInput((224, 224))


@lru_cache(maxsize=1)
def companion_spec() -> BackboneSpec:
    """Return EfficientNet-Lite2, from the companion distribution.

    Raises
    ------
    ImportError
        If the companion is not installed.
    ValueError
        If its file is damaged.
    """
    path = EFFICIENTNET_LITE2.path() / _COMPANION_WEIGHTS
    try:
        weights = tuple(load_efficientnet_lite_weights(path).values())
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise EFFICIENTNET_LITE2.damaged(error) from error
    height, width = EFFICIENTNET_LITE2.input_size
    return _efficientnet_lite(EFFICIENTNET_LITE2.backbone, ImageInput((height, width)), weights)


def _efficientnet_lite(
    name: str, native: ImageInput, weights: tuple[np.ndarray, ...]
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        architecture={"kind": "bundled", "name": name},
        preprocessing={
            "kind": "scale",
            "scale": 1.0 / INPUT_SCALE,
            "offset": -INPUT_OFFSET / INPUT_SCALE,
        },
        input=native,
        weights=weights,
        stage_pattern=_STAGES_OF_LITE,
        bundled=True,
    )


def application_spec(name: str, weights: Any, seed: int) -> BackboneSpec:
    """Return a network of ``keras.applications`` with downloaded, random or loaded weights."""
    described = {"kind": "keras.applications", "name": name}
    return BackboneSpec(
        name=name,
        architecture=described,
        preprocessing=described,
        input=ImageInput(applications.native_size(name)),
        weights=read_only(applications.weights_of(name, weights, seed)),
        stage_pattern=applications.stage_pattern(name),
    )


def image_network(
    model: Any, name: str, preprocessing: Any = "auto", *, renumber: bool = False
) -> BackboneSpec:
    """Describe a user's model as a network that reads images.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential.
    name : str
        Its name.
    preprocessing : {"auto", "tf", "torch", "caffe"}, (scale, offset) or None, default="auto"
        See `register_backbone`.
    renumber : bool, default=False
        See `spec_of_model`.

    Raises
    ------
    ValueError
        If the model takes no images, or takes whole numbers that preprocessing would turn into
        fractions.
    """
    _check_takes_images(model, name, preprocessing)
    height, width, channels = model.inputs[0].shape[1:]
    size = height or _DEFAULT_SIZE[0], width or _DEFAULT_SIZE[1]
    found = recognised(model) if preprocessing == "auto" else None
    described = {**_described(preprocessing), "channels": channels}
    if found is not None:
        described = {"kind": "mode", "mode": found.mode, "channels": channels}
    return spec_of_model(model, name, ImageInput(size), described, renumber=renumber)


def _check_takes_images(model: Any, name: str, preprocessing: Any) -> None:
    """Refuse a model that takes no images, or ints that preprocessing would turn into fractions."""
    check_one_input_and_output(model)
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"Backbone {name!r} takes rows of shape {shape}; a backbone takes images of shape "
            "(height, width, 3) or (height, width, 1), channels last."
        )
    number_format = model.inputs[0].dtype
    if "int" in number_format and preprocessing not in (None, "auto"):
        raise ValueError(
            f"Backbone {name!r} takes {number_format}, but preprocessing={preprocessing!r} turns "
            "pixels into fractions. Leave preprocessing at None, for pixels from 0 to 255."
        )


def _described(preprocessing: Any) -> dict[str, Any]:
    """Return preprocessing in JSON types."""
    if preprocessing in (None, "auto"):
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
        f"preprocessing={preprocessing!r} is not one of 'auto', None (pixels from 0 to 255 as they "
        f"are), {', '.join(map(repr, _MODES))} (Keras' modes) and (scale, offset) for "
        "pixel * scale + offset."
    )


# Building --------------------------------------------------------------------------------------


def _build_bundled(description: dict[str, Any], size: Size) -> Any:
    return build_efficientnet_lite((*size, 3), description["name"])


def _build_application(description: dict[str, Any], size: Size) -> Any:
    return applications.build(description["name"], (*size, 3))


# Preprocessing, of pixels from 0 to 255 --------------------------------------------------------


def _in_channels(make: Callable[[dict[str, Any]], Callable[[Any], Any]]) -> Callable[..., Any]:
    """Reduce the result of `make` to one channel if the network takes grey images."""

    def made(how: dict[str, Any]) -> Callable[[Any], Any]:
        function = make(how)
        return (lambda pixels: _grey(function(pixels))) if how.get("channels") == 1 else function

    return made


def _grey(pixels: Any) -> Any:
    import keras

    return keras.ops.mean(pixels, axis=-1, keepdims=True)


def _scale(how: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda pixels: pixels * how["scale"] + how["offset"]


def _mode(how: dict[str, Any]) -> Callable[[Any], Any]:
    from keras.applications.imagenet_utils import preprocess_input

    return lambda pixels: preprocess_input(pixels, data_format="channels_last", mode=how["mode"])


def _of_application(how: dict[str, Any]) -> Callable[[Any], Any]:
    function = applications.preprocess(how["name"])
    return lambda pixels: function(pixels, data_format="channels_last")


register_architecture("bundled", Architecture(_build_bundled, lambda how: _STAGES_OF_LITE))
register_architecture(
    "keras.applications",
    Architecture(_build_application, lambda how: applications.stage_pattern(how["name"])),
)
for _kind, _make in (("scale", _scale), ("mode", _mode), ("keras.applications", _of_application)):
    register_preprocessing(_kind, _in_channels(_make))
