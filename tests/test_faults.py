"""What goes wrong around a fit: files that vanish, workers that are killed, fits at one time."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from deadly_classifier import KilledOnce
from skltransfer import PretrainedFeatureExtractor
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.inputs.images import sources

GRID = {"freeze_depth": ["all", -1]}


@pytest.fixture
def files(X, tmp_path):
    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    return paths


# A file deleted between fit and predict -----------------------------------------------------


@pytest.mark.parametrize("cache", ["memory", None])
def test_a_file_deleted_after_fit_is_named(tiny, make, files, y, cache):
    """Although the cache may have its row: what a path stands for is not known without the file."""
    extractor = PretrainedFeatureExtractor(tiny, cache=cache).fit(files)
    extractor.transform(files)
    classifier = make(cache=cache).fit(files, y)
    files[7].unlink()
    for method in [extractor.transform, classifier.predict, classifier.predict_proba]:
        with pytest.raises(
            ValueError, match=r"row 7 \(.*7\.png'\) .* there is no such file\. Chec"
        ):
            method(files)


def test_a_file_deleted_after_fit_costs_its_row_alone(make, files, X, y):
    classifier = make(on_error="nan").fit(files, y)
    files[7].unlink()
    with pytest.warns(UnreadableImagesWarning, match=r"7\.png.*no such file") as caught:
        probabilities = classifier.predict_proba(files)
    assert caught[0].message.rows == [7]
    assert np.isnan(probabilities[7]).all()
    others = np.arange(len(X)) != 7
    assert_array_equal(probabilities[others], classifier.predict_proba(X[others]))


def test_a_file_that_is_overwritten_after_fit_is_read_anew(tiny, files):
    extractor = PretrainedFeatureExtractor(tiny).fit(files)
    before = extractor.transform(files)
    Image.open(files[3]).transpose(Image.Transpose.ROTATE_90).save(files[7])
    after = extractor.transform(files)
    assert not np.array_equal(after[7], before[7])
    others = np.arange(len(files)) != 7
    assert_array_equal(after[others], before[others])


@pytest.mark.parametrize("settings", [{}, {"augment": "standard"}])
def test_a_file_replaced_while_it_is_read_spoils_no_cache(
    make, files, y, settings, tmp_path, monkeypatch
):
    """What was computed of the new file is not found when the old one is there again."""
    old, new = files[7].read_bytes(), tmp_path / "new.png"
    Image.open(files[3]).transpose(Image.Transpose.ROTATE_90).save(new)
    decode = sources.decode

    def replaced_at_last(path, rule, row):
        if path == files[7] and new.exists():
            os.replace(new, path)
        return decode(path, rule, row)

    monkeypatch.setattr(sources, "decode", replaced_at_last)
    kept = make(cache=tmp_path / "kept", **settings)
    kept.fit(files, y)
    assert not new.exists()
    files[7].write_bytes(old)
    expected = make(cache=None, **settings).fit(files, y).predict_proba(files)
    assert_array_equal(kept.fit(files, y).predict_proba(files), expected)


# A worker killed in a search ----------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_worker_is_told_of_and_leaves_the_cache_right(
    tiny, make, X, y, tmp_path, as_many_threads
):
    deadly = KilledOnce(tiny, epochs=1, batch_size=8, random_state=0, cache=tmp_path)
    with as_many_threads(), pytest.raises(TerminatedWorkerError):
        GridSearchCV(deadly, GRID, cv=2, n_jobs=2).fit(X, y)
    assert (tmp_path / "killed").exists()
    assert_array_equal(scores(make, X, y, tmp_path), scores(make, X, y, None))


def scores(make, X, y, cache):
    search = GridSearchCV(make(cache=cache), GRID, cv=2, scoring="neg_log_loss").fit(X, y)
    return [search.cv_results_[f"split{fold}_test_score"] for fold in range(2)]


# Fits at one time ---------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["memory", None])
def test_fits_in_threads_equal_fits_one_after_the_other(make, X, y, cache):
    settings = [
        {"freeze_depth": depth, "head_units": units, "random_state": seed}
        for seed, depth in enumerate(["all", -1, 0])
        for units in [(), (4,)]
    ]
    classifiers = [make(cache=cache, **given) for given in settings]
    expected = [clone(classifier).fit(X, y).predict_proba(X) for classifier in classifiers]

    def fitted(classifier):
        return clone(classifier).fit(X, y).predict_proba(X)

    with ThreadPoolExecutor(len(classifiers)) as pool:
        found = list(pool.map(fitted, classifiers))
    assert_array_equal(found, expected)


def test_transforms_in_threads_equal_transforms_one_after_the_other(tiny, X):
    extractor = PretrainedFeatureExtractor(tiny, cache=None).fit(X)
    expected = extractor.transform(X)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(extractor.transform, [X] * 6):
            assert_array_equal(found, expected)
