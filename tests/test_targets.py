"""The laws for other targets than one class: numbers, and several labels a row.

They are numbered as on the page about design: 3 the cache, 4 order and company, 5 weights,
6 seeds, 7 kinds of X, 8 dumped and loaded, 9 frozen means frozen.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skltransfer import FineTunedClassifier, FineTunedRegressor, cache_info, load
from skltransfer._warnings import UnreadableImagesWarning

N = 24
SETTINGS = {
    "head": {"freeze_depth": "all", "head_units": (6,)},
    "last stage": {"freeze_depth": -1},
    "everything": {"freeze_depth": 0, "batch_norm": "train"},
    "fixed views": {"augment": "standard", "n_views": 3, "tta": True},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3},
}


def numbers(rng):
    return FineTunedRegressor, {}, 300 + 20 * rng.standard_normal(N)


def several_numbers(rng):
    y = np.stack([rng.standard_normal(N), 1e3 * rng.standard_normal(N)], axis=1)
    return FineTunedRegressor, {"loss": "huber"}, y


def several_labels(rng):
    y = (rng.random((N, 3)) < [0.5, 0.2, 0.8]).astype(int)
    return FineTunedClassifier, {"class_weight": [{1: 2.0}, {0: 0.5}, {}]}, y


KINDS = [numbers, several_numbers, several_labels]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def case(request):
    """A class, parameters and y."""
    return request.param(np.random.default_rng(0))


@pytest.fixture
def y(case):
    return case[2]


@pytest.fixture
def make(case, tiny):
    """Make an estimator of the case that trains for a moment."""
    kind, own, _ = case

    def estimator(**settings):
        given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "random_state": 0}
        return kind(tiny, **{**given, **own, **settings})

    return estimator


@pytest.fixture(params=SETTINGS)
def settings(request):
    return SETTINGS[request.param]


def outputs(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def test_weights_are_repetition(make, X, y, settings):
    weights = np.arange(N) % 3
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(N), weights))
    weighted = make(**settings).fit(X, y, sample_weight=weights)
    repeated = make(**settings).fit(X[rows], y[rows])
    assert_array_equal(weighted._states[-1].params, repeated._states[-1].params)
    assert_array_equal(outputs(weighted, X), outputs(repeated, X))


def test_weights_are_repetition_where_an_image_has_two_targets(make, X, y, settings):
    X, y = np.concatenate([X[:12], X[:12]]), y
    weights = 1 + np.arange(N) % 2
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(N), weights))
    weighted = make(**settings).fit(X, y, sample_weight=weights)
    repeated = make(**settings).fit(X[rows], y[rows])
    assert_array_equal(weighted._states[-1].params, repeated._states[-1].params)


def test_weights_are_repetition_in_partial_fit(make, X, y):
    weights = np.arange(N) % 3
    rows = np.repeat(np.arange(N), weights)
    weighted, repeated = make(), make()
    for _ in range(2):
        partial_fit(weighted, X, y, sample_weight=weights)
        partial_fit(repeated, X[rows], y[rows])
    assert_array_equal(outputs(weighted, X), outputs(repeated, X))


def partial_fit(estimator, X, y, **more):
    if hasattr(estimator, "predict_proba"):
        more["classes"] = np.arange(y.shape[1])
    return estimator.partial_fit(X, y, **more)


def test_neither_order_nor_company_nor_the_cache_changes_a_bit(make, X, y, settings, tmp_path):
    order = np.random.default_rng(2).permutation(N)
    expected = make(cache=None, **settings).fit(X, y)
    found = outputs(expected, X)
    for cache in ("memory", tmp_path, tmp_path):
        other = make(cache=cache, **settings).fit(X[order], y[order])
        assert_array_equal(outputs(other, X), found)
    assert_array_equal(outputs(expected, X[order]), found[order])
    assert_array_equal(outputs(expected, X[5:6]), found[5:6])


def test_a_search_in_workers_scores_as_in_one_and_runs_each_stretch_once(
    make, X, y, tmp_path, as_many_threads
):
    grid = {"freeze_depth": ["all", -1], "head_units": [(), (4,)]}
    scores = []
    for n_jobs in (1, 2):
        with as_many_threads():
            estimator = make(cache=tmp_path / str(n_jobs), epochs=1)
            search = GridSearchCV(estimator, grid, cv=2, n_jobs=n_jobs, error_score="raise")
            scores.append(search.fit(X, y).cv_results_["mean_test_score"])
    assert_array_equal(*scores)
    assert set(cache_info(tmp_path / "1").rows_computed.values()) == {N}


def test_one_seed_gives_one_estimator(make, X, y):
    fits = [make(freeze_depth=0).fit(X, y)._states[-1].params for _ in range(2)]
    assert_array_equal(*fits)
    other = make(freeze_depth=0, random_state=1).fit(X, y)
    assert not np.array_equal(other._states[-1].params, fits[0])


def test_files_train_the_same_estimator(make, images, paths, y):
    by_array, by_path = make().fit(images, y[:8]), make().fit(paths, y[:8])
    assert_array_equal(outputs(by_path, paths), outputs(by_array, images))


def test_saved_pickled_and_dumped_it_predicts_the_same_bits(make, X, y, tmp_path):
    skops = pytest.importorskip("skops.io")
    fitted = make(early_stopping=True).fit(X, y)
    fitted.save(tmp_path / "estimator.skltransfer")
    written = skops.dumps(fitted)
    trusted = skops.get_untrusted_types(data=written)
    assert all(name.startswith("skltransfer.") for name in trusted)
    again = [
        load(tmp_path / "estimator.skltransfer"),
        pickle.loads(pickle.dumps(fitted)),
        skops.loads(written, trusted=trusted),
    ]
    for loaded in again:
        assert_array_equal(outputs(loaded, X), outputs(fitted, X))
        assert loaded.history_ == fitted.history_
        assert loaded.get_params()["epochs"] == 2
    loaded = again[0].set_params(warm_start=True).fit(X, y)
    expected = copy.copy(fitted).set_params(warm_start=True).fit(X, y)
    assert_array_equal(outputs(loaded, X), outputs(expected, X))


def test_frozen_means_frozen(make, X, y):
    fitted = make(freeze_depth=1, batch_norm="train", learning_rate=0.1).fit(X, y)
    before, step = fitted.backbone_.weights, fitted._train_steps()[-1]
    after = step.tuned(before, fitted._states[-1].params, fitted._states[-1].fixed)
    frozen = [np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert frozen == [True] * 7 + [False] * 2  # all but the top's kernel and bias


def test_it_agrees_with_its_keras_model(make, X, y, settings):
    fitted = make(**{**settings, "tta": False}).fit(X, y)
    found = np.asarray(fitted.to_keras()(X.astype(np.float32), training=False))
    expected = outputs(fitted, X)
    assert_allclose(found.reshape(expected.shape), expected, atol=1e-4 * np.abs(expected).max())


def test_what_is_unreadable_is_left_out_of_fit_and_nan_at_predict(make, paths, y, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    expected = make().fit(paths, y[1:9])
    with pytest.warns(UnreadableImagesWarning) as caught:
        fitted = make(on_error="nan").fit([broken, *paths], y[:9])
    assert caught[0].message.rows == fitted.failed_rows_.tolist() == [0]
    assert_array_equal(outputs(fitted, paths), outputs(expected, paths))
    with pytest.warns(UnreadableImagesWarning):
        found = outputs(fitted, [paths[0], broken])
    assert_array_equal(found[0], outputs(fitted, paths[:1])[0])
    assert np.isnan(found[1]).all()


def test_partial_fit_equals_the_epochs_of_a_fit_at_a_constant_rate(make, X, y):
    fitted, partial = make(schedule="constant").fit(X, y), make()
    for _ in range(2):
        partial_fit(partial, X, y)
    assert_array_equal(outputs(partial, X), outputs(fitted, X))
    assert partial.history_ == fitted.history_


def test_a_warm_start_goes_on_and_may_thaw(make, X, y):
    fitted = make(warm_start=True, freeze_depth="all").fit(X, y)
    before = outputs(fitted, X)
    fitted.set_params(freeze_depth=0, learning_rate=1e-9).fit(X, y)
    assert_allclose(outputs(fitted, X), before, rtol=1e-4)
    assert fitted._freeze_points[-1] is None


def test_a_failed_fit_leaves_everything_as_it_was(make, X, y):
    fitted = make().fit(X, y)
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match="weight_decay"):
        fitted.set_params(weight_decay=-1.0).fit(X, y)
    fitted.set_params(weight_decay=1e-4)
    with pytest.raises(ValueError):
        fitted.fit(X, np.full_like(y, 7, dtype=float) * np.nan)
    assert vars(fitted) == before


def test_a_clone_is_unfitted_and_equal(make, X, y):
    assert not hasattr(clone(make().fit(X, y)), "_task")
