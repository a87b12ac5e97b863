"""A network as it computes predictions, whatever the ``training`` of those who call it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skltransfer.network.graph import keras_class, ordered_nodes

if TYPE_CHECKING:
    from keras import KerasTensor, Model

_DROPPED = {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"}
_NOISE = {"GaussianDropout", "GaussianNoise", "AugMix", "CutMix", "MixUp", "RandAugment"}
_RANDOM = "Random"
_CROPS = "RandomCrop"  # of the middle, in predictions


def at_prediction(source: KerasTensor, results: Sequence[KerasTensor], name: str) -> Model:
    """Make a model of a graph in which nothing is random and no statistics are learned.

    Keras hands ``training=True``, of the caller or of a layer that augments, to all layers behind
    it. Here layers that do nothing in predictions are left out, BatchNorm goes by its statistics,
    and every other layer is called with ``training=False``.

    Parameters
    ----------
    source : keras.KerasTensor
        Where the model begins.
    results : sequence of keras.KerasTensor
        What is computed; a single result is not returned in a list.
    name : str
        Of the model.
    """
    import keras

    begin = _beginning(source)
    values = {id(source): begin}
    for node in ordered_nodes([source], list(results)):
        arguments, options = node.arguments.fill_in(values)
        made = _called(node.operation, arguments, options)
        for tensor, new in zip(node.outputs, keras.tree.flatten(made), strict=True):
            values[id(tensor)] = new
    found = [values[id(tensor)] for tensor in results]
    return keras.Model(begin, found if found[1:] else found[0], name=name)


def _beginning(source: KerasTensor) -> KerasTensor:
    """Return the tensor itself if it is an input, else a new input in its place."""
    import keras

    if isinstance(source._keras_history.operation, keras.layers.InputLayer):
        return source
    return keras.Input(batch_shape=source.shape, dtype=source.dtype)


def _called(operation: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    if _does_nothing(operation):
        return arguments[0] if arguments else next(iter(options.values()))
    if keras_class(operation) == "BatchNormalization":
        operation.trainable = False
    if getattr(operation, "_call_has_training_arg", False):
        options = {**options, "training": False}
    return operation(*arguments, **options)


def _does_nothing(operation: Any) -> bool:
    """Whether a layer of Keras passes on what it is given, but in training."""
    kind = keras_class(operation) or ""
    return kind in _DROPPED | _NOISE or (kind.startswith(_RANDOM) and kind != _CROPS)
