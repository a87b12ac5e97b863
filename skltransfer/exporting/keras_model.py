"""The Keras model of a fitted estimator, from the content of X to predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.backend.rescaling import rescaled
from skltransfer.exporting.shared_features import features_of_members
from skltransfer.network.pooling import pooled
from skltransfer.training.members import member_weights

if TYPE_CHECKING:
    from keras import KerasTensor, Model

    from skltransfer.inputs._input import TensorSpec
    from skltransfer.training.head import Head
    from skltransfer.training.predictor import Learned


def keras_model(
    pretrained: tuple[np.ndarray, ...],
    members: Sequence[Learned],
    source: KerasTensor | list[KerasTensor],
    rows: KerasTensor,
    columns: KerasTensor | None,
    predictions: Callable[[KerasTensor], KerasTensor],
) -> Model:
    """Build the model, which shares no variable with any other model.

    Parameters
    ----------
    pretrained : tuple of ndarray
        The backbone's weights before training, in the order of its spec.
    members : sequence of Learned
        The trained members, whose outputs are averaged.
    source, rows : keras.KerasTensor
        The input or inputs, and the rows that the network reads, computed from the inputs.
    columns : keras.KerasTensor or None
        The extra columns that the head reads, if any.
    predictions : callable
        Turns the outputs of the head into predictions.

    Returns
    -------
    keras.Model
        Model from the input to predictions of shape (n, n_outputs).
    """
    import keras

    x = members[0].step.network.preprocess(rows)
    maps = features_of_members(pretrained, members, x)
    outputs = [_head(member, found, columns) for member, found in zip(members, maps, strict=True)]
    return keras.Model(source, predictions(_mean(outputs)))


def _mean(outputs: list[KerasTensor]) -> KerasTensor:
    """Return the weighted mean of the members' outputs."""
    from keras.layers import Add, Rescaling

    if len(outputs) == 1:
        return outputs[0]
    weights = member_weights(len(outputs))
    pairs = zip(weights, outputs, strict=True)
    return Add(dtype="float32")([Rescaling(w, dtype="float32")(one) for w, one in pairs])


def _head(member: Learned, features: KerasTensor, columns: KerasTensor | None) -> KerasTensor:
    """Return the outputs of a member's head."""
    import keras

    # A layer whose compute dtype is not float32 returns that dtype.
    x = pooled(keras.ops.cast(features, "float32"), member.step.network.pooling)
    if columns is not None:
        x = keras.ops.concatenate([x, columns], axis=1)
    mean, scale = member.state.standardizer
    x = rescaled(x, 1 / scale, -mean / scale)
    return _dense_layers(member.step.head, member.step.of_head(member.state.params), x)


def function_of_rows(
    row: TensorSpec, build: Callable[[KerasTensor, KerasTensor], Model]
) -> Callable[[KerasTensor], KerasTensor]:
    """Return, as a function, the model that `build` makes from an input for the network's rows."""
    import keras

    rows = keras.Input(row.shape, dtype=row.dtype)
    model = build(rows, rows)
    return lambda tensor: model(tensor, training=False)


def _dense_layers(head: Head, weights: list[np.ndarray], x: KerasTensor) -> KerasTensor:
    import keras

    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for index, (kernel, bias) in enumerate(pairs, start=1):
        activation = None if index == len(pairs) else head.activation
        layer = keras.layers.Dense(len(bias), activation=activation, dtype="float32")
        x = layer(x)
        layer.set_weights([kernel, bias])
    return x
