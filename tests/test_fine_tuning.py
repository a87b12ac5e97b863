"""FineTunedClassifier: exact weights, the same bits everywhere, frozen layers, training calls."""

from __future__ import annotations

import pickle
import random

import joblib
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, cache_info
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.augmentation.keras_layers import name_of_layer
from skltransfer.backend import as_array
from skltransfer.training.train_step import TrainStep

SETTINGS = [
    {"freeze_depth": "all"},
    {"freeze_depth": -1, "head_units": (6,)},
    {"freeze_depth": 0, "batch_norm": "train"},
    {"freeze_depth": 0, "batch_norm": "adapt", "class_weight": "balanced"},
    {"freeze_depth": -1, "class_weight": {"cat": 3.0}, "early_stopping": True},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_integer_weights_are_repeated_rows_and_weight_0_is_absence(make, X, y, settings):
    weights = np.arange(24) % 4
    rows = np.repeat(np.arange(24), weights)
    weighted = make(**settings).fit(X, y, sample_weight=weights)
    repeated = make(**settings).fit(X[rows], y[rows])
    np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))
    np.testing.assert_array_equal(weighted._states[-1].params, repeated._states[-1].params)


def test_weights_on_rows_of_numbers_are_repeated_rows(make, y):
    rows = np.random.default_rng(1).normal(size=(24, 5))
    weights = 1 + np.arange(24) % 3
    again = np.repeat(np.arange(24), weights)
    weighted = make(input_size=(16, 16)).fit(rows, y, sample_weight=weights)
    repeated = make(input_size=(16, 16)).fit(rows[again], y[again])
    np.testing.assert_array_equal(weighted.predict_proba(rows), repeated.predict_proba(rows))


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
@pytest.mark.parametrize("freeze_depth", [-1, -3, 0])
def test_the_bundled_network_trains_from_every_depth(golden, freeze_depth, batch_norm):
    images, _ = golden
    labels = np.arange(len(images)) % 2
    settings = {"batch_norm": batch_norm, "epochs": 2, "learning_rate": 1e-3, "head_dropout": 0}
    classifier = FineTunedClassifier(
        freeze_depth=freeze_depth, input_size=(64, 64), random_state=0, **settings
    )
    losses = classifier.fit(images, labels).history_["loss"]
    assert 0 < min(losses) <= max(losses) < np.log(2)  # better than guessing


@pytest.mark.parametrize("settings", SETTINGS)
def test_neither_order_nor_cache_changes_a_bit(make, X, y, settings, tmp_path):
    order = np.random.default_rng(2).permutation(24)
    fitted = [
        make(cache="memory", **settings).fit(X, y),
        make(cache=None, **settings).fit(X[order], y[order]),
        make(cache=tmp_path, **settings).fit(X, y),
    ]
    expected = fitted[0].predict_proba(X)
    for other in fitted[1:]:
        np.testing.assert_array_equal(other.predict_proba(X), expected)
    np.testing.assert_array_equal(fitted[0].predict_proba(X[order]), expected[order])
    np.testing.assert_array_equal(fitted[0].predict_proba(X[5:6]), expected[5:6])


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_same_random_state_same_weights_and_no_global_seed_is_touched(make, X, y, batch_norm):
    before = random.getstate(), np.random.get_state()[1].tolist()
    settings = {"freeze_depth": 0, "batch_norm": batch_norm}
    fits = [make(**settings).fit(X, y)._states[-1].params for _ in range(20)]
    assert all(np.array_equal(fits[0], other) for other in fits)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    other_seed = make(random_state=1, **settings).fit(X, y)._states[-1].params
    assert not np.array_equal(fits[0], other_seed)


def test_frozen_means_frozen(make, X, y):
    classifier = make(freeze_depth=-1, batch_norm="train").fit(X, y)
    step, state = classifier._train_steps()[-1], classifier._states[-1]
    pretrained = classifier.backbone_.weights
    tuned = step.tuned(pretrained, state.params, state.fixed)
    above = {id(v) for v in (*step.trained, *step.fixed)}
    below = [id(v) not in above for v in step.network.variables]
    assert any(below) and not all(below)
    for is_below, new, old in zip(below, tuned, pretrained, strict=True):
        assert np.array_equal(new, old) == is_below


