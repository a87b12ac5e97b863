"""Layers that contain a chain of blocks, unpacked so that a network can be frozen between blocks.

The encoders of keras-hub's ViT and DINOv2 are such layers. In Keras' graph, each of them is a
single step.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from skltransfer.backbones.functional_models import has_graph

if TYPE_CHECKING:
    from keras import Layer, Model

_MOSTLY = 0.5
"""A layer is unpacked if equal layers in it own more than this share of its weights. Because of
this limit, the blocks themselves stay whole."""


def with_blocks_apart(model: Model) -> Model:
    """Return `model` or, if some layers contain blocks, a model that calls the blocks directly.

    The two models share all weights and compute the same. A layer stays whole if its code cannot
    run on symbolic tensors, or if it uses weights of its own.
    """
    import keras

    if isinstance(model, keras.Sequential) or not any(map(_holds_blocks, model.layers)):
        return model
    try:
        apart = keras.models.clone_model(
            model, clone_function=lambda layer: layer, call_function=_call
        )
    except Exception:  # code of a user's layer may raise anything
        return model
    has_all = {id(w) for w in apart.weights} == {id(w) for w in model.weights}
    return apart if has_all else model


def _call(layer: Layer, *arguments: Any, **options: Any) -> Any:
    """Call a layer; if it contains blocks, call the layers in it instead."""
    return (layer.call if _holds_blocks(layer) else layer)(*arguments, **options)


def _holds_blocks(layer: Layer) -> bool:
    """Return whether most of a layer's weights are in layers of one class and equal shapes."""
    is_of_keras = type(layer).__module__.partition(".")[0] == "keras"
    if is_of_keras or has_graph(layer):
        return False
    alike = defaultdict(list)
    for part in layer._flatten_layers(include_self=False, recursive=False):
        alike[type(part), *(tuple(w.shape) for w in part.weights)].append(part)
    most = max(alike.values(), key=_n_weights, default=[])
    return len(most) > 1 and _n_weights(most) > _MOSTLY * layer.count_params()


def _n_weights(layers: list[Layer]) -> int:
    return sum(layer.count_params() for layer in layers)
