"""The few operations that are worth saying differently for one Keras backend."""

from __future__ import annotations

from math import prod


def add_bias(x, bias):
    """Add one number to each channel, the last axis."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return x + bias
    import tensorflow as tf

    return tf.nn.bias_add(x, bias)  # fuses with the convolution, and its gradient is faster


def batch_normalised(x, gamma, beta, epsilon: float):
    """Normalise (n, h, w, c) by the moments of the batch.

    Returns
    -------
    normalised, mean, variance : tensor
        Of the shape of `x`, and of shape (c,).
    """
    import keras

    rows = prod(x.shape[:-1])
    if keras.backend.backend() != "tensorflow" or len(x.shape) != 4 or rows == 1:
        mean, variance = keras.ops.moments(x, axes=tuple(range(len(x.shape) - 1)))
        scale = keras.ops.rsqrt(variance + epsilon) * gamma
        return add_bias(x * scale, beta - mean * scale), mean, variance
    import tensorflow as tf

    normalised, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    return normalised, mean, unbiased * ((rows - 1) / rows)


def layer_normalised(x, gamma, beta, epsilon: float):
    """Normalise each position over its channels, the last axis; `gamma` and `beta` may be None.

    Keras takes TensorFlow's reciprocal square root, which rounds by where a number lies in memory.
    The square root and the division are exact. The maximum, which changes nothing, keeps
    TensorFlow's optimizer from making the one of the other.
    """
    from keras import ops

    mean, variance = ops.moments(x, axes=-1, keepdims=True)
    x = (x - mean) / ops.maximum(ops.sqrt(variance + epsilon), 0.0)
    x = x if gamma is None else x * gamma
    return x if beta is None else add_bias(x, beta)


def value_and_gradients(loss_of, parameters: list):
    """The loss at `parameters` and its gradient by each of them."""
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parameters)
        loss = loss_of(parameters)
    zero = tf.UnconnectedGradients.ZERO
    return loss, tape.gradient(loss, parameters, unconnected_gradients=zero)
