"""The laws of the activation cache for ragged rows: each row has a length of its own."""

from __future__ import annotations

import os
import random
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activation_cache_helpers import (
    NAMESPACE,
    OTHER_NAMESPACE,
    TESTS,
    another_process,
    gathered,
    gathered_ragged,
    keys_of,
    ragged,
    ragged_rows_of,
    rows_of,
)
from skltransfer.cache import ActivationCache, CacheWarning, NullCache, open_cache

KEYS = keys_of(60)
ENTRY_BYTES = 64


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path, budget=1 << 26)


# ---------------------------------------------------------------- what is put comes back


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 40) | st.sampled_from([0, 1, 1000]), min_size=1, max_size=20),
    shape=st.sampled_from([(), (3,), (2, 5), (0,)]),
    dtype=st.sampled_from(["f4", "f2", "u1", "i8", "c16", "?", ">f4"]),
    n_puts=st.integers(1, 3),
)
def test_ragged_rows_come_back_bit_for_bit(lengths, shape, dtype, n_puts):
    keys = keys_of(len(lengths))
    bits = [rows_of([key], (n, *shape), "u1")[0] for key, n in zip(keys, lengths, strict=True)]
    rows = ragged([row.astype(dtype) for row in bits])
    with tempfile.TemporaryDirectory() as folder:
        cache = ActivationCache(folder, 1 << 24)
        for start in range(n_puts):
            cache.put(NAMESPACE, keys[start::n_puts], rows[start::n_puts])
        assert gathered_ragged(cache, keys, like=rows).all()
        assert gathered_ragged(another_process(cache), keys[::-1], like=rows[::-1]).all()
        n_bytes = sum(row.nbytes for row in rows)
        assert cache.info().bytes == n_bytes + ENTRY_BYTES * len(keys)
        assert cache.info().entries == len(keys)


def test_rows_that_were_not_put_are_none(cache):
    cache.put(NAMESPACE, KEYS[::2], ragged_rows_of(KEYS[::2]))
    np.testing.assert_array_equal(gathered_ragged(cache, KEYS), [True, False] * 30)
    np.testing.assert_array_equal(cache.contains(NAMESPACE, KEYS), [True, False] * 30)
    assert not gathered_ragged(cache, KEYS, namespace=OTHER_NAMESPACE).any()
    assert (cache.info().hits, cache.info().misses) == (30, 90)
    assert gathered_ragged(cache, []).shape == (0,)


def test_each_position_receives_an_array_of_its_own(cache):
    cache.put(NAMESPACE, KEYS, ragged_rows_of(KEYS))
    out = np.empty(3, object)
    assert cache.gather(NAMESPACE, [KEYS[1], KEYS[0], KEYS[1]], out).all()
    assert not np.shares_memory(out[0], out[2])
    out[0][...] = 0
    assert gathered_ragged(cache, KEYS).all()


def test_arrays_of_objects_need_not_be_contiguous(cache):
    rows = ragged([np.asfortranarray(row) for row in ragged_rows_of(KEYS)])
    cache.put(NAMESPACE, KEYS[:30], rows[:30])
    out = np.empty(60, object)
    assert cache.gather(NAMESPACE, KEYS[:30], out[::2]).all()
    assert all(row is None for row in out[1::2])
    assert all(map(np.array_equal, out[::2], rows[:30].tolist(), [True] * 30))


def test_ragged_rows_are_stored_once(cache):
    rows = ragged_rows_of([*KEYS, *KEYS])
    for _ in range(2):
        cache.put(NAMESPACE, [*KEYS, *KEYS], rows)
        another_process(cache).put(NAMESPACE, KEYS, rows[:60])
    assert cache.info().entries == 60
    assert gathered_ragged(another_process(cache), KEYS).all()


def test_ragged_rows_of_many_segments_come_back(tmp_path):
    cache = open_cache(tmp_path, budget=1 << 16)
    cache.put(NAMESPACE, KEYS, ragged_rows_of(KEYS))
    assert len(list(Path(tmp_path).rglob("*.f4-n-5.rows"))) > 5
    assert gathered_ragged(another_process(cache), KEYS).all()


def test_dense_and_ragged_rows_share_a_namespace(cache):
    dense, loose = KEYS[:20], KEYS[20:]
    cache.put(NAMESPACE, dense, rows_of(dense))
    cache.put(NAMESPACE, loose, ragged_rows_of(loose))
    for _ in range(2):
        each = another_process(cache)
        np.testing.assert_array_equal(gathered(each, KEYS), [True] * 20 + [False] * 40)
        each = another_process(cache)
        np.testing.assert_array_equal(gathered_ragged(each, KEYS), [False] * 20 + [True] * 40)
    assert cache.contains(NAMESPACE, KEYS).all()


def test_rows_of_equal_length_are_no_dense_rows(cache):
    rows = rows_of(KEYS)
    cache.put(NAMESPACE, KEYS, ragged(rows))
    assert not gathered(cache, KEYS).any()
    cache.put(NAMESPACE, KEYS, rows)  # of the kind that was asked for last
    assert gathered(cache, KEYS).all()
    assert gathered_ragged(another_process(cache), KEYS, like=rows).sum() == 0
    cache.put(OTHER_NAMESPACE, KEYS, ragged(rows))
    assert gathered_ragged(cache, KEYS, OTHER_NAMESPACE, like=rows).all()


