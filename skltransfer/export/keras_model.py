"""One Keras model for the whole way from raw pixels or rows to probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network, feature_model
from skltransfer.training.head import Head


def keras_classifier(
    network: Network,
    weights: tuple[np.ndarray, ...],
    head: Head,
    head_weights: list[np.ndarray],
    standardizer: np.ndarray,
    source,
    pictures,
):
    """Build the model; it shares no variable with any other.

    Parameters
    ----------
    network : Network
        The backbone that was trained.
    weights : tuple of ndarray
        The backbone's weights after training, in the order of its spec.
    head : Head
        Shape of the classifier.
    head_weights : list of ndarray
        The head's weights.
    standardizer : ndarray of shape (2, n_features)
        Mean and scale of the pooled features.
    source, pictures : keras.KerasTensor
        The input, and pictures from 0 to 255 of the network's size that are made of it.

    Returns
    -------
    keras.Model
        From the input to probabilities of shape (n, n_classes).
    """
    import keras

    spec = replace(network.spec, weights=weights, bundled=False, fingerprint="")
    backbone = feature_model(spec, network.input_size)
    # Layers that compute in another number format end in it, too.
    features = keras.ops.cast(backbone(network.preprocess(pictures)), "float32")
    pooled_features = pooled(features, "avg")
    mean, scale = standardizer
    x = rescaled(pooled_features, 1 / scale, -mean / scale)
    logits = _dense_layers(head, head_weights, x)
    return keras.Model(source, keras.layers.Softmax(name="probabilities", dtype="float32")(logits))


def image_input(size: tuple[int, int], pixel_range: tuple[float, float]):
    """Input of RGB pictures of any height and width, and the same stretched to `size`."""
    import keras

    low, high = pixel_range
    factor = 255.0 / (high - low)
    source = keras.Input((None, None, 3), dtype="float32", name="pixels")
    pixels = keras.layers.Rescaling(factor, -low * factor, dtype="float32")(source)
    return source, resized(pixels, size)


def resized(pictures, size: tuple[int, int]):
    """Antialiased bilinear resizing, as `inputs` does it.

    Not as a Resizing layer: Keras takes its ``training=True`` over for all layers behind it.
    """
    from keras import ops

    return ops.image.resize(
        pictures, size, interpolation="bilinear", antialias=True, data_format="channels_last"
    )


def rescaled(x, factors: np.ndarray, offsets: np.ndarray):
    """``x * factors + offsets`` along the last axis of rows, as layers that can be saved.

    As pictures of one pixel: of fewer than three axes Keras takes factors for those of the first
    axis where the user has set ``image_data_format="channels_first"``.
    """
    import keras
    from keras import ops

    as_pixel = (1, 1, len(factors))
    layer = keras.layers.Rescaling(
        factors.reshape(as_pixel).tolist(), offsets.reshape(as_pixel).tolist(), dtype="float32"
    )
    return ops.reshape(layer(ops.reshape(x, (-1, *as_pixel))), (-1, len(factors)))


def _dense_layers(head: Head, weights: list[np.ndarray], x):
    import keras

    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for index, (kernel, bias) in enumerate(pairs, start=1):
        activation = None if index == len(pairs) else head.activation
        layer = keras.layers.Dense(len(bias), activation=activation, dtype="float32")
        x = layer(x)
        layer.set_weights([kernel, bias])
    return x
