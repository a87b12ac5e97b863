"""Gradients by kernels of depthwise convolutions are convolutions, and the same gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from skltransfer.backend import compile_function, kernels, traced
from skltransfer.backend.tensorflow.onednn import with_onednn

pytestmark = pytest.mark.skipif(kernels() != "onednn", reason="only oneDNN's kernel is avoided")

RNG = np.random.default_rng(0)


def gradient(kernel, stride=1, padding="SAME", dilation=1):
    """Function from pictures to the gradient of a loss by the kernel."""

    def compute(x):
        x = tf.cast(x, kernel.dtype)
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = tf.raw_ops.DepthwiseConv2dNative(
                input=x,
                filter=kernel,
                strides=[1, stride, stride, 1],
                padding=padding,
                dilations=[1, dilation, dilation, 1],
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
    x = x.astype(np.float32)
    compiled = compiled or compile_function(compute, [x.shape])
    assert_allclose(compiled(x)[0], compute(tf.constant(x)), rtol=1e-4, atol=1e-4)


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
def test_windows_larger_than_the_picture_are_convolved(sides):
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
        (gradient(kernel_of(5, 5, 8, 1), dilation=2), (3, 9, 9, 8)),
        (gradient(kernel_of(5, 5, 8, 1)), (None, 9, 9, 8)),
    ],
    ids=["3 x 3", "two of a channel", "a row is left", "rows between", "dilated", "any rows"],
)
def test_others_keep_the_kernel_of_onednn(compute, shape):
    assert has_own_kernel(compute, shape)
    x = RNG.normal(size=(3, *shape[1:]))
    assert_same(compute, x, compile_function(compute, [shape]))


@pytest.mark.parametrize("dtype", [tf.float64, tf.float16])
def test_other_number_formats_are_left_to_tensorflow(dtype):
    assert has_own_kernel(gradient(kernel_of(5, 5, 8, 1, dtype=dtype)), (3, 9, 8, 8))