def test_frozen_batch_norm_keeps_its_statistics(make, X, y):
    classifier = make(freeze_depth=0).fit(X, y)
    step = classifier._train_steps()[-1]
    fixed = [step.network.arrays[id(v)].ravel() for v in step.fixed]
    np.testing.assert_array_equal(classifier._states[-1].fixed, np.concatenate(fixed))


@pytest.mark.parametrize("settings", [*SETTINGS, {"freeze_depth": 0.5}])
def test_the_keras_model_agrees(make, X, y, settings):
    classifier = make(**settings).fit(X, y)
    probabilities = as_array(classifier.to_keras()(X.astype(np.float32)))
    np.testing.assert_allclose(probabilities, classifier.predict_proba(X), atol=1e-4)


def test_a_keras_model_of_cropped_images_is_refused(make, X, y):
    with pytest.raises(ValueError, match=r"resize='crop'.*Fit with resize='stretch'"):
        make(resize="crop").fit(X, y).to_keras()


@pytest.mark.parametrize("dump", [pickle.dumps, None])
def test_dumped_and_loaded_is_the_same(make, X, y, tmp_path, dump):
    classifier = make(freeze_depth=-1).fit(X, y)
    if dump is None:
        joblib.dump(classifier, tmp_path / "classifier")
        loaded = joblib.load(tmp_path / "classifier")
    else:
        loaded = pickle.loads(dump(classifier))
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_the_bundled_frozen_weights_are_not_in_the_pickle(X, y):
    classifier = FineTunedClassifier(freeze_depth="all", input_size=(32, 32), epochs=1).fit(X, y)
    pickled = pickle.dumps(classifier)
    assert len(pickled) < 200_000
    assert b"keras" not in pickled


def test_features_are_shared_with_the_extractor(make, tiny, X, y, tmp_path):
    PretrainedFeatureExtractor(tiny, cache=tmp_path).fit_transform(X)
    make(freeze_depth="all", cache=tmp_path).fit(X, y).predict(X)
    assert set(cache_info(tmp_path).rows_computed.values()) == {len(X)}


@pytest.mark.parametrize(
    "labels",
    [np.arange(24) % 3, np.arange(24) % 2 == 0, np.array(["a", "b", "c"])[np.arange(24) % 3]],
)
def test_any_labels(make, X, labels):
    classifier = make().fit(X, labels)
    np.testing.assert_array_equal(classifier.classes_, np.unique(labels))
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(np.log(probabilities), classifier.predict_log_proba(X))
    assert set(classifier.predict(X)) <= set(labels)
    binary = len(classifier.classes_) == 2
    assert classifier.decision_function(X).shape == ((24,) if binary else (24, 3))


def test_a_single_class_is_predicted(make, X):
    classifier = make().fit(X, ["only"] * 24)
    assert set(classifier.predict(X)) == {"only"}
    np.testing.assert_array_equal(classifier.predict_proba(X), np.ones((24, 1)))


def test_early_stopping_tells_that_it_can_hold_nothing_out(make, X, y):
    once = np.array([0, 1])
    with pytest.warns(UserWarning, match="early_stopping=True holds nothing out") as caught:
        classifier = make(early_stopping=True).fit(X[once].repeat(3, axis=0), y[once].repeat(3))
    assert len(caught) == 1
    assert list(classifier.history_) == ["loss"]
    make(early_stopping=True).fit(X[:3], y[:3])  # one cat of two


def test_early_stopping_holds_out_only_what_counts(make, X, y):
    """Else there may be no weight to validate on, which says nothing of the training."""
    rare = np.where(np.arange(24) < 2, "cat", "dog")
    settings = {"early_stopping": True, "class_weight": {"dog": 0.0}, "validation_fraction": 0.5}
    assert "val_loss" in make(**settings).fit(X, rare).history_
    with pytest.warns(UserWarning, match="holds nothing out"):
        make(**settings).fit(X[1:], rare[1:])


