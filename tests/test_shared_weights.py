"""Large frozen weights are shared by compiled functions, which changes no bit."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_array_equal

from skltransfer.backend import compile_function, constant, kernels
from skltransfer.backend.tensorflow.onednn import with_onednn

pytestmark = [
    pytest.mark.about("tensorflow", reason="its graphs would keep copies"),
    pytest.mark.skipif(kernels() != "onednn", reason="other graphs are not rewritten"),
]

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(256, 8, 64)).astype(np.float32)
BIAS = RNG.normal(size=512).astype(np.float32)
X = RNG.normal(size=(16, 256)).astype(np.float32)
SHAPES, DTYPES = [(None, 256)], ["float32"]


def product(kernel):
    def compute(x):
        flat = ops.reshape(kernel, (256, 512))
        parts = [ops.matmul(x[:, part], flat[part]) for part in (slice(128), slice(128, 256))]
        return ops.relu(parts[0] + BIAS) + parts[1]

    return compute


def nodes_of(compute):
    import tensorflow as tf

    concrete = tf.function(compute, autograph=False).get_concrete_function(
        tf.TensorSpec(*SHAPES, *DTYPES)
    )
    return with_onednn(concrete).graph.as_graph_def().node


def test_a_large_weight_is_no_constant_of_a_graph():
    most = max(node.ByteSize() for node in nodes_of(product(constant(KERNEL))))
    assert most < KERNEL.nbytes / 100


def test_results_have_the_bits_of_those_with_constants():
    shared, constants = (
        compile_function(product(kernel), SHAPES, DTYPES) for kernel in (constant(KERNEL), KERNEL)
    )
    for n_rows in (16, 1, 7):
        found, expected = (np.asarray(run(X[:n_rows])[0]) for run in (shared, constants))
        assert_array_equal(found.view(np.int32), expected.view(np.int32))


def test_what_depends_on_weights_alone_is_computed_once():
    def compute(x):
        kernel = ops.cast(ops.reshape(constant(KERNEL), (256, 512)), "float64")
        return ops.cast(x, "float64") @ ops.transpose(ops.transpose(kernel))

    found = [node.op for node in nodes_of(compute)]
    assert found.count("Placeholder") == 2
    assert found.count("Cast") == 1  # of x
    assert not {"Reshape", "Transpose"} & set(found)


def test_kernels_may_keep_a_shared_weight_in_their_own_format():
    fused = [node for node in nodes_of(product(constant(KERNEL))) if "is_filter_const" in node.attr]
    assert fused
    assert all(node.attr["is_filter_const"].b for node in fused)


@pytest.mark.parametrize("shape", [(3, 3, 256, 256), (8, 8)], ids=["convolution", "small"])
def test_kernels_of_convolutions_and_small_weights_stay_arrays(shape):
    array = np.ones(shape, np.float32)
    assert constant(array) is array
