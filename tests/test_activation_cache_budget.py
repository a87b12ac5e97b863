"""What is kept when not all can be, and how much that is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from activation_cache_helpers import COST, NAMESPACE, OTHER_NAMESPACE, gathered, keys_of, rows_of
from skltransfer.cache import CacheWarning, open_cache
from skltransfer.cache import admission as _admission
from skltransfer.cache import capacity as _capacity
from skltransfer.cache import segments as _segments


def pause():
    """Let times of use differ by more than the clock of a file system does."""
    time.sleep(0.03)


@pytest.fixture
def small_cache(tmp_path, monkeypatch):
    """Has room for ten rows, and sees times of use as exactly as files do."""
    monkeypatch.setattr(_segments, "_TOUCH_SECONDS", 0)
    monkeypatch.setattr(_admission, "_CLOCK_SECONDS", 0.01)
    return open_cache(tmp_path, budget=11 * COST)  # a twentieth is for aliases


def test_a_namespace_that_does_not_fit_keeps_a_stable_part(small_cache):
    """A working set one row too large must not drop a row just before it is asked for."""
    keys = keys_of(11)
    random = np.random.default_rng(0)
    for round_ in range(12):
        found = gathered(small_cache, keys)
        assert found.sum() == (10 if round_ else 0)
        for i in random.permutation(np.flatnonzero(~found)):
            small_cache.put(NAMESPACE, [keys[i]], rows_of([keys[i]]))
        pause()
    assert small_cache.info().bytes <= small_cache.info().budget
    assert small_cache.info().refused == 12


def test_a_new_namespace_takes_the_place_of_the_least_recently_used(small_cache):
    old, used, new = keys_of(4, "old"), keys_of(6, "used"), keys_of(3, "new")
    small_cache.put(b"old", old, rows_of(old))
    small_cache.put(b"used", used, rows_of(used))
    pause()
    assert gathered(small_cache, used, namespace=b"used").all()
    pause()
    small_cache.put(b"new", new, rows_of(new))
    assert gathered(small_cache, new, namespace=b"new").all()
    assert gathered(small_cache, used, namespace=b"used").all()
    assert gathered(small_cache, old, namespace=b"old").sum() == 1


def test_namespaces_that_do_not_fit_together_do_not_evict_each_other(small_cache):
    namespaces = {name: keys_of(10, name) for name in ("a", "b")}
    for name, keys in namespaces.items():
        small_cache.put(name.encode(), keys, rows_of(keys))
        pause()
    kept = {name: gathered(small_cache, keys, name.encode()) for name, keys in namespaces.items()}
    assert sum(mask.sum() for mask in kept.values()) == 10
    for _ in range(3):
        for name, keys in namespaces.items():
            found = gathered(small_cache, keys, name.encode())
            np.testing.assert_array_equal(found, kept[name])
            small_cache.put(name.encode(), keys, rows_of(keys))
        pause()


def test_new_rows_take_the_place_of_those_that_nobody_asks_for(small_cache):
    """The third time, since nothing that is still in use can be unused that long."""
    old, new = keys_of(10, "old"), keys_of(5, "new")
    small_cache.put(NAMESPACE, old, rows_of(old))
    for _ in range(3):
        assert not gathered(small_cache, new).any()
        pause()
        small_cache.put(NAMESPACE, new, rows_of(new))
    assert gathered(small_cache, new).all()
    assert gathered(small_cache, old).sum() == 5


def test_nothing_gives_way_to_what_would_not_fit_even_so(small_cache):
    old, huge = keys_of(10), keys_of(1, "huge")
    small_cache.put(NAMESPACE, old, rows_of(old))
    pause()
    with pytest.warns(CacheWarning, match="keeps no rows of 44000 bytes"):
        small_cache.put(OTHER_NAMESPACE, huge, rows_of(huge, (11, 1000)))
    assert gathered(small_cache, old).all()
    assert small_cache.info().refused == 1


def test_rows_and_aliases_stay_within_the_budget_together(tmp_path):
    cache, keys = open_cache(tmp_path, budget=32 * COST), keys_of(40)
    for key in keys:
        cache.put(NAMESPACE, [key], rows_of([key]))
        cache.alias(NAMESPACE, [key], [b"value"])
    n_found = sum(value is not None for value in cache.lookup(NAMESPACE, keys))
    info = cache.info()
    assert info.entries == 30
    assert n_found == 40
    assert info.bytes <= info.budget


# ---------------------------------------------------------------- how much room there is


@pytest.mark.parametrize(
    ("membership", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "max"}, []),
        ("0::/\n", {"memory.max": "1000"}, [1000]),
        ("0::/a/b\n", {"memory.max": "9", "a/memory.max": "7", "a/b/memory.max": "max"}, [7, 9]),
        ("0::/host/path\n", {"memory.max": "5"}, [5]),
        (
            "4:cpu,memory:/a\n3:pids:/a\n0::/\n",
            {"memory/memory.limit_in_bytes": "8", "memory/a/memory.limit_in_bytes": "6"},
            [6, 8],
        ),
        (None, {}, []),
    ],
)
def test_limits_of_containers_are_known(tmp_path, membership, files, limits):
    if membership is not None:
        (tmp_path / "cgroup").write_text(membership)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    found = _capacity._container_limits(str(tmp_path / "cgroup"), str(tmp_path))
    assert list(found) == limits


def test_budgets_are_shares_of_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(_capacity, "_free_memory", lambda: 1000)
    monkeypatch.setattr(_capacity, "_container_limits", lambda: [800, 2000])
    assert _capacity.memory_budget() == 200
    monkeypatch.setattr(_capacity, "free_disk", lambda folder: 1000)
    assert _capacity.disk_budget(str(tmp_path), n_held=500) == 750


def test_a_budget_on_disk_counts_what_the_store_holds_itself(tmp_path):
    free = _capacity.free_disk(str(tmp_path / "not" / "there"))
    assert 0 < open_cache(tmp_path).info().budget <= free
