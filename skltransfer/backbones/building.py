"""From a spec to a live Keras model, and its preprocessing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.backbones.architectures import architecture_of
from skltransfer.backbones.random_state import seeded_python_random
from skltransfer.backbones.spec import BackboneSpec, arrays_of
from skltransfer.backend import built, import_keras, outlined, refresh_normalization

if TYPE_CHECKING:
    import keras

    from skltransfer.inputs._input import Size

_OTHER = (
    "The given weights belong to another network, or come from a version of Keras that builds this "
    "network differently. Use that version, or give weights of this network."
)


def build_model(spec: BackboneSpec, size: Size) -> keras.Model:
    """Build the network of `spec` with its weights.

    Returns
    -------
    keras.Model
        The network, for rows of `size` if its architecture is built for a size; a user's model is
        unchanged.

    Raises
    ------
    ValueError
        If the network cannot be built for rows of `size`.
    """
    with _naming_the_backbone(spec, size):
        model = built(lambda: _build(spec, size))
    model.set_weights(spec.weights)
    refresh_normalization(model)
    _let_all_learn(model)
    return model


def build_outline(spec: BackboneSpec, size: Size) -> keras.Model:
    """Build the network of `spec` for calls that pass its weights as arguments.

    Most of the time of building goes into creating the values of variables. If the backend allows
    it, the variables of known networks therefore get no values, and must not be read. Normalization
    layers are the only ones that compute from weights while a network is built; they are refreshed
    afterwards.

    Returns
    -------
    keras.Model
        Like the result of `build_model`, except for the values of the weights.

    Raises
    ------
    ValueError
        If the network cannot be built for rows of `size`.
    """
    if not spec.is_built_by_code:
        return build_model(spec, size)
    with _naming_the_backbone(spec, size):
        model = outlined(lambda: _build(spec, size))
        _check_shapes(model, spec)
    refresh_normalization(model, spec.weights)
    _let_all_learn(model)
    return model


def compute_in(model: keras.Model, precision: str) -> None:
    """Let the layers of a model compute in "bfloat16" or "float16"; weights stay float32.

    Quantised layers are unchanged: their policy defines what their integers mean.
    """
    from keras.dtype_policies import QuantizedDTypePolicy

    for layer in model._flatten_layers():
        if not isinstance(layer.dtype_policy, QuantizedDTypePolicy):
            layer.dtype_policy = f"mixed_{precision}"


def random_arrays(spec: BackboneSpec, seed: int) -> list[np.ndarray]:
    """Return weights that the architecture's initializers draw from `seed`."""
    with seeded_python_random(seed):
        return arrays_of(_build(spec, spec.input.size))


@contextmanager
def _naming_the_backbone(spec: BackboneSpec, size: Size) -> Iterator[None]:
    try:
        with seeded_python_random(0):
            yield
    except ValueError as error:
        raise ValueError(
            f"backbone={spec.name!r} cannot be built for input_size={tuple(size)}: {error}"
        ) from error


def _check_shapes(model: keras.Model, spec: BackboneSpec) -> None:
    """Refuse weights that do not match the model, as Keras does when setting them."""
    if len(model.weights) != len(spec.weights):
        raise ValueError(
            f"it has {len(model.weights)} weights, but {len(spec.weights)} are given. {_OTHER}"
        )
    for variable, array in zip(model.weights, spec.weights, strict=True):
        if tuple(variable.shape) != array.shape:
            raise ValueError(
                f"its weight {variable.path!r} has the shape {tuple(variable.shape)}, but one of "
                f"shape {array.shape} is given. {_OTHER}"
            )


def _build(spec: BackboneSpec, size: Size) -> keras.Model:
    import_keras()
    return architecture_of(spec.architecture).build(spec.architecture, size)


def _let_all_learn(model: keras.Model) -> None:
    """Make all layers trainable, whatever the user froze in Keras: ``freeze_depth`` decides."""
    for layer in model._flatten_layers():  # setting the flag of the model is not enough
        layer.trainable = True
