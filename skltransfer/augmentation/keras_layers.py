"""Keras layers as augmentation, whose randomness depends on the content of the image."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.backbones.spec import fingerprint
from skltransfer.backend import as_array

if TYPE_CHECKING:
    from skltransfer.inputs._input import Size, View

_OF_ONE_OBJECT = {"build_config", "build_input_shape", "shared_object_id"}
"""Keys of a configuration that differ between equivalent layers, or change when one is built."""
_SURELY_PIXELS = 64  # few images on a scale of 0 to 255 are darker

_building = threading.Lock()


def is_keras_layer(augment: object) -> bool:
    """Return whether `augment` is a Keras layer, without importing Keras."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(augment, keras.Layer)


def name_of_layer(layer: Any, size: Size) -> str:
    """Return a digest of what a layer does to images: of its class, configuration and weights."""
    _build(layer, size)
    kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
    config = json.dumps(_settings(layer.get_config()), default=str, sort_keys=True)
    drawn = set(map(id, _drawn(layer)))
    weights = [as_array(variable) for variable in layer.variables if id(variable) not in drawn]
    return fingerprint(f"{kind} {config}", weights)


def _settings(config: Any) -> Any:
    if isinstance(config, dict):
        # The name of a layer does not matter, but the name of a dtype does.
        left_out = _OF_ONE_OBJECT | ({"name"} if "trainable" in config else set())
        return {key: _settings(v) for key, v in config.items() if key not in left_out}
    if isinstance(config, (list, tuple)):
        return [_settings(v) for v in config if not _is_input(v)]
    return config


def _is_input(config: Any) -> bool:
    """Return whether this is the input layer that a Sequential gets when it is built."""
    return isinstance(config, dict) and config.get("class_name") == "InputLayer"


def _build(layer: Any, size: Size) -> None:
    with _building:
        if not layer.built:
            layer.build((None, *size, 3))


def _drawn(layer: Any) -> list[Any]:
    """Return the states of random generators, which are set for each image."""
    return [v for v in layer.variables if "seed" in v.path or "int" in str(v.dtype)]


def view_by_layer(layer: Any) -> View:
    """Return a function from (pixels, number, random generator) to the output of `layer`.

    For each call, the layer's random generators get a state that depends on the content of the
    image. The layer is built if necessary; apart from this, it is not changed. View 0 is the image
    itself.
    """

    def view(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
        if number == 0:
            return pixels
        return _called(layer, pixels, rng)

    return view


def _called(layer: Any, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import keras

    _build(layer, pixels.shape[:2])
    states = _drawn(layer)
    drawn = [(v, rng.integers(2**31, size=tuple(v.shape)).astype(str(v.dtype))) for v in states]
    mapping = [(v, keras.ops.convert_to_tensor(value)) for v, value in drawn]
    with keras.StatelessScope(state_mapping=mapping):
        seen = layer(pixels[np.newaxis], training=True)
    seen = as_array(seen)[0]
    if seen.shape != pixels.shape:
        raise ValueError(
            f"augment={layer.name!r} turned an image of shape {pixels.shape} into one of shape "
            f"{seen.shape}. The layer must keep the shape."
        )
    _check_scale(layer, pixels, seen)
    return np.asarray(np.clip(seen, 0, 255).astype(np.float32))


def _check_scale(layer: Any, before: np.ndarray, after: np.ndarray) -> None:
    """Refuse a layer that rescales as preprocessing does: images would become nearly black."""
    if before.max() > _SURELY_PIXELS and 0 < np.abs(after).max() <= 1 and np.ptp(after) > 0:
        raise ValueError(
            f"augment={layer.name!r} turned an image with values from {before.min():.3g} to "
            f"{before.max():.3g} into one with values from {after.min():.3g} to {after.max():.3g}. "
            "The layer must keep the scale of 0 to 255: leave out layers such as Rescaling, "
            "because the backbone has its own preprocessing."
        )
