"""precompute(): what later fits look up, computed ahead in one pass over the images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV

from conftest import rows_of_stretches
from skltransfer import FineTunedClassifier, cache_info, clear_cache, precompute
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.cache import open_cache

X = np.random.default_rng(0).integers(0, 256, (13, 18, 16, 3), dtype=np.uint8)
Y = np.arange(13) % 2
DEPTHS = ["all", -1, 0, 1, "block_conv"]
"""The end, the ends of stages, pixels, and a layer between."""


def settings(tiny, cache, **more):
    return {"backbone": tiny, "cache": cache, "random_state": 0, **more}


def counted(cache):
    return cache_info(cache).rows_computed


@pytest.mark.parametrize("depths", [["all", -1], [-1, "all", 0], ["top", 0.5, 0.9]])
def test_a_search_behind_it_computes_nothing(tiny, tmp_path, depths):
    info = precompute(X, depths, **settings(tiny, tmp_path))
    assert set(info.rows_computed.values()) == rows_of_stretches(len(X))
    for depth in depths:
        classifier = FineTunedClassifier(freeze_depth=depth, **settings(tiny, tmp_path, epochs=1))
        classifier.fit(X[:9], Y[:9]).predict(X)
    assert counted(tmp_path) == info.rows_computed


def test_no_generator_is_drawn_from_without_need(tiny, tmp_path):
    generator = np.random.RandomState(0)
    before = generator.get_state()[2]
    precompute(X, ["all"], **settings(tiny, tmp_path) | {"random_state": generator})
    assert generator.get_state()[2] == before


@pytest.mark.parametrize("order", [1, -1])
def test_its_rows_are_those_that_each_freeze_point_computes_by_itself(tiny, tmp_path, order):
    precompute(X, DEPTHS[:4], **settings(tiny, tmp_path / "together"))
    for depth in DEPTHS[:4][::order]:
        precompute(X, depth, **settings(tiny, tmp_path / str(depth)))
        kept = rows_at(tiny, depth, tmp_path / "together")
        alone = rows_at(tiny, depth, tmp_path / str(depth))
        uncached = rows_at(tiny, depth, None)
        np.testing.assert_array_equal(kept, alone)
        np.testing.assert_array_equal(kept, uncached)


def rows_at(tiny, depth, cache):
    classifier = FineTunedClassifier(freeze_depth=depth, **settings(tiny, cache, epochs=0))
    classifier.fit(X, Y)
    source = classifier._encoding.source(classifier, X)
    return classifier._prefix().activations(source, classifier._freeze_points[-1])[0]


def test_images_are_read_once(tiny, tmp_path, monkeypatch):
    from skltransfer.inputs.images import sources

    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    decoded = []
    decode = sources.decode
    monkeypatch.setattr(sources, "decode", lambda *a: decoded.append(a) or decode(*a))
    precompute(paths, ["all", -1, 1, 0], **settings(tiny, tmp_path / "cache"))
    assert len(decoded) == len(X)


def test_views_are_computed_too(tiny, tmp_path):
    more = {"augment": "flip", "n_views": 2, "tta": True}
    info = precompute(X, [-1], **settings(tiny, tmp_path, **more))
    assert set(info.rows_computed.values()) == rows_of_stretches(2 * len(X))
    classifier = FineTunedClassifier(freeze_depth=-1, **settings(tiny, tmp_path, epochs=1, **more))
    classifier.fit(X[:9], Y[:9]).predict(X)
    assert counted(tmp_path) == info.rows_computed


def test_the_memory_cache_and_a_search_with_workers(tiny, as_many_threads):
    clear_cache()
    info = precompute(X, ["all", -1], **settings(tiny, "memory"))
    classifier = FineTunedClassifier(**settings(tiny, "memory", epochs=1))
    grid = {"freeze_depth": ["all", -1]}
    with as_many_threads():
        GridSearchCV(classifier, grid, cv=2, n_jobs=2, error_score="raise").fit(X, Y)
    assert counted("memory") == info.rows_computed


def test_unreadable_images_are_told_once(tiny, tmp_path):
    images = [Image.fromarray(X[0]), b"no image", Image.fromarray(X[1])]
    with pytest.warns(UnreadableImagesWarning, match="1 of 3 images") as caught:
        info = precompute(images, ["all", -1], **settings(tiny, tmp_path, on_error="nan"))
    assert [warning.message.rows for warning in caught] == [[1]]
    assert set(info.rows_computed.values()) == rows_of_stretches(2)
    with pytest.raises(ValueError, match="row 1"):
        precompute(images, "all", **settings(tiny, tmp_path))


def test_a_small_cache_is_told(tiny, tmp_path):
    open_cache(tmp_path, budget=5000)
    with pytest.warns(UserWarning, match="rows found no room in the cache, which holds 0 of 0 MB"):
        precompute(X, [-1], **settings(tiny, tmp_path))


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"cache": None}, ValueError, "cache=None keeps nothing.*'memory'"),
        ({"freeze_depth": 1}, TypeError, "takes freeze_depths, a list"),
        ({"inputsize": (8, 8)}, TypeError, "'inputsize'.*Did you mean 'input_size'"),
        ({"resize": "squash"}, ValueError, "'resize' parameter"),
        ({"n_views": 2}, ValueError, "n_views=2 needs views"),
        (
            {"augment": "flip", "n_views": 2, "random_state": None},
            ValueError,
            "draws different views",
        ),
        (
            {"weights": None, "random_state": None},
            ValueError,
            "random_state=None draws different weig",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(tiny, tmp_path, more, error, message):
    with pytest.raises(error, match=message):
        precompute(X, ["all"], **settings(tiny, tmp_path) | more)


def test_depths_and_rows_that_make_no_sense_are_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match="freeze_depths is empty"):
        precompute(X, [], **settings(tiny, tmp_path))
    with pytest.raises(
        TypeError, match="freeze_depths=None is not a list of values of freeze_depth"
    ):
        precompute(X, None, **settings(tiny, tmp_path))
    with pytest.raises(ValueError, match="freeze_depth=9 fits no freeze point"):
        precompute(X, ["all", 9], **settings(tiny, tmp_path))
    with pytest.raises(ValueError, match="rows of plain numbers"):
        precompute(np.ones((4, 3)), ["all"], **settings(tiny, tmp_path))
