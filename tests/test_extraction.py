"""Features for engines: a pure function of rows, and what it wrote becomes rows of a cache."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pyarrow
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from pyarrow import feather, parquet
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skltransfer import (
    PretrainedFeatureExtractor,
    cache_info,
    content_keys,
    extract_batch,
    import_features,
)

COLUMNS = {"key", "features", "error", "recipe", "numerics"}


@pytest.fixture(scope="module")
def extractor(tiny, cats_and_dogs):
    return PretrainedFeatureExtractor(tiny, cache=None).fit(cats_and_dogs[0])


@pytest.fixture(scope="module")
def files(cats_and_dogs, tmp_path_factory):
    """Files of the images; the third is broken, and the last does not exist."""
    folder = tmp_path_factory.mktemp("images")
    paths = [str(folder / f"{n}.png") for n in range(len(cats_and_dogs[0]) + 1)]
    for path, image in zip(paths, cats_and_dogs[0], strict=False):
        Image.fromarray(image).save(path)
    with open(paths[2], "wb") as file:
        file.write(b"not an image")
    return paths


@pytest.fixture
def batch(extractor, files):
    return extract_batch(extractor, files)


def table_of(batch):
    return pyarrow.table({**batch, "features": list(batch["features"])})


@pytest.fixture
def shard(batch, tmp_path):
    path = tmp_path / "shards" / "0.parquet"
    path.parent.mkdir()
    parquet.write_table(table_of(batch), path)
    return path


# Batches ---------------------------------------------------------------------------------------


def test_features_are_those_of_transform(extractor, X):
    batch = extract_batch(extractor, X)
    assert set(batch) == COLUMNS
    assert batch["features"].dtype == np.float32
    assert_array_equal(batch["features"], extractor.transform(X))
    assert batch["error"] == [None] * len(X)


def test_a_row_is_the_same_in_any_company_and_process(extractor, files, batch):
    travelled = pickle.loads(pickle.dumps(extractor))
    for start in range(0, len(files), 7):
        rows = slice(start, start + 7)
        part = extract_batch(travelled, files[rows])
        assert_array_equal(part["features"], batch["features"][rows])
        assert part["key"] == batch["key"][rows]
        assert part["error"] == batch["error"][rows]


def test_rows_that_cannot_be_read_have_an_error_that_names_the_path(extractor, files):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = extract_batch(extractor, files)
    failed = [row for row, error in enumerate(batch["error"]) if error is not None]
    assert failed == [2, len(files) - 1]
    assert_array_equal(np.isnan(batch["features"]).all(axis=1), np.isin(range(len(files)), failed))
    for row in failed:
        source, reason = batch["error"][row].split(" cannot be read as an image: ")
        assert source.startswith("'")
        assert source.endswith(files[row][-20:] + "'")
        assert reason
    assert batch["key"][-1] == b""


def test_rows_that_are_invalid_do_not_stop_the_others(tiny, X):
    floats = X / np.float32(255)
    extractor = PretrainedFeatureExtractor(tiny, cache=None).fit(floats)
    expected = extractor.transform(floats)
    floats[[3, 17], 0, 0, 0] = np.nan
    batch = extract_batch(extractor, floats)
    failed = [row for row, error in enumerate(batch["error"]) if error is not None]
    assert failed == [3, 17]
    assert all("contains NaN" in batch["error"][row] for row in failed)
    kept = np.delete(np.arange(len(X)), failed)
    assert_array_equal(batch["features"][kept], expected[kept])
    assert content_keys(extractor, floats) == batch["key"]


def test_no_rows_give_no_rows(extractor):
    batch = extract_batch(extractor, [])
    assert batch["features"].shape == (0, 12)
    assert batch["key"] == content_keys(extractor, []) == []


def test_what_is_not_rows_is_refused(extractor, X, tiny):
    with pytest.raises(TypeError):
        extract_batch(extractor, 3)
    for function in (extract_batch, content_keys):
        with pytest.raises(NotFittedError):
            function(PretrainedFeatureExtractor(tiny), X)


# Keys and recipes ------------------------------------------------------------------------------


def test_keys_need_no_computation_and_tell_contents_apart(extractor, files, batch, monkeypatch):
    monkeypatch.setattr(PretrainedFeatureExtractor, "_features", None)  # is not called
    keys = content_keys(extractor, files)
    assert keys == batch["key"]
    assert {len(key) for key in keys[:-1]} == {32}
    assert len(set(keys)) == len(keys)
    assert content_keys(extractor, [files[0]] * 2) == [keys[0]] * 2


SAME = [{"cache": "memory"}, {"batch_size": 3}, {"n_jobs": 2}, {"on_error": "nan"}, {"verbose": 1}]
OTHER = [{"pooling": "max"}, {"layer": "block"}, {"input_size": (24, 24)}, {"resize": "crop"}]


@pytest.mark.parametrize("changed", [*SAME, *OTHER], ids=str)
def test_the_digest_tells_what_features_depend_on(extractor, X, changed, capsys):
    other = clone(extractor).set_params(**changed).fit(X)
    assert (other.features_digest_ == extractor.features_digest_) is (changed in SAME)


def test_the_digest_is_that_of_the_rule_and_not_of_versions(extractor, monkeypatch):
    before = extractor.features_digest_
    monkeypatch.setattr("skltransfer.inputs.images.encoding.decoder_fingerprint", lambda: "newer")
    assert extractor.features_digest_ == before
    monkeypatch.setattr("skltransfer.inputs.images.encoding.DECODING_VERSION", 99)
    assert extractor.features_digest_ != before


def test_an_extractor_that_is_not_fitted_has_no_digest(tiny):
    assert not hasattr(PretrainedFeatureExtractor(tiny), "features_digest_")


# Imports ---------------------------------------------------------------------------------------


def imported(cache, shard, extractor):
    with pytest.warns(UserWarning, match="2 rows have an error instead of features"):
        return import_features(cache, shard, extractor)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_imported_rows_are_not_computed_again(
    extractor, files, batch, shard, tmp_path, whole_folder
):
    cache = tmp_path / "cache"
    given = str(shard.parent) if whole_folder else [shard]
    counts = imported(cache, given, extractor)
    assert counts == {"n_imported": 23, "n_failed": 2, "n_other_numerics": 0}
    good = [path for path, error in zip(files, batch["error"], strict=True) if error is None]
    reader = clone(extractor).set_params(cache=cache).fit(good)
    assert_array_equal(reader.transform(good), batch["features"][[*range(2), *range(3, 24)]])
    assert cache_info(cache).rows_computed == {}


def written(path, table):
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        feather.write_feather(table, path)
    return path


def fixed(batch):
    """The features as lists of one length, as NumPy's arrays become in some engines."""
    features = pyarrow.array(batch["features"].ravel())
    width = batch["features"].shape[1]
    return pyarrow.FixedSizeListArray.from_arrays(features, width)


