"""The plan for very many photographs, with few: workers die, shards are lost or come twice."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from skltransfer import (
    PretrainedFeatureExtractor,
    cache_info,
    content_keys,
    extract_batch,
    import_features,
)

N_PHOTOGRAPHS, N_COPIES, ROWS_PER_SHARD = 450, 50, 5
N_FILES = N_PHOTOGRAPHS + N_COPIES
N_SHARDS = N_FILES // ROWS_PER_SHARD
BAD_FILE = 77


@pytest.fixture(scope="module")
def recipe():
    """The module of docs/engines."""
    folder = str(Path(__file__).parents[1] / "docs" / "engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import shards

        yield shards
        del sys.modules["shards"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Photographs; the last are copies of others, under names of their own."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N_PHOTOGRAPHS, 16, 16, 3), dtype=np.uint8)
    copied = rng.choice(N_PHOTOGRAPHS, N_COPIES, replace=False)
    paths = [str(folder / f"{row:03}.png") for row in range(N_FILES)]
    for path, row in zip(paths, [*range(N_PHOTOGRAPHS), *copied], strict=True):
        Image.fromarray(images[row]).save(path)
    Path(paths[BAD_FILE]).write_bytes(b"no image")
    rng.shuffle(paths)
    return paths


@pytest.fixture(scope="module")
def extractor(tiny, files):
    return PretrainedFeatureExtractor(tiny, cache=None).fit(files[:1])


@pytest.fixture(scope="module")
def undisturbed(recipe, files, extractor, tmp_path_factory):
    """The bytes of each shard when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for shard in recipe.shards(files, folder, ROWS_PER_SHARD):
        recipe.write_shard(extractor, *shard)
    return digests(folder)


def digests(folder):
    shards = (file for file in folder.glob("*.parquet") if file.name[0] != "_")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in shards}


class Cluster:
    """Workers that die and deliver twice, and a disk that loses shards."""

    def __init__(self, recipe, extractor, seed):
        self._recipe, self._extractor = recipe, extractor
        self._random = random.Random(seed)
        self.n_computed = self.n_lost = self.n_died = self.n_doubled = 0

    def run(self, todo):
        """Work on the shards in any order until a worker dies, which ends the run."""
        self._random.shuffle(todo)
        for file, paths in todo:
            event = self._random.random()
            if event < 0.02:
                file.with_name(f"_{self.n_died}-{file.name}").write_bytes(b"PAR1, and half a shard")
                self.n_died += 1
                return
            self._write(file, paths)
            if event > 0.9:  # the engine had given it to a second worker too
                self._write(file, paths)
                self.n_doubled += 1
            elif event > 0.85:
                file.unlink()
                self.n_lost += 1

    def _write(self, file, paths):
        self._recipe.write_shard(self._extractor, file, paths)
        self.n_computed += 1


@pytest.mark.parametrize("seed", range(2))
def test_the_output_is_that_of_an_undisturbed_run(
    recipe, files, extractor, undisturbed, tmp_path, seed
):
    cluster, n_runs = Cluster(recipe, extractor, seed), 0
    while todo := recipe.shards(files, tmp_path, ROWS_PER_SHARD):
        cluster.run(todo)
        n_runs += 1
    assert min(n_runs - 1, cluster.n_died, cluster.n_lost, cluster.n_doubled) > 0
    assert cluster.n_computed == N_SHARDS + cluster.n_lost + cluster.n_doubled
    assert digests(tmp_path) == undisturbed
    with pytest.warns(UserWarning, match="1 rows have an error"):
        counts = import_features("memory", tmp_path, extractor)
    assert counts == {"n_imported": N_FILES - 1, "n_failed": 1, "n_other_numerics": 0}


def test_a_photograph_in_several_shards_has_one_key_and_one_row(
    recipe, files, extractor, undisturbed, tmp_path
):
    out = tmp_path / "features"
    out.mkdir()
    for shard in recipe.shards(files, out, ROWS_PER_SHARD):
        recipe.write_shard(extractor, *shard)
    table = parquet.read_table(out)
    assert sorted(table["path"].to_pylist()) == sorted(files)
    rows = {}
    for key, features in zip(table["key"].to_pylist(), table["features"].to_pylist(), strict=True):
        assert rows.setdefault(key, features) == features or np.isnan(features).all()
    assert len(rows) == N_PHOTOGRAPHS
    with pytest.warns(UserWarning, match="1 rows have an error"):
        import_features(tmp_path / "cache", out, extractor)
    assert cache_info(tmp_path / "cache").entries == N_PHOTOGRAPHS - 1


def test_keys_tell_beforehand_which_rows_need_not_be_computed(files, extractor):
    """One extraction of each content serves all files that have it."""
    keys = content_keys(extractor, files)
    once = {key: path for path, key in zip(files, keys, strict=True)}
    assert len(once) == N_PHOTOGRAPHS
    found = extract_batch(extractor, list(once.values()))
    features = dict(zip(found["key"], found["features"], strict=True))
    for path, key in list(zip(files, keys, strict=True))[:: N_FILES // 20]:
        expected = extract_batch(extractor, [path])["features"][0]
        np.testing.assert_array_equal(features[key], expected)
