"""Searches over freeze depth and head: each stretch of the network runs once for each image.

The laws are those of one search, whatever its candidates, folds, processes and cache.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.model_selection import GridSearchCV, ShuffleSplit

import recording_backbone
from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    precompute,
    register_backbone,
)
from skltransfer.backend import kernels
from skltransfer.cache import CacheWarning, open_cache, segments
from skltransfer.inputs.images import sources

N = 24
GRID = {"freeze_depth": ["all", -1, 0], "head_units": [(), (4,)]}


@pytest.fixture(scope="module")
def X():
    """Images with stripes that lie, and that stand."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (N, 16, 16, 3))
    images[0::2, ::4] += 120
    images[1::2, :, ::4] += 120
    return images.astype(np.uint8)


@pytest.fixture(scope="module")
def y():
    return np.arange(N) % 2


@pytest.fixture(scope="module")
def jpegs(X, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jpegs")
    names = [str(folder / f"{row}.jpg") for row in range(N)]
    for name, image in zip(names, X, strict=True):
        Image.fromarray(image).save(name)
    return names


@pytest.fixture
def searched(tiny, y, as_many_threads):
    """Search a grid; the scores of all candidates and folds come back."""

    def search(X, cache, n_jobs=None, grid=GRID, cv=3, backbone=tiny, workers=None, **settings):
        settings = {"epochs": 1, "batch_size": 8, "random_state": 0, **settings}
        classifier = FineTunedClassifier(backbone, cache=cache, **settings)
        found = GridSearchCV(
            classifier, grid, cv=cv, n_jobs=n_jobs, error_score="raise", scoring="neg_log_loss"
        )
        with workers or as_many_threads():
            found.fit(X, y[: len(X)])
        results = found.cv_results_
        folds = sorted(name for name in results if name.startswith("split"))
        return np.stack([results[name] for name in folds])

    return search


@pytest.fixture(scope="module")
def uncached_scores(tiny, X, y):
    """What every search of GRID must give."""
    classifier = FineTunedClassifier(tiny, cache=None, epochs=1, batch_size=8, random_state=0)
    results = GridSearchCV(classifier, GRID, cv=3, scoring="neg_log_loss").fit(X, y).cv_results_
    return np.stack([results[f"split{fold}_test_score"] for fold in range(3)])


def rows_through(cache):
    return cache_info(cache).rows_computed


# How much work it is -----------------------------------------------------------------------


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("where", ["memory", "folder"])
def test_each_stretch_runs_once_for_each_image(
    searched, X, tmp_path, uncached_scores, n_jobs, where
):
    cache = "memory" if where == "memory" else tmp_path
    open_cache(cache).clear()
    assert_array_equal(searched(X, cache, n_jobs), uncached_scores)
    expected = {"tiny:block:top": N, "tiny:input:block": N}
    assert rows_through(cache) == expected
    assert_array_equal(searched(X, cache, n_jobs), uncached_scores)
    assert rows_through(cache) == expected


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
@pytest.mark.parametrize("depths", [["all", -1, 1], [1, -1, "all"], [-1, "all", 1, "all"]])
def test_in_whatever_order_the_depths_come(searched, X, tmp_path, depths):
    searched(X, tmp_path, grid={"freeze_depth": depths})
    assert set(rows_through(tmp_path).values()) == {N}


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
def test_candidates_that_run_at_the_same_time_do_not_repeat_each_other(searched, X, tmp_path):
    """With one split, workers want the same images at different depths at once."""
    split = ShuffleSplit(1, test_size=0.25, random_state=0)
    grid = {"freeze_depth": [1, "all", -1], "head_units": [(), (4,)]}
    searched(X, tmp_path, n_jobs=2, grid=grid, cv=split)
    assert set(rows_through(tmp_path).values()) == {N}


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
def test_threads_share_the_work_too(searched, X, tmp_path, uncached_scores):
    threads = joblib.parallel_config("threading")
    assert_array_equal(searched(X, tmp_path, n_jobs=2, workers=threads), uncached_scores)
    assert set(rows_through(tmp_path).values()) == {N}


@pytest.mark.about("tensorflow", reason="the layers that write down are TensorFlow's")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("depths", [["all", -1], [-1, "all"]])
def test_the_layers_themselves_see_each_image_once(tmp_path, X, y, as_many_threads, n_jobs, depths):
    """The count is cross-checked: a layer of the first and one of the second stage keep records."""
    folder = tmp_path / "records"
    folder.mkdir()
    model = recording_backbone.make_recording_model(folder)
    handle = register_backbone("recording", model, preprocessing="tf")
    of_images = what_images_leave_behind(handle, X, folder)
    settings = {"engine": "tensorflow", "epochs": 1, "random_state": 0}  # OpenVINO writes nothing
    settings["cache"] = tmp_path / "cache"
    grid = {"freeze_depth": depths, "head_units": [(), (4,)]}
    classifier = FineTunedClassifier(handle, **settings)
    search = GridSearchCV(
        classifier, grid, cv=3, n_jobs=n_jobs, scoring=recording_backbone.score, error_score="raise"
    )
    with as_many_threads():
        search.fit(X, y)
    assert set(rows_through(tmp_path / "cache").values()) == {N}
    for stage in (0, 1):
        written = recording_backbone.rows_written(folder, stage)
        assert sorted(set(written) & of_images[stage]) == sorted(of_images[stage])
        assert len([row for row in written if row in of_images[stage]]) == N


def what_images_leave_behind(handle, X, folder):
    """Records of the images in both stages, without those of the trial of a new network."""
    extractor = PretrainedFeatureExtractor(handle, engine="tensorflow", cache=None).fit(X)
    extractor.transform(X)
    for stage in (0, 1):
        recording_backbone.forget(folder, stage)
    extractor.transform(X)
    found = [set(recording_backbone.rows_written(folder, stage)) for stage in (0, 1)]
    for stage in (0, 1):
        recording_backbone.forget(folder, stage)
    return found


def test_a_search_behind_precompute_runs_nothing(searched, X, tmp_path, uncached_scores):
    computed = precompute(
        X, GRID["freeze_depth"], backbone="tiny", cache=tmp_path, random_state=0
    ).rows_computed
    assert_array_equal(searched(X, tmp_path, n_jobs=2), uncached_scores)
    assert rows_through(tmp_path) == computed


@pytest.fixture
def decoded(monkeypatch):
    """The images decoded in this process."""
    decode, found = sources.decode, []
    monkeypatch.setattr(sources, "decode", lambda *given: found.append(given) or decode(*given))
    return found


def once(n_images, n_depths=2):
    """How often images are decoded: where searches share no stretches, once for each depth."""
    return n_images * (1 if kernels() == "onednn" else n_depths)


def test_each_file_is_decoded_once_and_in_a_second_search_never(searched, jpegs, tmp_path, decoded):
    grid = {"freeze_depth": ["all", -1], "head_units": [(), (4,)]}
    scores = searched(jpegs, tmp_path, grid=grid)
    assert len(decoded) == once(N)
    assert_array_equal(searched(jpegs, tmp_path, grid=grid), scores)
    assert len(decoded) == once(N)


def test_photographs_of_twelve_megapixels_are_decoded_once(searched, tmp_path, decoded):
    rng = np.random.default_rng(0)
    names = [str(tmp_path / f"{row}.jpg") for row in range(8)]
    for name in names:
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((4000, 3000), Image.Resampling.BICUBIC).save(name)
    grid = {"freeze_depth": ["all", -1]}
    scores = searched(names, tmp_path / "cache", grid=grid, cv=2)
    assert len(decoded) == once(len(names))
    assert_array_equal(searched(names, tmp_path / "cache", grid=grid, cv=2), scores)
    assert len(decoded) == once(len(names))


def test_pixels_that_are_trained_on_are_kept_too(searched, jpegs, tmp_path, decoded):
    searched(jpegs, tmp_path, grid={"freeze_depth": [0, "all"]})
    assert len(decoded) == N


def test_a_search_behind_precompute_decodes_nothing(searched, jpegs, tmp_path, decoded):
    precompute(jpegs, ["all", -1], backbone="tiny", cache=tmp_path, random_state=0)
    assert len(decoded) == once(N)
    searched(jpegs, tmp_path, grid={"freeze_depth": ["all", -1]})
    assert len(decoded) == once(N)


# When there is little room ---------------------------------------------------------------------


def test_a_working_set_over_the_budget_gives_the_same_scores(
    searched, X, tmp_path, uncached_scores
):
    """Pixels take 3 KB a row: a quarter of what is asked for fits, and that part stays."""
    row_bytes = 4 * 16 * 16 * 3
    open_cache(tmp_path, budget=N * row_bytes // 4)
    assert_array_equal(searched(X, tmp_path), uncached_scores)
    first = cache_info(tmp_path)
    assert first.refused > 0
    assert first.bytes <= first.budget
    assert_array_equal(searched(X, tmp_path), uncached_scores)
    assert cache_info(tmp_path).hits - first.hits > N


def test_a_quarter_of_the_images_stays_when_a_quarter_fits(searched, X, tmp_path):
    """No thrashing: folds go round in circles, and what was kept is found in every round."""
    row_bytes = 4 * 12 + 64
    open_cache(tmp_path, budget=N // 4 * row_bytes)
    searched(X, tmp_path, grid={"head_units": [(), (4,), (5,)]}, freeze_depth="all")
    info = cache_info(tmp_path)
    assert info.entries >= N // 4 - 1
    assert info.hits >= 3 * (info.entries - 1) * 2


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
def test_half_of_the_cache_is_left_for_what_is_asked_for(searched, X, tmp_path):
    """What passes on the way is kept only while there is plenty of room."""
    row_bytes = 4 * 12 + 64
    open_cache(tmp_path, budget=2 * N * row_bytes)
    searched(X, tmp_path, grid={"head_units": [(), (4,)]}, freeze_depth="all")
    assert cache_info(tmp_path).entries == N


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no such modes")
def test_a_directory_that_cannot_be_written_to_is_a_warning_at_most(
    searched, X, tmp_path, monkeypatch, uncached_scores
):
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # whom no mode stops
        monkeypatch.setattr(os, "makedirs", refused)
    with pytest.warns(CacheWarning, match="takes no more rows"):
        assert_array_equal(searched(X, tmp_path), uncached_scores)


def refused(path, *arguments, **options):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_a_full_disk_is_a_warning_at_most(searched, X, tmp_path, monkeypatch, uncached_scores):
    written = []

    def append(path, rows):
        written.append(rows)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        return append_rows(path, rows)

    append_rows = segments._append_rows
    monkeypatch.setattr(segments, "_append_rows", append)
    with pytest.warns(CacheWarning, match="No space left on device") as caught:
        assert_array_equal(searched(X, tmp_path), uncached_scores)
    assert len(caught) == 1


# Whatever is killed ----------------------------------------------------------------------------

SEARCH = """
import sys
import numpy as np
from sklearn.model_selection import GridSearchCV
from conftest import make_tiny_model
from skltransfer import FineTunedClassifier, register_backbone

tiny = register_backbone("tiny", make_tiny_model(), preprocessing="tf")
X, y = np.load(sys.argv[1]), np.arange({n}) % 2
print("ready", flush=True)
classifier = FineTunedClassifier(tiny, cache=sys.argv[2], epochs=1, batch_size=8, random_state=0)
GridSearchCV(classifier, {grid}, cv=3, scoring="neg_log_loss").fit(X, y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_search_that_is_killed_leaves_nothing_wrong(searched, X, tmp_path, uncached_scores):
    """benchmarks/cache_kills.py does so 50 times."""
    np.save(tmp_path / "X.npy", X)
    script = SEARCH.format(n=N, grid=GRID)
    command = [sys.executable, "-c", script, str(tmp_path / "X.npy"), str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for seconds in np.random.default_rng(0).uniform(0, 6, 3):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(seconds)
            process.kill()
    assert_array_equal(searched(X, tmp_path / "cache"), uncached_scores)


# What is told ----------------------------------------------------------------------------------


@pytest.mark.about("tensorflow", reason="with oneDNN alone a search shares stretches")
def test_the_choice_is_explained(tiny, X, y, tmp_path, capsys):
    classifier = FineTunedClassifier(tiny, cache=tmp_path, epochs=1, verbose=2, random_state=0)
    classifier.set_params(freeze_depth="all").fit(X, y)
    told = " ".join(capsys.readouterr().err.split())
    assert f"top: of {N} rows, 0 from the cache, {N} computed from X." in told
    assert "Cache points passed: block (2 KB, 0.00 ms: kept for later freeze points)." in told
    classifier.set_params(freeze_depth=-1).fit(X, y)
    assert f"block: of {N} rows, {N} from the cache." in " ".join(capsys.readouterr().err.split())
    open_cache(tmp_path / "small", budget=N * 120)
    classifier.set_params(freeze_depth="all", cache=tmp_path / "small").fit(X, y)
    told = " ".join(capsys.readouterr().err.split())
    assert "block (2 KB, 0.00 ms: not kept, less than half of the cache would be left)." in told
    classifier.set_params(cache=None).fit(X, y)
    assert "Cache points passed" not in capsys.readouterr().err
