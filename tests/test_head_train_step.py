"""A head by itself is trained by NumPy as TensorFlow would train it, on one thread."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_info, threadpool_limits

from skltransfer.backbones.registry import resolve
from skltransfer.backend.blas import one_thread
from skltransfer.network.runtime import network_of
from skltransfer.tasks.classification import SoftmaxCrossEntropy
from skltransfer.training.choice import train_step_for
from skltransfer.training.head import Head
from skltransfer.training.head_train_step import HeadTrainStep
from skltransfer.training.train_step import TrainStep

ROWS, CLASSES = 6, 3
LOSS = SoftmaxCrossEntropy()


@pytest.fixture
def network(tiny):
    return network_of(resolve(tiny), (16, 16))


@pytest.fixture
def end(network):
    return network.end


def head_of(network, units=(), activation="relu"):
    return Head(network.n_features, units, activation, CLASSES)


def batch_for(step, seed=0):
    """State and batch: weights of any size, soft labels, weights of rows, masks."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in step.batch_shapes(ROWS)]
    arrays[2][1] = rng.uniform(0.5, 2, arrays[2][1].shape)  # the scale of features
    arrays[4] = rng.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
    arrays[5] = np.array([1, 2, 0.5, 0, 1, 1], np.float32)
    arrays[6:] = [2 * (mask > 0).astype(np.float32) for mask in arrays[6:]]
    return arrays


@pytest.mark.parametrize("dropout", [False, True], ids=["whole", "dropout"])
@pytest.mark.parametrize("units", [(), (5,), (5, 4)], ids=str)
def test_gradient_and_predictions_are_those_of_tensorflow(network, end, units, dropout):
    head = head_of(network, units)
    kinds = (HeadTrainStep, TrainStep)
    ours, theirs = (kind(network, end, head, LOSS, False, dropout) for kind in kinds)
    arrays = batch_for(ours)
    found, expected = (step.gradient(ROWS)(*arrays) for step in (ours, theirs))
    assert_allclose(found[0], np.asarray(expected[0]), rtol=1e-5, atol=1e-6)
    assert found[1] == pytest.approx(float(expected[1]), rel=1e-5)
    state, rows = tuple(arrays[:3]), (arrays[3],)
    found, expected = (step.forward()(rows, state) for step in (ours, theirs))
    assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)
    assert_array_equal(found[1], expected[1])


def test_a_table_may_have_many_more_columns_than_there_are_features(network, end):
    """The trial of the head's function needs as many rows of the table as of features."""
    n_columns = 20_000
    head = Head(network.n_features + n_columns, (2,), "gelu", CLASSES, n_columns)
    step = TrainStep(network, end, head, LOSS, False, False)
    rng = np.random.default_rng(0)
    features, columns = rng.normal(size=(3, network.n_features)), rng.normal(size=(3, n_columns))
    rows = features.astype(np.float32), columns.astype(np.float32)
    weights = rng.normal(0, 0.01, sum(map(np.prod, head.shapes))).astype(np.float32)
    standardizer = np.repeat(np.array([[0], [1]], np.float32), head.n_features, axis=1)
    outputs, found = step.forward()(rows, (weights, np.zeros(0, np.float32), standardizer))
    assert outputs.shape == (3, CLASSES) and np.isfinite(outputs).all()
    assert_array_equal(found, rows[0])


def test_a_batch_is_left_as_it_was(network, end):
    step = HeadTrainStep(network, end, head_of(network, (5,)), LOSS, False, True)
    arrays = batch_for(step)
    step.gradient(ROWS)(*arrays)
    for array, before in zip(arrays, batch_for(step), strict=True):
        assert_array_equal(array, before)


@pytest.mark.parametrize("width", [1280, 37])
def test_a_row_is_predicted_as_if_it_were_alone(network, end, width):
    step = HeadTrainStep(network, end, Head(width, (9,), "relu", CLASSES), LOSS, False, False)
    state, x = tuple(batch_for(step)[:3]), np.random.default_rng(1).normal(size=(40, width))
    forward, x = step.forward(), x.astype(np.float32)
    together = forward((x,), state)[0]
    alone = [forward((row[np.newaxis],), state)[0] for row in x]
    assert_array_equal(np.concatenate(alone), together)
    assert_array_equal(forward((x[::-1],), state)[0], together[::-1])
    assert_array_equal(forward((x[3:20],), state)[0], together[3:20])


def test_threads_of_blas_change_no_bit(network, end):
    step = HeadTrainStep(network, end, Head(1280, (64,), "relu", CLASSES), LOSS, False, True)
    arrays = batch_for(step)
    arrays[3] = np.random.default_rng(1).normal(size=(ROWS, 1280)).astype(np.float32)
    results = []
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads, user_api="blas"):
            results.append(step.gradient(ROWS)(*arrays)[0])
    assert_array_equal(results[0], results[1])
    assert_array_equal(results[0], results[2])


@pytest.mark.parametrize(
    ("units", "activation", "kind"),
    [
        ((), "gelu", HeadTrainStep),
        ((5,), "relu", HeadTrainStep),
        ((5,), "gelu", TrainStep),
    ],
)
def test_other_activations_are_left_to_tensorflow(network, end, units, activation, kind):
    head = head_of(network, units, activation)
    assert type(train_step_for(network, end, head, LOSS, False, False)) is kind


def test_where_layers_learn_tensorflow_trains(network, end):
    head = head_of(network)
    assert type(train_step_for(network, end - 1, head, LOSS, False, False)) is TrainStep
    assert type(train_step_for(network, None, head, LOSS, False, False)) is TrainStep


def threads_of_blas():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


def test_one_thread_lasts_until_the_last_is_done():
    with threadpool_limits(2, user_api="blas"):
        first, second = one_thread(), one_thread()
        with first:
            assert threads_of_blas() == {1}
            second.__enter__()
        assert threads_of_blas() == {1}
        second.__exit__(None, None, None)
        assert threads_of_blas() == {2}


def test_threads_are_given_back_after_an_error():
    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(ZeroDivisionError), one_thread():
            _ = 1 / 0
        assert threads_of_blas() == {2}