def test_a_loss_that_ends_above_a_guess_is_told(make, X, y):
    mixed_up = np.random.default_rng(0).permutation(y)
    message = r"The loss rose from .* a loss of 0.693. learning_rate=30.0 is too large"
    with pytest.warns(ConvergenceWarning, match=message):
        make(learning_rate=30.0, batch_size=24, epochs=4).fit(X, mixed_up)


def test_early_stopping_keeps_the_best_epoch(make, X, y):
    classifier = make(early_stopping=True, epochs=12, n_iter_no_change=2, validation_fraction=0.3)
    history = classifier.fit(X, y).history_
    assert set(history) == {"loss", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {classifier.n_iter_}
    best = int(np.argmin(history["val_loss"]))
    assert classifier.n_iter_ in (12, best + 3)


def test_no_epochs_leave_the_convex_head(make, X, y):
    classifier = make(epochs=0).fit(X, y)
    assert classifier.n_iter_ == 0 and classifier.history_ == {"loss": []}
    assert classifier.score(X, y) > 0.8


def test_partial_fit_goes_on(make, X, y):
    classifier = make()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier.partial_fit(X, y)
    for epoch in range(1, 4):
        classifier.partial_fit(X, y, classes=["cat", "dog"])
        assert classifier.n_iter_ == epoch
    with pytest.raises(ValueError, match=r"y contains \['cow'\]"):
        classifier.partial_fit(X, ["cow"] * 24)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all labels"):
        make(class_weight="balanced").partial_fit(X, y, classes=["cat", "dog"])


def test_warm_start_keeps_the_weights_and_may_free_more_layers(make, X, y):
    classifier = make(warm_start=True, freeze_depth=-1).fit(X, y)
    before = classifier.predict_proba(X)
    classifier.set_params(epochs=0, freeze_depth=0).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-5)
    classifier.set_params(head_units=(3,))
    with pytest.raises(ValueError, match="warm_start=True keeps the head"):
        classifier.fit(X, y)
    classifier.set_params(head_units=())
    with pytest.raises(ValueError, match="not among the classes of the first fit"):
        classifier.fit(X, np.where(y == "cat", "cow", "dog"))
    np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-5)


def test_fixed_views_run_the_frozen_part_once_each_whatever_the_epochs(make, X, y, tmp_path):
    settings = {"augment": "dihedral", "n_views": 3, "cache": tmp_path, "epochs": 7}
    make(freeze_depth=-1, **settings).fit(X, y)
    assert set(cache_info(tmp_path).rows_computed.values()) == {3 * len(X)}


@pytest.mark.parametrize("augment", ["flip", "dihedral", "standard"])
@pytest.mark.parametrize("n_views", [None, 2])
def test_views_depend_on_content_and_not_on_the_order(make, X, y, augment, n_views):
    order = np.random.default_rng(3).permutation(24)
    settings = {"augment": augment, "n_views": n_views, "cache": None, "epochs": 1}
    straight = make(**settings).fit(X, y).predict_proba(X)
    shuffled = make(**settings).fit(X[order], y[order]).predict_proba(X)
    np.testing.assert_array_equal(straight, shuffled)


def test_predictions_from_all_symmetries_are_those_of_any_symmetry(make, X, y):
    classifier = make(augment="dihedral", n_views=2, tta=True).fit(X, y)
    turned = np.ascontiguousarray(X.transpose(0, 2, 1, 3)[:, ::-1])
    np.testing.assert_allclose(
        classifier.predict_proba(X), classifier.predict_proba(turned), atol=1e-6
    )