def test_ragged_rows_that_are_stored_are_not_locked(cache):
    cache.put(NAMESPACE, KEYS[:2], ragged_rows_of(KEYS[:2]))
    with cache.lock(NAMESPACE, KEYS[:4]) as lock:
        np.testing.assert_array_equal(lock.mine, [False, False, True, True])


def test_no_cache_finds_no_ragged_rows():
    cache = NullCache()
    cache.put(NAMESPACE, KEYS, ragged_rows_of(KEYS))
    assert not gathered_ragged(cache, KEYS).any()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.zeros((2, 3), "f8"), r"row 0 is float32 of shape \(n, 3\), but row 1 is float64 of"),
        (np.zeros((2, 4), "f4"), r"row 0 is .* \(n, 3\), but row 1 is float32 of shape \(n, 4\)"),
        (np.zeros(3, "f4"), r"row 1 is float32 of shape \(n\); rows of one batch may differ only"),
        (np.float32(1), "row 1 is of type float32; each row of an object array must be"),
        (np.array(1, "f4"), r"row 1 is float32 of shape \(\); .* at least one axis"),
        (None, "row 1 is of type NoneType"),
        ([1.0, 2.0], "row 1 is of type list"),
        (np.array(["a"]), r"row 1 is <U1 of shape \(1,\); .* array of numbers"),
        (np.array([None]), r"row 1 is object of shape \(1,\)"),
    ],
)
def test_what_no_ragged_batch_may_hold_is_refused(cache, second, message):
    rows = ragged([np.zeros((5, 3), "f4"), second])
    with pytest.raises(TypeError, match=message):
        cache.put(NAMESPACE, KEYS[:2], rows)
    assert cache.info().entries == 0


def test_no_ragged_rows_are_put_silently(cache):
    cache.put(NAMESPACE, [], np.empty(0, object))
    assert cache.info().entries == 0


def test_each_row_is_admitted_by_its_own_size(tmp_path):
    """Of 1,900 bytes for rows (the rest is for aliases), and with an index entry for each."""
    cache = open_cache(tmp_path, budget=2000)
    keys, lengths = KEYS[:5], [100, 1600, 200, 900, 300]
    rows = ragged([rows_of([key], (n,), "u1")[0] for key, n in zip(keys, lengths, strict=True)])
    cache.put(NAMESPACE, keys[:1], rows[:1])
    cache.put(NAMESPACE, keys[1:], rows[1:])
    found = gathered_ragged(another_process(cache), keys, like=rows)
    np.testing.assert_array_equal(found, [True, True, False, False, False])
    assert cache.info().refused == 3
    cache.clear()
    cache.put(NAMESPACE, keys[2:], rows[2:])
    cache.put(NAMESPACE, keys[:2], rows[:2])
    found = gathered_ragged(another_process(cache), keys, like=rows)
    np.testing.assert_array_equal(found, [True, False, True, True, True])
    assert cache.info().bytes <= cache.info().budget


def test_a_row_that_never_fits_costs_one_warning(tmp_path):
    cache = open_cache(tmp_path, budget=2000)
    rows = ragged([np.zeros(10, "u1"), np.zeros(4000, "u1")])
    with pytest.warns(CacheWarning, match="keeps no rows of 4000 bytes") as caught:
        cache.put(NAMESPACE, KEYS[:2], rows)
        cache.put(NAMESPACE, KEYS[:2], rows)
    assert len(caught) == 1
    np.testing.assert_array_equal(gathered_ragged(cache, KEYS[:2], like=rows), [True, False])


# ---------------------------------------------------------------- damage


def flip(data, at):
    data[at] ^= 1 << random.randrange(8)


def truncate(data, at):
    del data[at:]


def insert(data, at):
    data.insert(at, 0)


def blank(data, at):
    data[at : at + 512] = bytes(len(data[at : at + 512]))


def replace(data, at):
    data[:] = random.randbytes(len(data))


@pytest.fixture
def filled(tmp_path):
    """A cache of ragged rows in several segments."""
    cache = open_cache(tmp_path, budget=1 << 17)
    for start in range(0, 60, 6):
        cache.put(NAMESPACE, KEYS[start : start + 6], ragged_rows_of(KEYS[start : start + 6]))
    assert len(files_of(cache, "*.rows")) > 2
    return cache


def files_of(cache, pattern):
    return sorted(Path(cache.info().location, "rows").rglob(pattern))


