"""A single Keras model from the content of X to predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.backend.rescaling import rescaled
from skltransfer.export.prediction import at_prediction
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network, feature_graph

if TYPE_CHECKING:
    from keras import KerasTensor, Model

    from skltransfer.training.head import Head


def keras_model(
    network: Network,
    weights: tuple[np.ndarray, ...],
    head: Head,
    head_weights: list[np.ndarray],
    standardizer: np.ndarray,
    source: KerasTensor | list[KerasTensor],
    rows: KerasTensor,
    columns: KerasTensor | None,
    predictions: Callable[[KerasTensor], KerasTensor],
) -> Model:
    """Build the model, which shares no variable with any other.

    Parameters
    ----------
    network : Network
        The trained backbone.
    weights : tuple of ndarray
        The backbone's weights after training, in the order of its spec.
    head : Head
        Shape of the head.
    head_weights : list of ndarray
        The head's weights.
    standardizer : ndarray of shape (2, n_features)
        Mean and scale of the pooled features.
    source, rows : keras.KerasTensor
        The input or inputs, and the network's rows computed from them.
    columns : keras.KerasTensor or None
        What the head reads beside the pooled features, if anything.
    predictions : callable
        From the outputs of the head to predictions.

    Returns
    -------
    keras.Model
        From the input to predictions of shape (n, n_outputs).
    """
    import keras

    spec = replace(network.spec, weights=weights, bundled=False, fingerprint="")
    backbone = at_prediction(feature_graph(spec, network.size, network.layer), "backbone")
    # Layers that compute in another number format also return it.
    features = keras.ops.cast(backbone(network.preprocess(rows)), "float32")
    x = pooled(features, network.pooling)
    if columns is not None:
        x = keras.ops.concatenate([x, columns], axis=1)
    mean, scale = standardizer
    x = rescaled(x, 1 / scale, -mean / scale)
    return keras.Model(source, predictions(_dense_layers(head, head_weights, x)))


def _dense_layers(head: Head, weights: list[np.ndarray], x: KerasTensor) -> KerasTensor:
    import keras

    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for index, (kernel, bias) in enumerate(pairs, start=1):
        activation = None if index == len(pairs) else head.activation
        layer = keras.layers.Dense(len(bias), activation=activation, dtype="float32")
        x = layer(x)
        layer.set_weights([kernel, bias])
    return x
