"""Whatever happens to its files, the cache gives right rows or none, and warns at most once."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from activation_cache_helpers import NAMESPACE, TESTS, another_process, gathered, keys_of, rows_of
from skltransfer.cache import CacheWarning, open_cache
from skltransfer.cache import capacity as _capacity
from skltransfer.cache import store as _store

KEYS = keys_of(40)
VALUES = [key[:7] for key in KEYS]


@pytest.fixture
def filled(tmp_path):
    """A cache of forty rows in several segments, put in several steps."""
    cache = open_cache(tmp_path, budget=1 << 20)
    for start in range(0, 40, 8):
        some = slice(start, start + 8)
        cache.put(NAMESPACE, KEYS[some], rows_of(KEYS[some]))
        cache.alias(NAMESPACE, KEYS[some], VALUES[some])
        cache.count_work("segment", 8)
    assert len(files_of(cache, "*.rows")) > 2
    return cache


def files_of(cache, pattern="*.*"):
    files = Path(cache.info().location).rglob(pattern)
    return sorted(path for path in files if path.is_file())


def use(cache):
    """What a search does with it: ask, compute what is missing, store it, ask again."""
    found = gathered(cache, KEYS)
    missing = [key for key, hit in zip(KEYS, found, strict=True) if not hit]
    with cache.lock(NAMESPACE, missing) as lock:
        mine = [key for key, free in zip(missing, lock.mine, strict=True) if free]
        cache.put(NAMESPACE, mine, rows_of(mine))
    # What it was not to compute has been stored by another process since it looked.
    others = [key for key in missing if key not in mine]
    assert gathered(cache, others).all()
    values = cache.lookup(NAMESPACE, KEYS)
    assert all(value in (None, VALUES[i]) for i, value in enumerate(values))
    cache.alias(NAMESPACE, KEYS, VALUES)
    cache.count_work("segment", 1)
    cache.info()
    return found


def flip(data, at):
    data[at] ^= 1 << random.randrange(8)


def delete(data, at):
    del data[at]


def insert(data, at):
    data.insert(at, 0)


def truncate(data, at):
    del data[at:]


def blank(data, at):
    data[at : at + 512] = bytes(len(data[at : at + 512]))


def replace(data, at):
    data[:] = random.randbytes(len(data))


@pytest.mark.parametrize("damage", [flip, delete, insert, truncate, blank, replace])
@pytest.mark.parametrize("pattern", ["*.rows", "*.index", "*.*"])
def test_damaged_files_give_right_rows_or_none(filled, damage, pattern):
    """Before a process opens the cache, and while another one is using it."""
    for seed in range(5):
        random.seed(seed)
        for path in random.sample(files_of(filled, pattern), 2):
            data = bytearray(path.read_bytes()) or bytearray(1)
            damage(data, random.randrange(len(data)))
            path.write_bytes(data)
        use(another_process(filled))
        use(filled)
        assert gathered(another_process(filled), KEYS).all()


def test_a_flipped_bit_costs_one_row_once(filled):
    path = files_of(filled, "*.rows")[-1]
    data = bytearray(path.read_bytes())
    flip(data, 100)
    path.write_bytes(data)
    assert use(another_process(filled)).sum() == 39
    assert use(another_process(filled)).all()


def test_an_index_cut_off_within_an_entry_takes_further_ones(filled):
    path = files_of(filled, "*.index")[-1]
    path.write_bytes(path.read_bytes()[:-30])
    more = keys_of(3, "more")
    another_process(filled).put(NAMESPACE, more, rows_of(more))
    assert gathered(another_process(filled), more).all()
    assert gathered(another_process(filled), KEYS).sum() == 39


@pytest.mark.parametrize("pattern", ["*.rows", "*.index", "*.*"])
def test_deleted_files_cost_their_rows_once(filled, pattern):
    for path in random.Random(0).sample(files_of(filled, pattern), 2):
        path.unlink()
        use(filled)
        use(another_process(filled))
    assert use(another_process(filled)).all()
    assert use(filled).all()


def test_a_deleted_folder_is_made_again(filled):
    with filled.lock(NAMESPACE, keys_of(1, "more")):
        shutil.rmtree(filled.info().location)
        assert not use(filled).any()
    assert use(filled).all()
    assert use(another_process(filled)).all()


def test_rows_of_one_namespace_never_pass_for_those_of_another(filled):
    """Even if their files are whole, and only in the wrong folder."""
    filled.put(b"other", KEYS, rows_of(KEYS)[::-1])
    rows = Path(filled.info().location) / "rows"
    mine, other = sorted(rows.iterdir(), key=lambda folder: (folder / "created").stat().st_mtime_ns)
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    assert not use(another_process(filled)).any()


def test_foreign_files_and_folders_are_left_alone(filled):
    folder = Path(filled.info().location) / "rows"
    (folder / "note.txt").write_text("keep")
    namespace = next(path for path in folder.iterdir() if path.is_dir())
    (namespace / "x.f4-10-100.index").mkdir()
    (namespace / ".index").write_bytes(b"?" * 100)
    assert use(another_process(filled)).all()
    assert (folder / "note.txt").read_text() == "keep"


# ---------------------------------------------------------------- no room, no rights


@contextlib.contextmanager
def without_rights(folder):
    """Make files read-only; a superuser, who may all, becomes nobody meanwhile."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o755)


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, unlike those of pytest."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no rights to take away on this system")
def test_a_read_only_folder_is_read_and_warned_of_once(open_folder):
    cache = open_cache(open_folder, budget=1 << 20)
    cache.put(NAMESPACE, KEYS[:20], rows_of(KEYS[:20]))
    with without_rights(open_folder):
        reader = another_process(cache)
        with pytest.warns(CacheWarning, match="takes no more rows") as warnings:
            for _ in range(3):
                found = gathered(reader, KEYS)
                assert found.sum() == 20
                with reader.lock(NAMESPACE, KEYS) as lock:
                    assert_array_equal(lock.mine, ~found)
                reader.put(NAMESPACE, KEYS[20:], rows_of(KEYS[20:]))
                reader.count_work("segment", 20)
        assert len(warnings) == 1
        assert reader.info().rows_computed == {"segment": 60}


