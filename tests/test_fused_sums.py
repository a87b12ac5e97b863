"""Sums that oneDNN adds up where a tensor lies: only where nobody else needs that tensor."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from skltransfer.backend import compile_function, kernels, traced
from skltransfer.backend.tensorflow.onednn import with_onednn

pytestmark = pytest.mark.skipif(kernels() != "onednn", reason="only oneDNN's kernels are avoided")

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 4, 9, 10, 8)).astype(np.float32)
KERNELS = [tf.constant(rng.normal(0, 0.2, (3, 3, 8, 8)), tf.float32) for _ in range(3)]
BIAS = tf.constant(rng.normal(size=8), tf.float32)


def convolved(x, number):
    return tf.nn.bias_add(tf.nn.conv2d(x, KERNELS[number], 1, "SAME"), BIAS)


def inverted(x, activation=tf.identity):
    """The block adds what came before its first layer, as those of MobileNetV2 do."""
    x = tf.nn.relu(convolved(x, 0))
    return (activation(convolved(tf.nn.relu(convolved(x, 1)), 2) + x),)


def direct(x, activation=tf.identity):
    """The layer whose result is added reads what it is added to."""
    x = tf.nn.relu(convolved(x, 0))
    return (activation(convolved(x, 1) + x),)


def of_the_input(x, activation=tf.identity):
    return (activation(convolved(tf.nn.relu(convolved(x, 0)), 1) + x),)


def kept(x, activation=tf.identity):
    """What is added is a result, too."""
    before = tf.nn.relu(convolved(x, 0))
    return (activation(convolved(tf.nn.relu(convolved(before, 1)), 2) + before), before)


def used_later(x, activation=tf.identity):
    before = tf.nn.relu(convolved(x, 0))
    total = activation(convolved(tf.nn.relu(convolved(before, 1)), 2) + before)
    return (total + tf.nn.max_pool2d(before, 3, 1, "SAME"),)


def one_behind_the_other(x, activation=tf.identity):
    """Nobody else needs what the second block adds, which the first gives."""
    (before,) = direct(x)
    before = tf.nn.relu(before)
    return (activation(convolved(tf.nn.relu(convolved(before, 1)), 2) + before),)


BLOCKS = [inverted, one_behind_the_other, direct, of_the_input, kept, used_later]


def fused_steps(block):
    """What convolutions compute along with their own work."""
    graph = with_onednn(traced(block, [X.shape[1:]])).graph.as_graph_def()
    return [list(node.attr["fused_ops"].list.s) for node in graph.node]


TELL_FUSED_STEPS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_fused_sums as here
found = {block.__name__: here.fused_steps(block) for block in here.BLOCKS}
told = {name: [[s.decode() for s in one] for one in steps] for name, steps in found.items()}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def steps_by_block(in_fresh_process):
    """Fused steps where TensorFlow uses oneDNN throughout, as it does by itself on some processors.

    It decides so when it starts, so that it takes a process of its own.
    """
    tests = Path(__file__).parent
    told, _ = in_fresh_process(TELL_FUSED_STEPS, tests, TF_ENABLE_ONEDNN_OPTS="1")
    return json.loads(told)


@pytest.mark.parametrize("block", BLOCKS)
def test_sums_are_fused_where_nobody_else_needs_the_tensor(block, steps_by_block):
    found = steps_by_block[block.__name__]
    fused = any("Add" in steps for steps in found)
    assert fused == (block in [inverted, one_behind_the_other])
    assert ["BiasAdd", "Relu"] in found


@pytest.mark.parametrize("activation", [tf.identity, tf.nn.relu, tf.nn.relu6, tf.nn.leaky_relu])
@pytest.mark.parametrize("block", BLOCKS)
def test_results_are_the_same(block, activation):
    compiled = compile_function(lambda x: block(x, activation), [X.shape[1:]])
    expected = block(tf.constant(X[0]), activation)
    for found, result in zip(compiled(X[0]), expected, strict=True):
        assert_allclose(found, result, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
def test_calls_at_a_time_change_no_bit(block):
    compiled = compile_function(block, [X.shape[1:]])

    def bits(number):
        return [np.asarray(result).tobytes() for result in compiled(X[number % 2])]

    alone = [bits(0), bits(1)]
    with ThreadPoolExecutor(3) as pool:
        for number, found in enumerate(pool.map(bits, range(2000))):
            assert found == alone[number % 2]
