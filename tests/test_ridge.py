"""The convex problem of a regressor: ridge, with the penalty that predicts left-out content."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from skltransfer.tasks import ridge as problems
from skltransfer.tasks.ridge import PENALTIES, _Spectrum, ridge


@pytest.fixture(params=[(30, 6), (12, 40)], ids=["tall", "wide"])
def problem(request):
    """Features, two targets of other difficulty, and weights."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal(request.param).astype(np.float32)
    easy = features[:, 0] + 0.1 * rng.standard_normal(len(features))
    hard = features[:, 1] + 3.0 * rng.standard_normal(len(features))
    targets = np.stack([easy, hard], axis=1).astype(np.float32)
    return features, targets, rng.integers(1, 4, len(features)).astype(float)


def left_out_error(problem, penalty):
    """Weighted squared errors by fitting as often as there are rows."""
    features, targets, weights = problem
    errors = np.zeros(targets.shape[1])
    for row in range(len(features)):
        others = np.arange(len(features)) != row
        model = Ridge(alpha=penalty).fit(features[others], targets[others], weights[others])
        errors += weights[row] * (model.predict(features[[row]])[0] - targets[row]) ** 2
    return errors


def test_the_closed_form_is_leaving_out(problem):
    features, targets, weights = (array.astype(np.float64) for array in problem)
    shares = weights / weights.sum()
    centred = features - shares @ features, targets - shares @ targets
    spectrum = _Spectrum.of(*centred, weights)
    penalties = features.shape[1] * np.array([10.0, 0.1, 1e-3])
    expected = [left_out_error((features, targets, weights), penalty) for penalty in penalties]
    assert_allclose(spectrum.left_out_errors(penalties), expected, rtol=1e-6)


def test_each_target_has_the_solution_of_scikit_learn_with_the_best_penalty(problem):
    features, targets, weights = problem
    kernel, bias = ridge(*problem)
    penalties = features.shape[1] * PENALTIES
    errors = np.array([left_out_error(problem, penalty) for penalty in penalties])
    for column, penalty in enumerate(penalties[errors.argmin(axis=0)]):
        model = Ridge(alpha=penalty).fit(features, targets[:, column], weights)
        assert_allclose(features @ kernel[:, column] + bias[column], model.predict(features), 1e-4)


def test_targets_have_penalties_of_their_own(problem):
    features, targets, weights = problem
    together = ridge(*problem)[0]
    alone = [ridge(features, targets[:, [column]], weights)[0][:, 0] for column in (0, 1)]
    assert_allclose(together, np.stack(alone, axis=1), rtol=1e-5, atol=1e-7)


def test_rows_that_come_again_choose_the_same_penalty(problem):
    """Left out one by one, each of them would predict its own copy."""
    features, targets, weights = problem
    times = weights.astype(int)
    repeated = [np.repeat(array, times, axis=0) for array in (features, targets)]
    for ours, theirs in zip(ridge(*problem), ridge(*repeated, np.ones(times.sum())), strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_two_values_of_one_row_are_their_mean(problem):
    features, targets, weights = problem
    apart = np.repeat(features, 2, axis=0), np.repeat(targets, 2, axis=0)
    apart[1][::2] += 1
    apart[1][1::2] -= 1
    for ours, theirs in zip(ridge(*problem), ridge(*apart, np.repeat(weights, 2) / 2), strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_rows", [1, 2])
def test_few_rows_have_a_solution(n_rows):
    features = np.arange(n_rows * 3, dtype=np.float32).reshape(n_rows, 3)
    kernel, bias = ridge(features, features[:, :1], np.ones(n_rows))
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()


def test_features_that_never_differ_predict_the_mean():
    targets = np.array([[1.0], [2.0], [6.0]], np.float32)
    kernel, bias = ridge(np.ones((3, 4), np.float32), targets, np.array([1.0, 1.0, 2.0]))
    assert_array_equal(kernel, 0)
    assert bias == 3.75


def test_a_problem_is_solved_once(problem, monkeypatch):
    first = ridge(*problem)
    monkeypatch.setattr(problems, "_Spectrum", None)
    assert all(a is b for a, b in zip(first, ridge(*problem), strict=True))