@pytest.mark.parametrize("blocked", ["rows", "work", "locks", "aliases"])
def test_a_store_that_cannot_be_made_costs_one_warning(tmp_path, blocked):
    cache = open_cache(tmp_path, budget=1 << 20)
    path = Path(cache.info().location) / blocked
    path.parent.mkdir()
    path.mkdir() if blocked == "locks" else path.touch()
    with pytest.warns(CacheWarning) if blocked in ("rows", "aliases") else contextlib.nullcontext():
        use(cache)
    assert use(cache).all() == (blocked != "rows")
    assert cache.info().rows_computed == {"segment": 2}


def test_a_disk_that_refused_is_asked_again_after_a_while(tmp_path, monkeypatch):
    cache = open_cache(tmp_path, budget=1 << 20)
    folder = Path(cache.info().location) / "rows"
    folder.parent.mkdir()
    folder.touch()
    with pytest.warns(CacheWarning, match="the cache goes on within a minute"):
        cache.put(NAMESPACE, KEYS[:5], rows_of(KEYS[:5]))
    folder.unlink()
    cache.put(NAMESPACE, KEYS[:5], rows_of(KEYS[:5]))
    assert not gathered(cache, KEYS[:5]).any()
    later = time.monotonic() + _store._SECONDS_TO_RETRY
    monkeypatch.setattr(_store.time, "monotonic", lambda: later)
    cache.put(NAMESPACE, KEYS[:5], rows_of(KEYS[:5]))
    assert gathered(cache, KEYS[:5]).all()


@pytest.mark.parametrize("budget", [0, 100])
def test_a_budget_below_one_row_costs_one_warning(tmp_path, budget):
    cache = open_cache(tmp_path, budget=budget)
    message = r"keeps no rows of \d+ bytes: all rows together may take \d+, .* Make room"
    with pytest.warns(CacheWarning, match=message) as caught:
        assert not use(cache).any()
        assert not use(cache).any()
    assert len(caught) == 1


def test_a_disk_that_is_full_from_the_start_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(_capacity, "free_disk", lambda folder: 0)
    with pytest.warns(CacheWarning, match=f"in {tmp_path}.* keeps no rows of"):
        use(open_cache(tmp_path))


FULL_DISK = """
import resource, sys, warnings
import numpy as np
from activation_cache_helpers import NAMESPACE, another_process, gathered, keys_of, rows_of
from skltransfer.cache import open_cache

cache, keys = open_cache(sys.argv[1], budget=1 << 30), keys_of(40)
cache.put(NAMESPACE, keys[:3], rows_of(keys[:3]))
resource.setrlimit(resource.RLIMIT_FSIZE, (18_000, 18_000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for i in range(3, 40):
        cache.put(NAMESPACE, [keys[i]], rows_of([keys[i]]))
    assert len(caught) == 1, caught
    assert "takes no more rows" in str(caught[0].message)
assert gathered(cache, keys)[:4].all()
assert (gathered(another_process(cache), keys) == gathered(cache, keys)).all()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited in size there")
def test_a_full_disk_costs_one_warning(tmp_path, in_fresh_process):
    """A limit on the size of files, under which writes stop half way as on a full disk."""
    in_fresh_process(FULL_DISK, tmp_path, PYTHONPATH=TESTS)
