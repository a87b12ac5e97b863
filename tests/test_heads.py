"""The head: a convex problem with one solution, solved once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skltransfer.backend import as_tensor
from skltransfer.tasks import softmax_regression as problems
from skltransfer.tasks.classification import Classification
from skltransfer.tasks.softmax_regression import log_softmax, softmax_regression
from skltransfer.training.head import (
    Head,
    Standardizer,
    linear_probe_init,
    random_head,
)

TASK = Classification(np.arange(3))


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 12)).astype(np.float32)
    labels = (features[:, :3] + 0.5 * rng.standard_normal((60, 3))).argmax(axis=1)
    return features, np.eye(3, dtype=np.float32)[labels], rng.integers(1, 4, 60).astype(float)


def test_the_solution_is_that_of_scikit_learn(problem):
    features, targets, weights = problem
    kernel, bias = softmax_regression(features, targets, weights)
    model = LogisticRegression(C=30 / 12, tol=1e-8, max_iter=5000)
    model.fit(features, targets.argmax(axis=1), sample_weight=weights)
    ours = log_softmax(features @ kernel + bias)
    np.testing.assert_allclose(ours, model.predict_log_proba(features), atol=2e-3)


def test_an_integer_weight_is_so_many_rows(problem):
    features, targets, weights = problem
    times = weights.astype(int)
    repeated = (np.repeat(array, times, axis=0) for array in (features, targets))
    for ours, theirs in zip(
        softmax_regression(features, targets, weights),
        softmax_regression(*repeated, np.ones(times.sum())),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_problem_is_solved_once(problem, monkeypatch):
    first = softmax_regression(*problem)
    monkeypatch.setattr(problems, "minimize", None)
    again = softmax_regression(*(array.copy() for array in problem))
    assert all(a is b for a, b in zip(first, again, strict=True))
    features, targets, weights = problem
    with pytest.raises(TypeError, match="NoneType"):
        softmax_regression(features, targets, weights + 1)


def test_a_solution_that_is_shared_cannot_be_written_to(problem):
    kernel, bias = softmax_regression(*problem)
    with pytest.raises(ValueError, match="read-only"):
        kernel[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        bias[0] = 0


@pytest.mark.parametrize("units", [(), (2,), (16,), (16, 8)])
def test_a_convex_head_fits_better_than_none(problem, units):
    head = Head(n_features=12, units=units, activation="relu", n_outputs=3)
    features, targets, weights = problem
    layers = linear_probe_init(head, TASK, features, targets, weights, seed=0)
    assert [layer.shape for layer in layers] == head.shapes
    logits = np.asarray(head.outputs([as_tensor(array) for array in layers], features))
    loss = -(weights[:, None] * targets * log_softmax(logits)).sum() / weights.sum()
    assert loss < 0.8 * np.log(3)


@pytest.mark.parametrize("units", [(6,), (16,), (16, 8), (64, 32), (6, 6, 6)])
def test_hidden_layers_keep_the_linear_solution(problem, units):
    """Each has room for both signs of three outputs."""
    features, targets, weights = problem

    def loss(units):
        head = Head(n_features=12, units=units, activation="relu", n_outputs=3)
        layers = linear_probe_init(head, TASK, features, targets, weights, seed=0)
        logits = np.asarray(head.outputs([as_tensor(array) for array in layers], features))
        return -(weights[:, None] * targets * log_softmax(logits)).sum() / weights.sum()

    assert loss(units) < loss(()) + 0.02


@pytest.mark.parametrize("smoothing", [0.0, 1e-6, 0.05])
@pytest.mark.parametrize("units", [(), (16,)])
def test_a_class_that_has_no_rows_is_unlikely_and_not_impossible(problem, units, smoothing):
    """As if there were one row of it; gradient steps would hardly unlearn a certainty."""
    head = Head(n_features=12, units=units, activation="relu", n_outputs=3)
    features = problem[0] - problem[0].mean(axis=0)
    one_class = np.tile(np.eye(3, dtype=np.float32)[1], (60, 1)) * (1 - smoothing) + smoothing / 3
    for times in (1.0, 5.0):
        layers = linear_probe_init(head, TASK, features, one_class, np.full(60, times), seed=0)
        logits = np.asarray(head.outputs([as_tensor(array) for array in layers], features))
        absent = np.exp(log_softmax(logits)).mean(axis=0)[[0, 2]]
        assert (absent > 0.2 / 62).all()
        assert (absent < 2 / 62 + smoothing / 3).all()


def test_a_class_without_weight_is_one_that_has_no_rows(problem):
    head = Head(n_features=12, units=(), activation="relu", n_outputs=3)
    features, targets, weights = problem
    present = targets[:, 0] == 0
    without = linear_probe_init(
        head, TASK, features[present], targets[present], weights[present], seed=0
    )
    weightless = linear_probe_init(head, TASK, features, targets, weights * present, seed=0)
    for ours, theirs in zip(weightless, without, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_random_head_says_nothing_at_first():
    head = Head(n_features=12, units=(16,), activation="relu", n_outputs=3)
    layers = random_head(head, seed=0)
    assert np.abs(layers[0]).max() > 0
    outputs = head.outputs([as_tensor(array) for array in layers], np.ones((1, 12), np.float32))
    np.testing.assert_array_equal(outputs, np.zeros((1, 3)))


def test_features_that_hardly_move_do_not_dominate():
    features = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    features[:, 0] *= 1e-4
    features[:, 1] = 7
    standardised = Standardizer.of(features, np.ones(50))(features)
    assert np.abs(standardised[:, 0]).max() < 0.01
    np.testing.assert_allclose(standardised[:, 1], 0, atol=1e-6)
    assert np.abs(standardised[:, 2:]).std() > 0.5


def test_what_is_constant_but_for_rounding_stays_so():
    features = np.float32(0.75) + np.random.default_rng(0).integers(-2, 3, (50, 4)) * 6e-8
    standardised = Standardizer.of(features.astype(np.float32), np.ones(50))(features)
    np.testing.assert_allclose(standardised, 0, atol=1e-6)


def test_constant_features_stay_finite():
    features = np.full((5, 3), 2.0, np.float32)
    np.testing.assert_array_equal(Standardizer.of(features, np.ones(5))(features), 0)
