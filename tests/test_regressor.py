"""FineTunedRegressor: units of y, losses, what is refused, and its place among scikit-learn's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multioutput import MultiOutputRegressor

from skltransfer import FineTunedRegressor, load
from skltransfer.backend import as_array, as_tensor
from skltransfer.tasks.regression import LOSSES, Regression
from skltransfer.tasks.weighting import merge_rows
from skltransfer.training.trainer import Trainer


@pytest.fixture(scope="module")
def bright():
    """Images, and how bright they are in a unit of its own."""
    rng = np.random.default_rng(0)
    light = rng.integers(0, 55, 40)
    images = rng.integers(0, 200, (40, 16, 16, 3)) + light[:, None, None, None]
    return images.astype(np.uint8), 100.0 * light + 3000


@pytest.fixture
def make(tiny):
    def regressor(**settings):
        given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "random_state": 0}
        return FineTunedRegressor(tiny, **{**given, **settings})

    return regressor


@pytest.mark.parametrize("loss", LOSSES)
def test_it_learns_by_each_loss(make, bright, loss):
    X, y = bright
    fitted = make(loss=loss, epochs=20, freeze_depth=0).fit(X[:30], y[:30])
    assert fitted.score(X[30:], y[30:]) > 0.7
    assert fitted.history_["loss"][-1] < 0.5 * fitted.history_["loss"][0]


def test_units_change_nothing(make, bright):
    X, y = bright
    expected = make().fit(X, y).predict(X)
    for factor, offset in [(1e-9, 0.0), (-1e6, 5e6)]:
        found = make().fit(X, factor * y + offset).predict(X)
        assert found.dtype == np.float64
        assert_allclose((found - offset) / factor, expected, rtol=1e-3)


def test_predictions_have_the_shape_of_y(make, bright):
    X, y = bright
    flat = make().fit(X, y).predict(X)
    column = make().fit(X, y[:, np.newaxis]).predict(X)
    frame = make().fit(X, pd.DataFrame({"light": y, "dark": -y})).predict(X)
    assert (flat.shape, column.shape, frame.shape) == ((40,), (40, 1), (40, 2))
    assert_array_equal(column[:, 0], flat)
    assert_allclose(frame[:, 0], -frame[:, 1], rtol=1e-3)


def test_a_target_that_never_differs_is_predicted(make, bright):
    X, y = bright
    found = make().fit(X, np.stack([y, np.full(40, 7e5)], axis=1)).predict(X)
    assert_allclose(found[:, 1], 7e5, atol=1.0)
    assert_allclose(make(epochs=0).fit(X[:1], y[:1]).predict(X[:3]), y[0])


def test_the_best_epoch_is_by_the_loss_and_r2_is_told(make, bright):
    X, y = bright
    history = make(early_stopping=True, epochs=5).fit(X, y).history_
    assert set(history) == {"loss", "val_loss", "val_r2"}
    assert all(-10 < value <= 1 for value in history["val_r2"])


def test_nothing_to_hold_out_is_told(make, bright):
    X, y = bright
    with pytest.warns(UserWarning, match="holds nothing out, since all rows are equal"):
        make(early_stopping=True, epochs=1).fit(X[[0, 0]], y[:2])


def test_ratings_of_one_image_are_held_out_together():
    keys = [bytes([row // 3]) for row in range(30)]
    rows = merge_rows(keys, np.arange(30.0), np.ones(30))
    chosen = Regression(1, True, "huber").hold_out(rows, 0.4, np.random.default_rng(0))
    sides = [set(chosen[3 * image : 3 * image + 3]) for image in range(10)]
    assert {len(side) for side in sides} == {1}
    assert chosen.sum() == 12


def test_measures_are_those_of_scikit_learn(bright):
    rng = np.random.default_rng(0)
    task = Regression(2, False, "absolute_error")
    y, weights = rng.standard_normal((20, 2)), rng.integers(1, 4, 20).astype(float)
    rows = merge_rows([bytes([row]) for row in range(20)], task.encode(y), weights)
    task = task.observed(rows)
    targets = task.targets(rows, rows)
    assert_allclose(np.average(targets.values, axis=0, weights=weights), 0, atol=1e-6)
    assert_allclose(np.average(targets.values**2, axis=0, weights=weights), 1, rtol=1e-6)
    outputs = rng.standard_normal((20, 2)).astype(np.float32)
    found = task.measures(outputs, targets)
    expected = mean_absolute_error(targets.values, outputs, sample_weight=weights)
    assert_allclose(found["loss"], expected, rtol=1e-6)
    assert_allclose(found["r2"], r2_score(targets.values, outputs, sample_weight=weights))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_loss_and_its_gradient_are_the_same_by_numpy_and_by_keras(loss):
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((2, 30, 3)).astype(np.float32)
    shares = rng.random((30, 1), np.float32)
    of_rows = as_array(loss.of_tensors(as_tensor(outputs), as_tensor(targets)))
    found = loss.of_arrays(outputs, targets, shares)
    assert_allclose(found.loss, (shares[:, 0] * of_rows).sum(), rtol=1e-5)
    moved = 1e-3 * np.sign(rng.standard_normal(outputs.shape)).astype(np.float32)
    up, down = (loss.of_arrays(outputs + s * moved, targets, shares).loss for s in (1, -1))
    assert_allclose((found.slope * moved).sum(), (up - down) / 2, atol=1e-5)


def test_a_loss_of_many_deviations_is_told():
    settings = SimpleNamespace(learning_rate=3.0)
    task = Regression(1, True, "squared_error")
    trainer = Trainer(settings, task, None, None, None, 0, None)
    trainer.warn_of_a_large_loss([2.0, 9.0])
    with pytest.warns(
        ConvergenceWarning, match="The loss rose from 2 in .* to 11 at the end; .* a loss of 1"
    ):
        trainer.warn_of_a_large_loss([2.0, 11.0])


def test_a_warm_start_keeps_the_moments_and_the_number_of_targets(make, bright):
    X, y = bright
    fitted = make(warm_start=True).fit(X, y)
    mean = fitted._task.mean
    fitted.fit(X, y + 1e3)
    assert_array_equal(fitted._task.mean, mean)
    with pytest.raises(ValueError, match="y has 2 targets, but the first fit had 1, and"):
        fitted.fit(X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="y has 2 targets, but the first fit had 1, and"):
        fitted.partial_fit(X, np.stack([y, y], axis=1))


@pytest.fixture(scope="module")
def rows():
    """Plain rows of numbers, and what depends on them linearly."""
    rows = np.random.default_rng(0).normal(5, [1, 100, 0.1], (40, 3))
    return rows, rows @ [3.0, 0.01, -5.0]


@pytest.mark.parametrize("depth", ["all", -1])
def test_the_head_reads_plain_numbers_themselves(make, rows, depth):
    X, y = rows
    fitted = make(freeze_depth=depth).fit(X[:30], y[:30])
    assert fitted.score(X[30:], y[30:]) > 0.9
    assert fitted._head.n_columns == 3
    found = fitted.to_keras()(X.astype(np.float32))
    assert_allclose(np.asarray(found)[:, 0], fitted.predict(X), rtol=1e-4, atol=1e-4)


def test_plain_numbers_of_any_weight_order_and_file_are_the_same(make, rows, tmp_path):
    X, y = rows
    weights = np.arange(40) % 3
    repeated = np.repeat(np.arange(40), weights)[::-1]
    fitted = make().fit(X, y, sample_weight=weights)
    expected = fitted.predict(X)
    assert_array_equal(make().fit(X[repeated], y[repeated]).predict(X), expected)
    assert_array_equal(fitted.predict(X[::-1]), expected[::-1])
    fitted.save(tmp_path / "regressor.skt")
    assert_array_equal(load(tmp_path / "regressor.skt").predict(X), expected)
    assert fitted.partial_fit(X, y).n_iter_ == 3


def test_images_have_no_numbers_beside_them(make, bright):
    assert make(epochs=0).fit(*bright)._head.n_columns == 0


REFUSED = {
    "text": (["cheap", "dear"] * 20, "y holds text, but FineTunedRegressor learns numbers"),
    "dates": (np.arange(40).astype("M8[D]"), "y holds dates or times, but"),
    "None": ([*range(39), None], r"y has no number in row 39: it is None. This holds for 1 of 40"),
    "NA": (
        pd.Series([*range(39), pd.NA], dtype="Int64"),
        "y has no finite number in row 39: it is nan",
    ),
    "NaN": (
        np.r_[np.nan, np.arange(39)],
        r"y has no finite number in row 0: it is nan. This holds",
    ),
    "too wide": (
        np.r_[np.full(39, 1.7e308), -1.7e308],
        "difference is beyond the range of float64",
    ),
    "another length": (np.arange(39), "inconsistent numbers of samples"),
    "complex": (np.arange(40) * 1j, "Complex data not supported"),
    "too many dimensions": (np.zeros((40, 2, 2)), "y.*dim 3"),
}


@pytest.mark.parametrize("y, message", REFUSED.values(), ids=REFUSED)
def test_what_is_no_target_is_refused(make, bright, y, message):
    with pytest.raises(ValueError, match=message):
        make().fit(bright[0], y)


def test_sparse_targets_are_refused(make, bright):
    with pytest.raises(TypeError, match="Sparse data was passed for y"):
        make().fit(bright[0], csr_matrix(np.eye(40)))


def test_it_works_within_the_tools_of_scikit_learn(make, bright):
    X, y = bright
    regressor = make(freeze_depth="all", epochs=1)
    found = cross_val_predict(regressor, X, y, cv=KFold(3, shuffle=True, random_state=0))
    assert found.shape == (40,)
    for wrapper, target in [
        (TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp), y),
        (VotingRegressor([("a", regressor), ("b", make(epochs=0))]), y),
        (MultiOutputRegressor(regressor), np.stack([y, -y], axis=1)),
    ]:
        assert wrapper.fit(X, target).predict(X).shape == target.shape