@pytest.mark.parametrize("has_weights", [False, True])
def test_a_keras_layer_makes_views(make, X, y, has_weights):
    """The first use builds it, and changes nothing in the next."""
    import keras

    layer = keras.layers.RandomFlip("vertical", seed=3)
    if has_weights:
        layer = keras.Sequential([keras.layers.BatchNormalization(), layer])
    fits = [make(augment=layer, n_views=2, epochs=1, cache=None).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))


@pytest.mark.parametrize("n_views", [2, None])
def test_layers_of_the_same_settings_make_the_same_views(make, X, y, n_views):
    """Whether they are new, were used before, or were built by the user."""
    import keras

    def new():
        return keras.Sequential([keras.layers.RandomFlip("vertical"), keras.layers.RandomInvert(1)])

    used, built = new(), new()
    built.build((None, 16, 16, 3))
    settings = {"n_views": n_views, "epochs": 1, "n_jobs": 4}
    expected = make(augment=used, **settings).fit(X, y).predict_proba(X)
    for layer in (used, new(), built):
        found = make(augment=layer, **settings).fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(found, expected)


def test_a_layer_is_known_by_what_it_computes():
    import keras

    def name(**settings):
        layer = keras.Sequential([keras.layers.RandomBrightness(0.2, **settings)])
        return name_of_layer(layer, (16, 16))

    assert name() == name()
    assert len({name(), name(dtype="float64"), name(seed=1)}) == 3


def test_a_layer_is_known_by_its_weights():
    import keras

    def name(mean):
        layer = keras.layers.Normalization()
        layer.adapt(np.full((2, 16, 16, 3), mean, np.float32))
        return name_of_layer(layer, (16, 16))

    assert name(3.0) == name(3.0) != name(4.0)


def test_unreadable_images_are_left_out_and_predicted_as_missing(make, paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    mixed, labels = [*paths, broken], ["a", "b"] * 4 + ["b"]
    with pytest.raises(ValueError, match=r"row 8.*broken\.png"):
        make().fit(mixed, labels)
    with pytest.warns(UnreadableImagesWarning, match="1 of 9 images") as caught:
        classifier = make(on_error="nan").fit(mixed, labels)
    assert caught[0].message.rows == [8]
    np.testing.assert_array_equal(classifier.failed_rows_, [8])
    without = make().fit(paths, labels[:8])
    np.testing.assert_array_equal(classifier.predict_proba(paths), without.predict_proba(paths))
    with pytest.warns(UnreadableImagesWarning):
        assert np.isnan(classifier.predict_proba(mixed)[8]).all()
    with pytest.warns(UnreadableImagesWarning):
        assert classifier.predict(mixed)[8] == "a"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(make, X, y, monkeypatch, interruption):
    classifier = make().fit(X, y)
    before = classifier.predict_proba(X)

    def fail(*arguments, **options):
        raise interruption

    with monkeypatch.context() as patched:
        patched.setattr(TrainStep, "batch_gradient", fail)
        with pytest.raises(interruption):
            classifier.fit(X, y[::-1])
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


def test_views_of_rows_of_numbers_are_refused(make, y):
    with pytest.raises(ValueError, match="augment is for images"):
        make(augment="flip", input_size=(16, 16)).fit(np.eye(24), y)


def test_fits_of_one_shape_are_compiled_once(make, X, y, monkeypatch):
    make(freeze_depth=-1).fit(X, y)
    monkeypatch.setattr("skltransfer.training.train_step.compile_function", None)
    for seed in range(5):
        make(freeze_depth=-1, random_state=seed).fit(X, y).predict(X)


@pytest.mark.about("tensorflow", reason="it has two kinds of kernels on a processor")
def test_onednn_and_other_kernels_train_alike(make, X, y, monkeypatch):
    from skltransfer.backend.tensorflow import functions
    from skltransfer.network import runtime

    expected = make(freeze_depth=0).fit(X, y).predict_proba(X)
    monkeypatch.setattr(functions, "kernels", lambda: "eigen")
    monkeypatch.setattr("skltransfer.estimators.base.network_of", runtime.NetworkPool().get)
    other = make(freeze_depth=0, cache=None).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(other, expected, atol=1e-3)
