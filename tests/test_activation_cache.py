"""The laws of the activation cache, in one process.

What happens to it when files are damaged and processes die is tested beside this file.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from activation_cache_helpers import (
    COST,
    NAMESPACE,
    OTHER_NAMESPACE,
    another_process,
    gathered,
    keys_of,
    rows_of,
)
from skltransfer.cache import NullCache, open_cache
from skltransfer.cache import segments as _segments


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path, budget=1 << 26)


# ---------------------------------------------------------------- what is put comes back


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float64, bool, ">f4"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4, 5), (0,)])
def test_rows_come_back_bit_for_bit(cache, shape, dtype):
    keys = keys_of(20)
    rows = rows_of(keys, shape, np.uint8).astype(dtype)
    cache.put(NAMESPACE, keys, rows)
    assert gathered(cache, keys, like=rows).all()
    assert gathered(another_process(cache), keys, like=rows).all()


def test_order_and_number_of_rows_asked_for_change_nothing(cache):
    keys = keys_of(50)
    cache.put(NAMESPACE, keys, rows_of(keys))
    asked = [keys[i] for i in [7, 3, 3, 49, 0, 7]]
    assert gathered(cache, asked).all()
    assert gathered(cache, []).shape == (0,)


@pytest.mark.parametrize("width", [1, 3000, 20000], ids=["many between", "a few", "none"])
def test_rows_far_apart_in_a_file_come_back_too(cache, width):
    keys = keys_of(600)[: 600 if width == 1 else 60]
    cache.put(NAMESPACE, keys, rows_of(keys, (width,)))
    rng = np.random.default_rng(width)
    for n_asked in (1, 7, len(keys)):
        asked = [keys[i] for i in rng.choice(len(keys), n_asked)]
        assert gathered(cache, asked, like=rows_of(asked, (width,))).all()


def test_what_was_not_put_is_not_found(cache):
    keys = keys_of(6)
    cache.put(NAMESPACE, keys[::2], rows_of(keys[::2]))
    expected = [True, False] * 3
    np.testing.assert_array_equal(gathered(cache, keys), expected)
    np.testing.assert_array_equal(cache.contains(NAMESPACE, keys), expected)
    assert not gathered(cache, keys, namespace=OTHER_NAMESPACE).any()


@pytest.mark.parametrize("last_byte", [0, 1, 255])
def test_keys_may_end_in_any_byte(cache, last_byte):
    keys = [bytes([3] * 15 + [last_byte]), bytes(16), bytes(31) + b"\1", bytes([last_byte]) * 32]
    keys = list(dict.fromkeys(keys))
    cache.put(NAMESPACE, keys, rows_of(keys))
    assert gathered(another_process(cache), keys).all()


@pytest.mark.parametrize(
    "other", [np.empty((5, 100, 10), np.float32), np.empty((5, 10, 100), np.int32)]
)
def test_rows_of_another_kind_are_not_found_and_may_be_put(cache, other):
    keys = keys_of(5)
    cache.put(NAMESPACE, keys, rows_of(keys))
    assert not cache.gather(NAMESPACE, keys, other).any()
    rows = rows_of(keys).view(other.dtype).reshape(other.shape)
    cache.put(NAMESPACE, keys, rows)
    assert gathered(cache, keys, like=rows).all()


def test_rows_are_stored_once(cache):
    keys = keys_of(5)
    for _ in range(3):
        cache.put(NAMESPACE, [*keys, *keys], rows_of([*keys, *keys]))
        another_process(cache).put(NAMESPACE, keys, rows_of(keys))
    assert cache.info().entries == 5
    assert cache.info().bytes == 5 * COST


def test_rows_need_not_be_contiguous_to_be_put(cache):
    keys = keys_of(4)
    rows = rows_of(keys)
    cache.put(NAMESPACE, keys, np.asfortranarray(rows))
    assert gathered(cache, keys).all()


def test_threads_may_put_and_gather_at_once(cache):
    keys = keys_of(64)
    errors = []

    def work(start):
        try:
            for i in range(64):
                some = [keys[(start + i + j) % 64] for j in range(4)]
                cache.put(NAMESPACE, some, rows_of(some))
                assert gathered(cache, some).all()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(16 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert cache.info().entries == 64


# ---------------------------------------------------------------- aliases, counts, clearing


def test_aliases_lead_from_keys_to_values(cache):
    keys, values = keys_of(3), [b"", b"\0value\0", bytes(range(32))]
    cache.alias(NAMESPACE, keys, values)
    cache.alias(NAMESPACE, keys, [b"the first value stays"] * 3)
    asked = [*keys, *keys_of(1, "unknown")]
    assert cache.lookup(NAMESPACE, asked) == [*values, None]
    assert another_process(cache).lookup(NAMESPACE, asked) == [*values, None]
    assert cache.lookup(OTHER_NAMESPACE, keys) == [None] * 3
    with pytest.raises(ValueError, match="a value has 33 bytes; 32 are allowed"):
        cache.alias(NAMESPACE, keys[:1], [bytes(33)])


def test_rows_are_counted(cache):
    keys = keys_of(8)
    cache.put(NAMESPACE, keys[:5], rows_of(keys[:5]))
    gathered(cache, keys)
    info = cache.info()
    assert (info.hits, info.misses, info.refused, info.entries) == (5, 3, 0, 5)
    assert info.budget == 1 << 26


def test_work_is_summed_over_processes(cache):
    other = another_process(cache)
    cache.count_work("pixels-4", 3)
    other.count_work("pixels-4", 4)
    other.count_work("4-head", 5)
    cache.count_work("pixels-4", 1)
    for each in (cache, other, another_process(cache)):
        assert each.info().rows_computed == {"4-head": 5, "pixels-4": 8}


def test_work_is_listed_in_the_order_of_the_network(cache):
    segments = ["net:pixels:z", "net:z:block", "net:block:a", "net:a:end", "other:pixels:a"]
    for segment in reversed(segments):
        another_process(cache).count_work(segment, 1)
    assert list(cache.info().rows_computed) == segments
    cache.count_work("net:loop:loop", 1)  # not a network
    assert set(cache.info().rows_computed) == {*segments, "net:loop:loop"}


def test_clearing_begins_anew_for_all_processes(cache):
    other = another_process(cache)
    keys = keys_of(5)
    for each in (cache, other):
        each.put(NAMESPACE, keys, rows_of(keys))
        each.alias(NAMESPACE, keys, [b"value"] * 5)
        each.count_work("segment", 5)
    gathered(cache, keys)
    cache.clear()
    assert not gathered(other, keys).any()
    assert other.lookup(NAMESPACE, keys) == [None] * 5
    other.count_work("segment", 2)
    cache.count_work("segment", 1)
    for each in (cache, other):
        info = each.info()
        assert (info.hits, info.entries, info.bytes) == (0, 0, 0)
        assert info.rows_computed == {"segment": 3}
    other.put(NAMESPACE, keys, rows_of(keys))
    assert gathered(cache, keys).all()


def test_no_cache_keeps_nothing_and_counts_work():
    cache = open_cache(None)
    assert isinstance(cache, NullCache)
    keys = keys_of(3)
    cache.clear()
    cache.put(NAMESPACE, keys, rows_of(keys))
    cache.alias(NAMESPACE, keys, [b"value"] * 3)
    with cache.lock(NAMESPACE, keys) as lock:
        assert lock.mine.all()
    cache.wait(NAMESPACE, keys)
    cache.count_work("segment", 3)
    assert not cache.contains(NAMESPACE, keys).any()
    assert not gathered(cache, keys).any()
    assert cache.lookup(NAMESPACE, keys) == [None] * 3
    assert cache.info().location is None
    assert cache.info().rows_computed == {"segment": 3}


# ---------------------------------------------------------------- opening


def with_room(folder):
    with _segments.segment_with_room(str(folder), "a", 1) as segment:
        return segment


def test_rows_go_to_the_newest_files_after_the_clock_was_set_back_too(tmp_path, monkeypatch):
    full = with_room(tmp_path)
    for path in (full.rows_path, full.index_path):
        Path(path).write_bytes(b"full")
    monkeypatch.setattr(_segments.time, "time_ns", lambda: 1)
    following = with_room(tmp_path)
    Path(following.index_path).touch()
    Path(following.rows_path).touch()
    assert with_room(tmp_path).index_path == following.index_path


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_nobody_appends_to_files_that_another_writer_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(_segments, "_SECONDS_TO_LOCK", 0)
    held = with_room(tmp_path)
    Path(held.index_path).touch()
    Path(held.rows_path).touch()
    with _segments.segment_with_room(str(tmp_path), "a", 1) as mine:
        assert mine.index_path == held.index_path
        assert with_room(tmp_path).index_path != held.index_path
    assert with_room(tmp_path).index_path == held.index_path


def test_one_cache_for_each_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = open_cache(tmp_path / "a" / "b")
    assert cache.info().entries == 0
    assert not (tmp_path / "a").exists()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for same in (str(tmp_path / "a" / "b"), "a/b", "~/a/b", "link/b"):
        assert open_cache(same) is cache
    assert open_cache("memory") is open_cache("memory") is not cache


def test_what_names_no_folder_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for wrong in (5, b"bytes", True):
        with pytest.raises(TypeError, match=r"cache=.* is not a path; give 'memory'"):
            open_cache(wrong)
    for wrong in ("", file, "a\0b"):
        with pytest.raises(ValueError, match=r"cache=.* is not a directory; give 'memory'"):
            open_cache(wrong)


def test_mistakes_of_the_caller_are_refused(cache):
    keys = keys_of(2)
    with pytest.raises(ValueError, match="got 2 keys for 3 rows"):
        cache.put(NAMESPACE, keys, np.empty((3, 2)))
    with pytest.raises(TypeError, match="dtype object cannot be stored"):
        cache.put(NAMESPACE, keys, np.empty((2, 2), object))
    with pytest.raises(ValueError, match="longer than 32 bytes"):
        cache.put(NAMESPACE, [bytes(33)], np.empty((1, 2)))
    with pytest.raises(ValueError, match="out must be C-contiguous"):
        cache.gather(NAMESPACE, keys, np.empty((2, 2)).T)
