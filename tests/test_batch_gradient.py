"""Batches that do not fit into memory are trained in parts, and memory is shared with others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from conftest import out_of_memory
from skltransfer import FineTunedClassifier
from skltransfer.backbones.registry import resolve
from skltransfer.backend.tensorflow import functions as _tensorflow
from skltransfer.network.runtime import network_of
from skltransfer.tasks.classification import SoftmaxCrossEntropy
from skltransfer.training.batch_gradient import BatchGradient
from skltransfer.training.head import Head
from skltransfer.training.train_step import TrainStep

LABELS = [0, 1] * 4


@pytest.fixture
def step(tiny):
    network = network_of(resolve(tiny), (16, 16))
    head = Head(network.n_features, (5,), "relu", 3)
    return TrainStep(network, network.stages[0].stop, head, SoftmaxCrossEntropy(), False, True)


def batch_for(step, rows):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in step.batch_shapes(rows)]
    arrays[1] = np.abs(arrays[1])  # variances among them
    arrays[2] = np.abs(arrays[2]) + np.float32(0.5)
    return arrays


def short_of_memory(step, most):
    """The gradient of a step on a device where only `most` rows fit, and what was asked."""
    asked = []

    def compiled(rows):
        def gradient(*arguments):
            asked.append(rows)
            if rows > most:
                raise out_of_memory()
            return step.gradient(rows)(*arguments)

        return gradient

    return compiled, asked


@pytest.mark.parametrize("rows", [8, 7])
@pytest.mark.parametrize("most", [4, 3, 1])
def test_parts_add_up_to_the_batch(step, rows, most):
    arrays = batch_for(step, rows)
    compiled, asked = short_of_memory(step, most)
    expected, loss = step.gradient(rows)(*arrays)
    gradient = BatchGradient(compiled, rows)
    with pytest.warns(UserWarning, match="ran out of memory on a training batch of") as told:
        found, of_parts = gradient(*arrays)
    assert f"batch of {rows} rows" in str(told[0].message)
    assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-4, atol=1e-5)
    assert float(of_parts) == pytest.approx(float(loss), rel=1e-5)
    del asked[:]
    gradient(*arrays)
    assert max(asked) <= most


def test_a_row_that_does_not_fit_is_an_error(step):
    compiled, _ = short_of_memory(step, 0)
    warned = pytest.warns(UserWarning, match="smaller batch_size or input_size")
    with warned, pytest.raises(type(out_of_memory())):
        BatchGradient(compiled, 2)(*batch_for(step, 2))


def test_other_errors_are_not_taken_for_it(step):
    def compiled(rows):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        BatchGradient(compiled, 2)(*batch_for(step, 2))


def test_a_fit_that_runs_out_of_memory_learns_the_same(tiny, images, monkeypatch):
    def probabilities():
        classifier = FineTunedClassifier(tiny, epochs=2, batch_size=8, random_state=0, cache=None)
        return classifier.fit(images, LABELS).predict_proba(images)

    expected = probabilities()
    whole = BatchGradient.__call__

    def halved(self, *arguments):
        self._together = 4
        return whole(self, *arguments)

    monkeypatch.setattr(BatchGradient, "__call__", halved)
    assert_allclose(probabilities(), expected, atol=1e-4)


def test_memory_of_a_gpu_is_taken_as_it_is_needed(monkeypatch):
    tf = pytest.importorskip("tensorflow")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    grown = []
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu, on))
    )
    _tensorflow.share_gpus()
    assert grown == [("GPU:0", True), ("GPU:1", True)]
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    _tensorflow.share_gpus()
    assert len(grown) == 2
