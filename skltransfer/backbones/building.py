"""From a spec to a live Keras model, and its preprocessing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.efficientnet_lite import build_efficientnet_lite0
from skltransfer.backbones.functional_models import arrays_of
from skltransfer.backbones.spec import BackboneSpec
from skltransfer.backbones.user_models import build_from_config
from skltransfer.backend import built, import_keras, outlined, refresh_normalization

_OTHER = (
    "They are of another network: perhaps of one that another version of Keras builds. Use that "
    "version, or give weights of this one."
)


def build_model(spec: BackboneSpec, input_size: tuple[int, int]):
    """Build the network of `spec` with its weights.

    Returns
    -------
    keras.Model
        At `input_size` where the architecture is built for one; a user's model as it is.

    Raises
    ------
    ValueError
        When the network cannot be built for pictures of `input_size`.
    """
    with _naming_the_backbone(spec, input_size):
        model = built(lambda: _build(spec.architecture, (*input_size, 3)))
    model.set_weights(spec.weights)
    refresh_normalization(model)
    _let_all_learn(model)
    return model


def build_outline(spec: BackboneSpec, input_size: tuple[int, int]):
    """Build the network of `spec` where its weights are going to be handed in at each call.

    To make values for variables takes most of the time, so that those of known networks have none
    where the backend allows it, and nobody may ask for them. While these are built, their layers
    make nothing of weights but for Normalization, which is refreshed.

    Returns
    -------
    keras.Model
        As `build_model` gives it, but for the values.

    Raises
    ------
    ValueError
        When the network cannot be built for pictures of `input_size`.
    """
    if not spec.is_built_by_code:
        return build_model(spec, input_size)
    with _naming_the_backbone(spec, input_size):
        model = outlined(lambda: _build(spec.architecture, (*input_size, 3)))
        _check_shapes(model, spec)
    refresh_normalization(model, spec.weights)
    _let_all_learn(model)
    return model


def compute_in(model, precision: str) -> None:
    """Let the layers of a model compute in "bfloat16" or "float16"; weights stay float32.

    Quantised layers stay as they are: their policy holds what their integers mean.
    """
    from keras.dtype_policies import QuantizedDTypePolicy

    for layer in model._flatten_layers():
        if not isinstance(layer.dtype_policy, QuantizedDTypePolicy):
            layer.dtype_policy = f"mixed_{precision}"


def random_arrays(spec: BackboneSpec, seed: int) -> list[np.ndarray]:
    """Weights as the architecture's initializers draw them from `seed`."""
    with applications.seeded_python_random(seed):
        return arrays_of(_build(spec.architecture, (*spec.input_size, 3)))


def preprocessing_function(spec: BackboneSpec):
    """Function from float32 tensors (n, h, w, 3) of values 0 to 255 to the network's input."""
    how = spec.preprocessing
    function = _KINDS[how["kind"]](how)
    if how.get("channels") == 1:
        return lambda pixels: _grey(function(pixels))
    return function


@contextmanager
def _naming_the_backbone(spec: BackboneSpec, input_size: tuple[int, int]) -> Iterator[None]:
    try:
        with applications.seeded_python_random(0):
            yield
    except ValueError as error:
        raise ValueError(
            f"backbone={spec.name!r} cannot be built for input_size={tuple(input_size)}: {error}"
        ) from error


def _check_shapes(model, spec: BackboneSpec) -> None:
    """Refuse weights that are not those of the model, as Keras does where it sets them."""
    if len(model.weights) != len(spec.weights):
        raise ValueError(
            f"it has {len(model.weights)} weights, and {len(spec.weights)} are given. {_OTHER}"
        )
    for variable, array in zip(model.weights, spec.weights, strict=True):
        if tuple(variable.shape) != array.shape:
            raise ValueError(
                f"its weight {variable.path!r} has the shape {tuple(variable.shape)}, and one of "
                f"shape {array.shape} is given. {_OTHER}"
            )


def _build(architecture: dict, input_shape: tuple[int, int, int]):
    import_keras()
    if architecture["kind"] == "bundled":
        return build_efficientnet_lite0(input_shape)
    if architecture["kind"] == "keras.applications":
        return applications.build(architecture["name"], input_shape)
    return build_from_config(architecture["config"])


def _let_all_learn(model) -> None:
    """Forget which layers the user froze in Keras: what learns is said by ``freeze_depth``."""
    for layer in model._flatten_layers():  # of a model that was frozen, its own flag is not enough
        layer.trainable = True


def _scale(how: dict):
    return lambda pixels: pixels * how["scale"] + how["offset"]


def _mode(how: dict):
    from keras.applications.imagenet_utils import preprocess_input

    return lambda pixels: preprocess_input(pixels, data_format="channels_last", mode=how["mode"])


def _of_application(how: dict):
    function = applications.preprocess(how["name"])
    return lambda pixels: function(pixels, data_format="channels_last")


def _grey(pixels):
    import keras

    return keras.ops.mean(pixels, axis=-1, keepdims=True)


_KINDS = {"scale": _scale, "mode": _mode, "keras.applications": _of_application}
