"""Gradients by kernels of 1 x 1 convolutions are matrix products, and the same gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from skltransfer._backend import compile_function, kernels, traced
from skltransfer._backend._onednn import with_onednn

pytestmark = pytest.mark.skipif(kernels() != "onednn", reason="only oneDNN's kernel is avoided")

X = np.random.default_rng(0).normal(size=(3, 6, 5, 8)).astype(np.float32)


def gradient(kernel, strides=1):
    """Function from pictures to the gradient of a loss by the kernel."""

    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.sin(tf.nn.conv2d(x, kernel, strides, "SAME")))
        return tape.gradient(loss, kernel)

    return compute


def kernel_of(shape):
    return tf.constant(np.random.default_rng(1).normal(size=shape).astype(np.float32))


def operations(compute):
    """Kinds of what is run."""
    graph = with_onednn(traced(compute, [X.shape])).graph
    return [operation.type for operation in graph.get_operations()]


def test_a_pointwise_kernel_is_multiplied():
    compute = gradient(kernel_of((1, 1, 8, 7)))
    compiled = compile_function(compute, [X.shape])
    assert "_MklMatMul" in operations(compute)
    assert not any("BackpropFilter" in name for name in operations(compute))
    assert compiled.shapes == [(1, 1, 8, 7)]
    assert_allclose(compiled(X)[0], compute(tf.constant(X)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "strides"), [((3, 3, 8, 7), 1), ((1, 1, 8, 7), 2), ((1, 3, 8, 7), 1)]
)
def test_other_kernels_are_left_to_the_convolution(shape, strides):
    compute = gradient(kernel_of(shape), strides)
    compiled = compile_function(compute, [X.shape])
    assert "_MklMatMul" not in operations(compute)
    assert_allclose(compiled(X)[0], compute(tf.constant(X)), rtol=1e-4, atol=1e-4)
