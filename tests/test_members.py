"""freeze_depth="auto": several depths of one network in one estimator, and their mean."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pytest import approx
from scipy.special import log_softmax, logit

from skltransfer import FineTunedClassifier, FineTunedRegressor, cache_info, load, precompute
from skltransfer.backend import kernels
from skltransfer.training.members import Member, Rates, depths_of, mean_of_members
from skltransfer.training.plan import Costs, Workload, of_members

ON_THE_HEAD = ("all", 3e-4, 1.0, 0.0)


@pytest.fixture(scope="module")
def of_four_stages():
    """A network that halves images of 16 x 16 pixels four times."""
    import keras

    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for number, width in enumerate((4, 5, 6, 7)):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"stage{number}")(x)
    return keras.Model(inputs, x)


@pytest.fixture
def brief(of_four_stages):
    """Make a classifier that trains three members for a moment."""

    def classifier(**settings):
        given = {"epochs": 2, "batch_size": 8, "random_state": 0}
        return FineTunedClassifier(of_four_stages, **{**given, **settings})

    return classifier


def rows_of(fitted):
    return [
        (m.freeze_depth, m.learning_rate, m.layer_decay, m.label_smoothing) for m in fitted.members_
    ]


# Which members ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_stages", "depths"),
    [
        (1, ("all",)),
        (2, ("all", -1)),
        (3, ("all", -1)),
        (4, ("all", -1, -2)),
        (8, ("all", -2, -4)),
        (13, ("all", -3, -6)),
    ],
)
def test_the_head_a_quarter_and_half_of_the_stages_are_trained(n_stages, depths):
    assert depths_of("auto", SimpleNamespace(stages=range(n_stages))) == depths


def test_what_no_network_was_trained_for_trains_the_head_alone():
    assert depths_of("auto", SimpleNamespace(stages=range(8)), is_foreign=True) == ("all",)
    rows = np.random.default_rng(0).normal(size=(8, 3))
    fitted = FineTunedClassifier(epochs=1, random_state=0).fit(rows, [0, 1] * 4)
    assert rows_of(fitted) == [ON_THE_HEAD]


def test_auto_rates_depend_on_the_depth_and_given_ones_are_kept(brief, X, y):
    fitted = brief(epochs=20).fit(X, y)
    assert rows_of(fitted) == [ON_THE_HEAD, (-1, 1e-3, 1.0, 0.1), (-2, 1e-3, 0.7, 0.1)]
    given = brief(epochs=0, learning_rate=0.1, layer_decay=0.5, label_smoothing=0).fit(X, y)
    assert rows_of(given) == [(depth, 0.1, 0.5, 0.0) for depth in ("all", -1, -2)]
    assert rows_of(brief(epochs=20, freeze_depth=0.9).fit(X, y)) == [(0.9, 1e-3, 1.0, 0.1)]
    assert repr(fitted.members_).split()[:4] == [
        "freeze_depth",
        "learning_rate",
        "layer_decay",
        "label_smoothing",
    ]


@pytest.mark.parametrize(("n_steps", "rate"), [(6, 1e-4), (30, 5e-4), (60, 1e-3), (90, 1e-3)])
def test_a_short_training_has_a_lower_rate(n_steps, rate):
    member = Member(-1, 1e-3, 1.0, 0.1)
    assert Rates("auto", "auto", "auto").paced(member, n_steps).learning_rate == approx(rate)
    assert Rates(1e-3, "auto", "auto").paced(member, n_steps) == member


def test_steps_are_those_of_different_rows(brief, X, y):
    twice = brief(epochs=4).fit(np.concatenate([X, X]), np.concatenate([y, y]))
    assert [member.learning_rate for member in twice.members_] == [3e-4, approx(2e-4), approx(2e-4)]


def test_tokens_are_trained_at_a_lower_rate():
    end = SimpleNamespace(shape=(None, 8))
    features = SimpleNamespace(steps=[SimpleNamespace(shape=(None, 8)), end], position={})
    stages = [SimpleNamespace(index=i, layer=str(i), stop=i) for i in range(2)]
    network = SimpleNamespace(stages=stages, features=features, end=1)
    member = Rates("auto", "auto", "auto").member(-1, network)
    assert (member.learning_rate, member.label_smoothing) == (3e-4, 0.1)


def test_what_auto_means_is_told(brief, X, y, capfd):
    brief(epochs=20, verbose=1).fit(X, y)
    told = capfd.readouterr().err
    assert "auto: the mean of freeze_depth='all' (learning_rate=0.0003, layer_decay=1, " in told
    assert "freeze_depth=-2 (learning_rate=0.001, layer_decay=0.7, label_smoothing=0.1)" in told
    given = {"freeze_depth": -1, "learning_rate": 1e-3, "layer_decay": 1, "label_smoothing": 0}
    brief(epochs=0, verbose=1, **given).fit(X, y)
    assert "auto" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"freeze_depth": -1, "epochs": 20},
            "auto: learning_rate=0.001, layer_decay=1, label_smoothing=0.1",
        ),
        ({"freeze_depth": "all", "learning_rate": 0.01}, "auto: layer_decay=1, label_smoothing=0"),
        (
            {"learning_rate": 0.01, "layer_decay": 1, "label_smoothing": 0},
            "auto: the mean of freeze_depth='all', freeze_depth=-1, freeze_depth=-2",
        ),
    ],
)
def test_what_was_given_is_not_told_as_auto(brief, X, y, capfd, given, told):
    brief(**{"epochs": 0, "verbose": 1, **given}).fit(X, y)
    assert f"skltransfer: {told}\n" in capfd.readouterr().err


def test_a_plan_counts_the_training_of_each_member_and_what_is_frozen_once():
    one = Workload(100, 10, 1, 5, 5, Costs(2.0, 6.0))
    three = replace(one, n_members=3)
    assert_allclose(three.milliseconds - one.milliseconds, 2 * 100 * (10 + 1 / 3) * 6)
    assert of_members([Costs(2.0, 6.0), Costs(1.0, 12.0)]) == Costs(2.0, 9.0)


# What is predicted ------------------------------------------------------------------------------


WEIGHTS = [1, 1.5, 1.5]
"""Weights of the head alone and of two trained depths."""


def scores_of(fits, X):
    return np.average([fit.predict_log_proba(X) for fit in fits], axis=0, weights=WEIGHTS)


def test_predictions_are_the_weighted_mean_of_the_scores_of_single_depths(brief, X, y):
    fitted = brief().fit(X, y)
    singles = [brief(freeze_depth=depth).fit(X, y) for depth in ("all", -1, -2)]
    for state, single in zip(fitted._states, singles, strict=True):
        assert_array_equal(state.params, single._states[0].params)
    assert_allclose(fitted.predict_log_proba(X), log_softmax(scores_of(singles, X), 1), rtol=1e-5)
    losses = np.mean([single.history_["loss"] for single in singles], axis=0)
    assert_allclose(fitted.history_["loss"], losses)
    n_params = [single.n_trainable_params_ for single in singles]
    assert fitted.n_trainable_params_ == sum(n_params)


def test_several_labels_and_numbers_are_averaged_alike(of_four_stages, X):
    y = np.random.default_rng(0).integers(0, 2, (len(X), 3))
    settings = {"epochs": 1, "batch_size": 8, "random_state": 0}
    for kind, score in (
        (FineTunedClassifier, lambda fit: logit(fit.predict_proba(X))),
        (FineTunedRegressor, lambda fit: fit.predict(X)),
    ):
        fitted, *singles = (
            kind(of_four_stages, freeze_depth=depth, **settings).fit(X, y)
            for depth in ("auto", "all", -1, -2)
        )
        expected = np.average([score(single) for single in singles], axis=0, weights=WEIGHTS)
        assert_allclose(score(fitted), expected, rtol=1e-4, atol=1e-6)


def test_each_member_is_adapted_to_a_target(brief, X, y):
    settings = {"adaptation": ("statistics", "mcc"), "epochs": 1}
    fitted = brief(**settings).fit(X, y, X_target=X[:9])
    for depth, state in zip(("all", -1, -2), fitted._states, strict=True):
        single = brief(freeze_depth=depth, **settings).fit(X, y, X_target=X[:9])
        assert_array_equal(state.params, single._states[0].params)
        assert_array_equal(state.standardizer, single._states[0].standardizer)


def test_views_are_averaged_behind_the_members(brief, X, y):
    fitted = brief(augment="flip", n_views=2).fit(X, y)
    both = [fitted.predict_proba(rows) for rows in (X, X[:, :, ::-1])]
    assert_allclose(fitted.set_params(tta=True).predict_proba(X), np.mean(both, axis=0), rtol=1e-5)


def test_one_member_is_averaged_to_itself():
    outputs = np.ones((2, 3), np.float32)
    assert mean_of_members([outputs]) is outputs


# The laws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"augment": "flip"}, {"augment": "flip", "n_views": 2}])
def test_the_cache_changes_no_bit(brief, X, y, tmp_path, more):
    cached, uncached = (brief(cache=cache, **more).fit(X, y) for cache in (tmp_path, None))
    for one, other in zip(cached._states, uncached._states, strict=True):
        assert_array_equal(one.params, other.params)
    expected = uncached.predict_proba(X)
    assert_array_equal(cached.predict_proba(X), expected)
    assert_array_equal(cached.predict_proba(X[::-1])[::-1], expected)


def test_weights_equal_repeated_rows(brief, X, y):
    weights = np.arange(len(X)) % 3
    weighted = brief().fit(X, y, weights)
    repeated = brief().fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    for one, other in zip(weighted._states, repeated._states, strict=True):
        assert_array_equal(one.params, other.params)


def test_the_frozen_part_runs_once_for_all_members(brief, X, y, tmp_path):
    distinct = X + np.arange(len(X), dtype=np.uint8)[:, None, None, None]
    brief(cache=tmp_path).fit(distinct, y).predict(distinct)
    computed = set(cache_info(tmp_path).rows_computed.values())
    assert computed == {len(X)} or kernels() != "onednn"  # other kernels start from pixels


def test_precompute_fills_the_cache_for_all_members(of_four_stages, brief, X, y, tmp_path):
    before = precompute(X, "auto", backbone=of_four_stages, cache=tmp_path).rows_computed
    brief(cache=tmp_path).fit(X, y)
    assert cache_info(tmp_path).rows_computed == before


def test_a_saved_and_loaded_one_predicts_the_same(brief, X, y, tmp_path):
    fitted = brief().fit(X, y)
    fitted.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.members_ == fitted.members_
    assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_the_keras_model_shares_the_frozen_part(brief, X, y):
    fitted = brief().fit(X, y)
    model = fitted.to_keras()
    assert_allclose(model.predict(X, verbose=0), fitted.predict_proba(X), atol=1e-5)
    first = brief(freeze_depth=-2).fit(X, y).to_keras()
    frozen = [v.path for v in model.weights if "conv0" in v.path or "conv1" in v.path]
    assert len(frozen) == 4  # a kernel and a bias each, once
    assert model.count_params() < 3 * first.count_params()


# Going on ---------------------------------------------------------------------------------------


def test_early_stopping_judges_the_mean(brief, X, y):
    settings = {"epochs": 6, "early_stopping": True, "validation_fraction": 0.3}
    fitted = brief(n_iter_no_change=1, learning_rate=0.1, **settings).fit(X, y)
    losses = fitted.history_["val_loss"]
    assert len(losses) == len(fitted.history_["loss"]) == fitted.n_iter_
    assert fitted.n_iter_ == 6 or losses[-1] >= losses[-2]


def test_partial_fit_trains_each_member_for_an_epoch(brief, X, y):
    classes = ["cat", "dog"]
    fitted = brief().partial_fit(X, y, classes).partial_fit(X, y)
    for depth, state in zip(("all", -1, -2), fitted._states, strict=True):
        single = brief(freeze_depth=depth).partial_fit(X, y, classes).partial_fit(X, y)
        assert_array_equal(state.params, single._states[0].params)
    assert fitted.n_iter_ == 2


def test_a_warm_start_goes_on_with_each_member(brief, X, y):
    fitted = brief(warm_start=True).fit(X, y)
    before = [state.params.copy() for state in fitted._states]
    fitted.set_params(epochs=0).fit(X, y)
    for state, params in zip(fitted._states, before, strict=True):
        assert_array_equal(state.params, params)


@pytest.mark.parametrize("depth", ["all", -1, -3])
def test_a_warm_start_at_another_depth_goes_on_from_the_deepest_member(brief, X, y, depth):
    fitted = brief(warm_start=True, learning_rate=1e-2).fit(X, y)
    deepest = brief(warm_start=True, learning_rate=1e-2, freeze_depth=-2).fit(X, y)
    fitted.set_params(freeze_depth=depth, epochs=0).fit(X, y)
    assert_allclose(fitted.predict_proba(X), deepest.predict_proba(X), atol=1e-5)
    fitted.set_params(freeze_depth="auto").fit(X, y)
    assert len(fitted.members_) == 3
    assert_allclose(fitted.predict_proba(X), deepest.predict_proba(X), atol=1e-5)
