"""The laws that FineTunedClassifier obeys, where ``test_fine_tuning`` does not hold them yet.

5 weights are repetition, 6 one seed for a fit, 7 kinds of X.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skltransfer import ImageReadError, PretrainedFeatureExtractor, cache_info
from skltransfer._warnings import UnreadableImagesWarning

LABELS = np.array(["a", "b"] * 4)
SETTINGS = {
    "head": {"freeze_depth": "all"},
    "last stage": {"freeze_depth": -1, "head_units": (6,)},
    "everything": {"freeze_depth": 0, "batch_norm": "train"},
    "fixed views": {"augment": "standard", "n_views": 3},
    "views drawn anew": {"augment": "standard", "freeze_depth": 0},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "augment": "flip"},
    "views at prediction": {"augment": "standard", "n_views": 2, "tta": True},
}


@pytest.fixture(params=SETTINGS)
def settings(request):
    return {"batch_size": 3, **SETTINGS[request.param]}


# Law 5: weights are repetition ------------------------------------------------------------------


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_weights_are_repetition_with_dropout_and_all_stages(make, cats_and_dogs, class_weight):
    X, y = cats_and_dogs
    weights = np.arange(24) % 3
    rows = np.repeat(np.arange(24), weights)
    settings = {"freeze_depth": -2, "head_dropout": 0.5, "class_weight": class_weight}
    weighted = make(**settings).fit(X, y, sample_weight=weights)
    repeated = make(**settings).fit(X[rows], y[rows])
    assert_array_equal(weighted._states[-1].params, repeated._states[-1].params)
    assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


def test_weights_are_repetition_with_views(make, images, settings):
    weights = np.array([2, 1, 0, 3, 1, 1, 0, 1])
    rows = np.repeat(np.arange(8), weights)
    weighted = make(**settings).fit(images, LABELS, sample_weight=weights)
    repeated = make(**settings).fit(images[rows], LABELS[rows])
    assert_array_equal(weighted.predict_proba(images), repeated.predict_proba(images))


def test_weights_are_repetition_in_a_first_call_that_lacks_a_class(make, images):
    weights = np.array([2, 1, 0, 3, 1, 1, 0, 1])
    rows = np.random.default_rng(0).permutation(np.repeat(np.arange(8), weights))
    weighted = make().partial_fit(images, ["a"] * 8, ["a", "b"], sample_weight=weights)
    repeated = make().partial_fit(images[rows], ["a"] * 9, ["a", "b"])
    assert_array_equal(weighted._states[-1].params, repeated._states[-1].params)


# Law 6: the same seed, the same weights ---------------------------------------------------------


def test_a_generator_is_drawn_from_once_per_fit_also_when_rows_are_dropped(make, paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    dropping, plain = np.random.RandomState(3), np.random.RandomState(3)
    with pytest.warns(UnreadableImagesWarning):
        classifier = make(on_error="nan", random_state=dropping).fit(
            [broken, *paths], ["b", *LABELS]
        )
    expected = make(random_state=plain).fit(paths, LABELS)
    assert_array_equal(classifier.predict_proba(paths), expected.predict_proba(paths))
    assert dropping.randint(2**31) == plain.randint(2**31)


def test_unreadable_rows_are_told_by_their_positions_in_x(make, paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    X, y = [paths[0], *paths, broken, paths[1]], ["a", *LABELS, "only here", "b"]
    weights = [0, *[1] * 8, 1, 1]
    with pytest.warns(UnreadableImagesWarning, match="1 of 11 images") as caught:
        classifier = make(on_error="nan").fit(X, y, sample_weight=weights)
    assert caught[0].message.rows == classifier.failed_rows_.tolist() == [9]
    assert classifier.classes_.tolist() == ["a", "b"]


def test_a_class_is_named_of_which_no_image_can_be_read(make, paths, tmp_path):
    X, y = [*paths, "gone.png", "lost.png", "away.png"], [*LABELS, "c", "c", "a"]
    with pytest.warns(UnreadableImagesWarning, match=r"of the classes \['c'\] is left\. T"):
        classifier = make(on_error="nan").fit(X, y)
    assert classifier.classes_.tolist() == ["a", "b"]
    with pytest.warns(UnreadableImagesWarning) as caught:
        make(on_error="nan").fit([*X, paths[0]], [*y, "c"])
    assert len(caught) == 1
    assert "is left" not in str(caught[0].message)


def test_it_is_told_that_no_image_at_all_can_be_read(make, paths):
    none = r"None of 3 rows could be read; the first: row 1 \(.*gone\.png.*no such file"
    with pytest.raises(ImageReadError, match=none) as error:
        X, y = [paths[0], "gone.png", "lost.png", "away.png"], ["a", "a", "b", "b"]
        make(on_error="nan").fit(X, y, sample_weight=[0, 1, 1, 1])
    assert (error.value.row, error.value.source) == (1, "gone.png")


# Law 7: kinds of X ------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [None, "directory"])
def test_all_kinds_of_x_train_the_same_classifier(make, images, paths, settings, cache, tmp_path):
    settings["cache"] = tmp_path if cache else None
    expected = make(**settings).fit(images, LABELS)
    probabilities = expected.predict_proba(images)
    rows = images.reshape(8, -1)
    for X in (paths, [str(path) for path in paths], list(images), images.astype(np.int64)):
        classifier = make(**settings).fit(X, LABELS)
        assert_array_equal(classifier._states[-1].params, expected._states[-1].params)
        assert_array_equal(classifier.predict_proba(X), probabilities)
    for X in (rows, rows.astype(np.float64)):
        classifier = make(**settings, image_shape=images.shape[1:]).fit(X, LABELS)
        assert_array_equal(classifier._states[-1].params, expected._states[-1].params)
        assert_array_equal(classifier.predict_proba(X), probabilities)


def test_one_image_in_two_kinds_is_merged(make, images, paths):
    mixed = make().fit([*paths, *images[:4]], [*LABELS, *LABELS[:4]])
    weighted = make().fit(paths, LABELS, sample_weight=[2] * 4 + [1] * 4)
    assert_array_equal(mixed._states[-1].params, weighted._states[-1].params)


def test_a_warm_cache_decodes_nothing(make, paths, tmp_path, monkeypatch):
    settings = {"cache": tmp_path, "augment": "dihedral", "n_views": 3}
    expected = make(**settings).fit(paths, LABELS)
    monkeypatch.setattr("skltransfer.inputs.images.sources.decode", None)
    again = make(**settings).fit(paths, LABELS)
    assert_array_equal(again._states[-1].params, expected._states[-1].params)


def test_what_the_extractor_left_in_the_cache_is_used(make, tiny, paths, tmp_path):
    PretrainedFeatureExtractor(tiny, cache=tmp_path).fit_transform(paths)
    cached = make(freeze_depth="all", cache=tmp_path).fit(paths, LABELS)
    assert set(cache_info(tmp_path).rows_computed.values()) == {len(paths)}
    expected = make(freeze_depth="all", cache=None).fit(paths, LABELS)
    assert_array_equal(cached._states[-1].params, expected._states[-1].params)


@pytest.mark.parametrize("depth", [-1, 1, 0, "stem"])
@pytest.mark.parametrize(
    "views", [{}, {"augment": "flip", "n_views": 2}, {"augment": "flip", "n_views": None}]
)
def test_heads_start_from_the_same_bits_whatever_the_cache_has(make, paths, tmp_path, depth, views):
    settings = {"freeze_depth": depth, "epochs": 0, **views}
    expected = make(cache=None, **settings).fit(paths, LABELS)
    for _ in range(2):
        cached = make(cache=tmp_path, **settings).fit(paths, LABELS)
        assert_array_equal(cached._states[-1].params, expected._states[-1].params)


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
def test_heads_start_from_features_that_are_computed_once(make, paths, tmp_path):
    for depth in (-1, 1, "all"):
        make(freeze_depth=depth, epochs=0, cache=tmp_path).fit(paths, LABELS)
    assert set(cache_info(tmp_path).rows_computed.values()) == {len(paths)}
