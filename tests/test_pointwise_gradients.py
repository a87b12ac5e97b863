"""Gradients by kernels of 1 x 1 convolutions are matrix products, and the same gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from skltransfer import FineTunedClassifier, register_backbone
from skltransfer.backend import compile_function, kernels, traced
from skltransfer.backend.tensorflow.onednn import with_onednn

pytestmark = pytest.mark.skipif(kernels() != "onednn", reason="only oneDNN's kernel is avoided")

X = np.random.default_rng(0).normal(size=(3, 6, 5, 8)).astype(np.float32)


def gradient(kernel, strides=1, padding="SAME"):
    """Function from images to the gradient of a loss by the kernel."""

    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.sin(tf.nn.conv2d(x, kernel, strides, padding)))
        return tape.gradient(loss, kernel)

    return compute


def expected(kernel, strides=1, padding="SAME"):
    """The gradient in float64: in float32 TensorFlow takes the kernel that ends the process."""
    compute = gradient(tf.cast(kernel, "float64"), strides, padding)
    return compute(tf.constant(X, "float64"))


def kernel_of(shape):
    return tf.constant(np.random.default_rng(1).normal(size=shape).astype(np.float32))


def operations(compute):
    """Kinds of what is run."""
    graph = with_onednn(traced(compute, [X.shape])).graph
    return [operation.type for operation in graph.get_operations()]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [1, 2, 3, 4, (1, 3), 7])
def test_a_pointwise_kernel_is_multiplied(strides, padding):
    kernel = kernel_of((1, 1, 8, 7))
    compute = gradient(kernel, strides, padding)
    compiled = compile_function(compute, [X.shape])
    assert "_MklMatMul" in operations(compute)
    assert not any("BackpropFilter" in name for name in operations(compute))
    assert compiled.shapes == [(1, 1, 8, 7)]
    assert_allclose(compiled(X)[0], expected(kernel, strides, padding), rtol=1e-4, atol=1e-4)


def test_a_kernel_that_is_handed_in_is_multiplied():
    shapes = [X.shape, (1, 1, 8, 7)]
    compiled = compile_function(lambda x, kernel: gradient(kernel, 2)(x), shapes)
    kernel = kernel_of((1, 1, 8, 7))
    assert_allclose(compiled(X, kernel)[0], expected(kernel, 2), rtol=1e-4, atol=1e-4)
    graph = with_onednn(traced(lambda x, kernel: gradient(kernel, 2)(x), shapes)).graph
    assert not any("BackpropFilter" in operation.type for operation in graph.get_operations())


@pytest.mark.parametrize(
    ("shape", "strides"), [((3, 3, 8, 7), 1), ((3, 3, 8, 7), 2), ((1, 3, 8, 7), 1)]
)
def test_other_kernels_are_left_to_the_convolution(shape, strides):
    compute = gradient(kernel_of(shape), strides)
    compiled = compile_function(compute, [X.shape])
    assert "_MklMatMul" not in operations(compute)
    assert_allclose(compiled(X)[0], compute(tf.constant(X)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "strides"), [(32, 2), (33, 3)])
def test_a_network_that_looks_at_every_nth_position_trains(side, strides):
    """oneDNN's kernel, and with it that of plain Keras, ends the process or never ends."""
    source = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(source)
    x = keras.layers.Conv2D(4, 1, strides=strides, activation="relu")(x)
    images = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    settings = {"freeze_depth": 0, "batch_size": 3, "epochs": 10, "random_state": 0}
    backbone = register_backbone("every nth", keras.Model(source, x), preprocessing="tf")
    classifier = FineTunedClassifier(backbone, engine="tensorflow", cache=None, **settings)
    losses = classifier.fit(images, np.arange(6) % 2).history_["loss"]
    assert len(losses) == 10 and np.isfinite(losses).all()