@pytest.mark.parametrize("damage", [flip, truncate, insert, blank, replace])
@pytest.mark.parametrize("pattern", ["*.rows", "*.index", "*.f4-n-5.*"])
def test_damaged_files_give_right_rows_or_none(filled, damage, pattern):
    for seed in range(5):
        random.seed(seed)
        for path in random.sample(files_of(filled, pattern), 2):
            data = bytearray(path.read_bytes()) or bytearray(1)
            damage(data, random.randrange(len(data)))
            path.write_bytes(data)
        for each in (another_process(filled), filled):
            found = gathered_ragged(each, KEYS)
            missing = [key for key, hit in zip(KEYS, found, strict=True) if not hit]
            each.put(NAMESPACE, missing, ragged_rows_of(missing))
        assert gathered_ragged(another_process(filled), KEYS).all()


@pytest.mark.parametrize("zeros", [False, True], ids=["random", "zeros"])
def test_each_flipped_bit_of_an_entry_costs_one_row(tmp_path, zeros):
    """Also where rows are zeros, so that a row of another length would sum up to the same."""
    cache, keys = open_cache(tmp_path, budget=1 << 24), KEYS[:8]
    rows = ragged([np.zeros_like(row) if zeros else row for row in ragged_rows_of(keys)])
    cache.put(NAMESPACE, keys, rows)
    (path,) = files_of(cache, "*.index")
    whole = path.read_bytes()
    for bit in range(8 * ENTRY_BYTES):
        data = bytearray(whole)
        data[3 * ENTRY_BYTES + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        found = gathered_ragged(another_process(cache), keys, like=rows)
        # After a key comes filler, and zeros are the right row wherever they are read from.
        harmless = len(keys[3]) <= bit // 8 < (48 if zeros else 40)
        assert not found[3] or harmless, bit
        assert np.delete(found, 3).all(), bit


def test_damaged_lengths_allocate_no_more_than_the_file_has(tmp_path):
    cache = open_cache(tmp_path, budget=1 << 26)
    rows = ragged([np.ones((100, 25), np.float32)] * 60)
    cache.put(NAMESPACE, KEYS, rows)
    (path,) = files_of(cache, "*.index")
    entries = np.frombuffer(path.read_bytes(), [("start", "V56"), ("length", "<u8")]).copy()
    n_bytes = sum(row.nbytes for row in rows)
    damaged = another_process(cache)
    for lengths in (1 << 40, (1 << 64) - 1, n_bytes // 100 - 100 * np.arange(60)):
        entries["length"] = lengths
        path.write_bytes(entries.tobytes())
        damaged = another_process(cache)
        tracemalloc.start()
        found = gathered_ragged(damaged, KEYS, like=rows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.sum() == (np.ndim(lengths) > 0)  # the last row's length is right
        assert peak < 2.5 * n_bytes


@pytest.mark.parametrize("name", ["i4-n-5", "f4-n-1", "f4-n", "f4-n-1-5", "f2-n-10", "f3-n-5", "x"])
def test_files_under_another_layout_give_no_rows(tmp_path, name):
    cache = open_cache(tmp_path, budget=1 << 24)
    cache.put(NAMESPACE, KEYS, ragged_rows_of(KEYS))
    for path in files_of(cache, "*.f4-n-5.*"):
        path.rename(path.parent / path.name.replace("f4-n-5", name))
    assert not gathered_ragged(another_process(cache), KEYS).any()


def test_rows_are_bound_to_their_namespace_and_key(cache):
    cache.put(NAMESPACE, KEYS, ragged_rows_of(KEYS))
    (mine,) = Path(cache.info().location, "rows").iterdir()
    cache.put(OTHER_NAMESPACE, KEYS, ragged_rows_of(KEYS))
    (other,) = {*mine.parent.iterdir()} - {mine}
    for path in other.glob("*.f4-n-5.*"):
        (source,) = mine.glob(f"*{path.suffix}")
        path.write_bytes(source.read_bytes())
    assert not gathered_ragged(another_process(cache), KEYS, OTHER_NAMESPACE).any()


# ---------------------------------------------------------------- processes

TWO_WRITERS = """
import os, sys, warnings
from activation_cache_helpers import NAMESPACE, gathered_ragged, keys_of, ragged_rows_of
from skltransfer.cache import open_cache

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

cache, keys = open_cache(sys.argv[1], budget=1 << 22), keys_of(400)

def search():
    '''Fills the cache in blocks, as a search does.'''
    for start in range(0, 400, 16):
        block = keys[start : start + 16]
        while block:
            with cache.lock(NAMESPACE, block) as lock:
                mine = [key for key, free in zip(block, lock.mine) if free]
                cache.put(NAMESPACE, mine, ragged_rows_of(mine))
                cache.count_work("segment", len(mine))
            cache.wait(NAMESPACE, block)
            block = [key for key, hit in zip(block, gathered_ragged(cache, block)) if not hit]

child = os.fork()
try:
    search()
finally:
    if child == 0:
        os._exit(sys.exc_info()[0] is not None)
assert os.waitpid(child, 0)[1] == 0
assert gathered_ragged(cache, keys).all()
assert cache.info().rows_computed == {"segment": 400}, cache.info()
assert cache.info().entries == 400, cache.info()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork to test")
def test_each_ragged_row_is_computed_once_by_two_processes(tmp_path, in_fresh_process):
    in_fresh_process(TWO_WRITERS, tmp_path, PYTHONPATH=TESTS)
