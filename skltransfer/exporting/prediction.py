"""A network in inference mode, whatever the ``training`` argument of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skltransfer.network.graph import keras_class, ordered_nodes

if TYPE_CHECKING:
    from keras import KerasTensor, Model

_DROPPED = {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"}
_NOISE = {"GaussianDropout", "GaussianNoise", "AugMix", "CutMix", "MixUp", "RandAugment"}
_RANDOM = "Random"
_CROPS = "RandomCrop"  # in predictions, it crops the middle


def at_prediction(source: KerasTensor, results: Sequence[KerasTensor], name: str) -> Model:
    """Make a model of a graph that never draws random numbers and never updates statistics.

    If the caller or an augmentation layer sets ``training=True``, Keras passes this value on to all
    later layers. To prevent this, the model leaves out layers that do nothing in predictions, lets
    BatchNorm use its stored statistics, and calls every other layer with ``training=False``.

    Parameters
    ----------
    source : keras.KerasTensor
        Tensor at which the model begins.
    results : sequence of keras.KerasTensor
        Tensors to compute; a single result is not returned in a list.
    name : str
        Name of the model.
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
    """Return the tensor itself if it is an input, else a new input like it."""
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
    """Return whether a Keras layer returns its input unchanged in predictions."""
    kind = keras_class(operation) or ""
    return kind in _DROPPED | _NOISE or (kind.startswith(_RANDOM) and kind != _CROPS)
