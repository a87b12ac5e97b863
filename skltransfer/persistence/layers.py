"""Keras layers as the parameter `augment`: saved as configuration, rebuilt in safe mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skltransfer.backbones.user_models import bare_config, build_from_config
from skltransfer.backend import import_keras
from skltransfer.persistence.checks import is_json
from skltransfer.persistence.errors import Explained
from skltransfer.persistence.keras_configs import check_config

if TYPE_CHECKING:
    from keras import Layer


@dataclass(frozen=True)
class LayerConfig:
    """A checked configuration, from which nothing has been built yet."""

    config: dict[str, Any]

    def __post_init__(self) -> None:
        is_named = type(self.config) is dict and "class_name" in self.config
        if not is_named or not is_json(self.config):
            raise ValueError("its augment is not the configuration of a layer.")
        check_config(self.config)


def config_of(layer: Layer) -> LayerConfig:
    """Return the configuration of `layer` without seeds, because seeds come from the images.

    Raises
    ------
    TypeError
        If the layer has weights.
    ValueError
        If the layer's configuration names something that could not be loaded again.
    """
    if layer.weights:
        raise TypeError(f"it is the layer {layer.name!r}, which holds weights of its own")
    return LayerConfig(bare_config(layer))


def layer_from(found: LayerConfig) -> Layer:
    """Build the layer.

    Raises
    ------
    ValueError
        If Keras cannot build the layer, or builds something other than a layer.
    """
    keras = import_keras()
    try:
        layer = build_from_config(found.config)
    except Exception as error:  # Keras raises many types for an invalid configuration
        raise Explained(
            f"this version of Keras cannot build its augment: {error} Open it with the version of "
            "Keras that it was saved with."
        ) from error
    if not isinstance(layer, keras.Layer):
        raise ValueError(f"its augment is not a layer, but a {type(layer).__name__}.")
    return layer
