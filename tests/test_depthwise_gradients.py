"""Gradients by kernels of depthwise convolutions are convolutions, and the same gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from skltransfer.backend import compile_function, kernels, traced
from skltransfer.backend.tensorflow.onednn import with_onednn

pytestmark = pytest.mark.skipif(kernels() != "onednn", reason="only oneDNN's kernel is avoided")

RNG = np.random.default_rng(0)


def gradient(kernel, stride=1, padding="SAME"):
    """Function from images to the gradient of a loss by the kernel."""

    def compute(x):
        x = tf.cast(x, kernel.dtype)
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = tf.raw_ops.DepthwiseConv2dNative(
                input=x,
                filter=kernel,
                strides=[1, stride, stride, 1],
                padding=padding,
            )
            loss = tf.reduce_sum(tf.sin(y))
        return tape.gradient(loss, kernel)

    return compute


def kernel_of(*shape, dtype=tf.float32):
    return tf.constant(RNG.normal(size=shape), dtype)


def has_own_kernel(compute, shape):
    """Whether oneDNN's kernel, or TensorFlow's, is left to compute the gradient."""
    graph = with_onednn(traced(compute, [shape])).graph
    return any("BackpropFilter" in operation.type for operation in graph.get_operations())


def assert_same(compute, x, compiled=None):
    """Compare with XLA, which knows dilations on every processor."""
    x = x.astype(np.float32)
    compiled = compiled or compile_function(compute, [x.shape])
    expected = tf.function(compute, jit_compile=True)(tf.constant(x))
    assert_allclose(compiled(x)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("shape", [(3, 9, 7, 8), (1, 7, 11, 3), (5, 15, 15, 20)])
def test_large_windows_are_convolved(shape, padding, stride):
    compute = gradient(kernel_of(5, 5, shape[3], 1), stride, padding)
    assert not has_own_kernel(compute, shape)
    assert_same(compute, RNG.normal(size=shape))


@pytest.mark.parametrize("window", [(7, 7), (4, 4), (1, 5), (5, 3)])
def test_windows_of_any_sides(window):
    compute = gradient(kernel_of(*window, 8, 1))
    assert not has_own_kernel(compute, (3, 9, 8, 8))
    assert_same(compute, RNG.normal(size=(3, 9, 8, 8)))


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (2, 8)])
def test_windows_larger_than_the_image_are_convolved(sides):
    compute = gradient(kernel_of(3, 3, 8, 1))
    assert not has_own_kernel(compute, (4, *sides, 8))
    assert_same(compute, RNG.normal(size=(4, *sides, 8)))


@pytest.mark.parametrize(
    ("compute", "shape"),
    [
        (gradient(kernel_of(3, 3, 8, 1)), (3, 9, 8, 8)),
        (gradient(kernel_of(5, 5, 8, 2)), (3, 9, 8, 8)),
        (gradient(kernel_of(5, 5, 8, 1), 2, "VALID"), (3, 8, 8, 8)),
        (gradient(kernel_of(1, 5, 8, 1), 3), (3, 9, 9, 8)),
        (gradient(kernel_of(5, 5, 8, 1)), (None, 9, 9, 8)),
    ],
    ids=["3 x 3", "two of a channel", "a row is left", "rows between", "any rows"],
)
def test_others_keep_the_kernel_of_onednn(compute, shape):
    assert has_own_kernel(compute, shape)
    x = RNG.normal(size=(3, *shape[1:]))
    assert_same(compute, x, compile_function(compute, [shape]))


@pytest.mark.parametrize("dtype", [tf.float64, tf.float16])
def test_other_number_formats_are_left_to_tensorflow(dtype):
    assert has_own_kernel(gradient(kernel_of(5, 5, 8, 1, dtype=dtype)), (3, 9, 8, 8))


@pytest.mark.parametrize("size", [3, 5])
def test_dilated_windows_have_the_right_gradient(size):
    """As Keras makes them: oneDNN's kernel for the operation that has dilations is wrong."""
    kernel = kernel_of(size, size, 8, 1)

    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = keras.ops.depthwise_conv(
                x, kernel, padding="same", dilation_rate=2, data_format="channels_last"
            )
            loss = tf.reduce_sum(tf.sin(y))
        return tape.gradient(loss, kernel)

    x = RNG.normal(size=(3, 9, 9, 8)).astype(np.float32)
    expected = of_dilated_windows(x.astype(np.float64), kernel.numpy()[..., 0].astype(np.float64))
    found = compile_function(compute, [x.shape])(x)[0]
    assert_allclose(np.asarray(found)[..., 0], expected, rtol=1e-4, atol=1e-4)


def of_dilated_windows(x, kernel):
    """The same gradient in NumPy."""
    size, (height, width) = len(kernel), x.shape[1:3]
    padded = np.pad(x, ((0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0)))
    windows = {
        (u, v): padded[:, 2 * u : 2 * u + height, 2 * v : 2 * v + width]
        for u in range(size)
        for v in range(size)
    }
    y = sum(kernel[place] * window for place, window in windows.items())
    sums = [(np.cos(y) * window).sum(axis=(0, 1, 2)) for window in windows.values()]
    return np.reshape(sums, (size, size, -1))