@pytest.mark.parametrize("name", ["0.parquet", "0.arrow", "0.feather"])
@pytest.mark.parametrize("of_fixed_length", [True, False])
def test_all_that_engines_write_is_read(extractor, X, tmp_path, name, of_fixed_length):
    batch = extract_batch(extractor, X)
    table = (
        pyarrow.table({**batch, "features": fixed(batch)}) if of_fixed_length else table_of(batch)
    )
    path = written(tmp_path / name, table.append_column("path", [["extra"] * len(X)]))
    cache = tmp_path / "cache"
    assert import_features(cache, path, extractor).n_imported == len(X)
    reader = clone(extractor).set_params(cache=cache).fit(X)
    assert_array_equal(reader.transform(X), batch["features"])
    assert cache_info(cache).rows_computed == {}


def test_an_arrow_file_is_read_once(extractor, X, tmp_path, monkeypatch):
    path = written(tmp_path / "0.arrow", table_of(extract_batch(extractor, X)))
    read, times = feather.read_table, []
    monkeypatch.setattr(feather, "read_table", lambda path: times.append(path) or read(path))
    assert import_features("memory", path, extractor).n_imported == len(X)
    assert times == [path]


def test_rows_of_other_numerics_are_kept_apart(extractor, X, tmp_path):
    batch = extract_batch(extractor, X)
    batch["numerics"][:5] = ["of another machine"] * 5
    path = written(tmp_path / "0.parquet", table_of(batch))
    with pytest.warns(UserWarning, match="5 rows were computed with another engine, version or"):
        counts = import_features(tmp_path / "cache", path, extractor)
    assert counts == {"n_imported": len(X) - 5, "n_failed": 0, "n_other_numerics": 5}


def test_features_of_another_recipe_are_refused_and_nothing_is_imported(
    extractor, batch, shard, tmp_path, X
):
    other = clone(extractor).set_params(pooling="max").fit(X)
    with pytest.raises(ValueError, match=r"0\.parquet' holds features with the digest '"):
        import_features(tmp_path / "cache", shard, other)
    assert cache_info(tmp_path / "cache").entries == 0


def test_features_of_another_width_are_refused(extractor, batch, tmp_path):
    narrow = {**batch, "features": batch["features"][:, :5]}
    path = written(tmp_path / "0.parquet", table_of(narrow))
    with pytest.raises(ValueError, match="features of another width than the extractor's 12"):
        import_features(tmp_path / "cache", path, extractor)


@pytest.mark.parametrize("name", ["0.parquet", "0.arrow"])
def test_a_damaged_file_is_refused_by_name(extractor, tmp_path, name):
    (tmp_path / name).write_bytes(b"no such format at all")
    with pytest.raises(ValueError, match=rf"{name}' cannot be read \(.* Compute its rows again"):
        import_features(tmp_path / "cache", tmp_path / name, extractor)


def test_a_file_without_a_column_is_refused_by_name(extractor, batch, tmp_path):
    path = written(tmp_path / "0.parquet", table_of(batch).drop_columns(["numerics", "error"]))
    with pytest.raises(ValueError, match="lacks the columns 'error', 'numerics'; write all"):
        import_features(tmp_path / "cache", path, extractor)


def test_paths_without_files_are_refused(extractor, tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder .*nowhere'"):
        import_features(tmp_path / "cache", tmp_path / "nowhere", extractor)
    (tmp_path / "_temporary.parquet").touch()
    with pytest.raises(FileNotFoundError, match=r"holds no file that ends in \.parquet, "):
        import_features(tmp_path / "cache", tmp_path, extractor)


def test_without_pyarrow_the_error_names_the_extra(extractor, shard, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"need pyarrow: pip install 'skltransfer\[arrow\]'"):
        import_features(tmp_path / "cache", shard, extractor)
