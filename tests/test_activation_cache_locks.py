"""One at a time computes a row, and nobody waits for the dead or for himself."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading

import numpy as np
import pytest

from activation_cache_helpers import NAMESPACE, OTHER_NAMESPACE, TESTS, gathered, keys_of, rows_of
from skltransfer.cache import open_cache


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path, budget=1 << 26)


def test_a_row_is_locked_by_one_at_a_time(cache):
    keys = keys_of(4)
    with cache.lock(NAMESPACE, keys[:3]) as first, cache.lock(NAMESPACE, keys) as second:
        np.testing.assert_array_equal(first.mine, [True, True, True])
        np.testing.assert_array_equal(second.mine, [False, False, False, True])
        with cache.lock(OTHER_NAMESPACE, keys) as elsewhere:
            assert elsewhere.mine.all()
    with cache.lock(NAMESPACE, keys) as again:
        assert again.mine.all()
        again.release()
        with cache.lock(NAMESPACE, keys) as released:
            assert released.mine.all()
            again.release()
            with cache.lock(NAMESPACE, keys) as still_held:
                assert not still_held.mine.any()


def test_a_lock_that_is_lost_is_released(cache):
    lock = cache.lock(NAMESPACE, keys_of(2))
    assert lock.mine.all()
    del lock
    gc.collect()
    assert cache.lock(NAMESPACE, keys_of(2)).mine.all()


class InterruptAt:
    """Ctrl-C before the n-th line that locks and their cache run."""

    def __init__(self, line):
        self.lines_left = line

    def trace(self, frame, event, argument):
        if frame.f_code.co_name == "__del__":  # Python would only tell that it was interrupted
            sys.settrace(None)
            return None
        file = os.path.basename(frame.f_code.co_filename)
        self.lines_left -= event == "line" and file in ("row_locks.py", "activation_cache.py")
        if self.lines_left == 0:
            raise KeyboardInterrupt
        return self.trace

    def __enter__(self):
        sys.settrace(self.trace)
        return self

    def __exit__(self, kind, error, traceback):
        sys.settrace(None)
        self.came = kind is KeyboardInterrupt
        return self.came


def test_an_interrupt_leaves_no_lock_wherever_it_comes(cache):
    keys = keys_of(4)
    cache.put(NAMESPACE, keys[:1], rows_of(keys[:1]))
    for line in itertools.count(1):
        lock = None
        with InterruptAt(line) as interrupt:
            lock = cache.lock(NAMESPACE, keys)
            lock.release()
            cache.wait(NAMESPACE, keys)
        del lock
        with cache.lock(NAMESPACE, keys) as again:
            assert again.mine.tolist() == [False, True, True, True], line
        if not interrupt.came:
            break
    assert line > 100


def test_what_is_stored_or_asked_twice_is_not_to_be_computed(cache):
    keys = keys_of(3)
    cache.put(NAMESPACE, keys[:1], rows_of(keys[:1]))
    with cache.lock(NAMESPACE, [*keys, *keys]) as lock:
        np.testing.assert_array_equal(lock.mine, [False, True, True, False, False, False])


@pytest.mark.parametrize("stores", [True, False])
def test_waiting_ends_when_rows_are_stored_or_given_up(cache, stores):
    keys = keys_of(3)
    locked, waited = threading.Event(), threading.Event()

    def compute():
        with cache.lock(NAMESPACE, keys):
            locked.set()
            assert not waited.wait(0.1)
            if stores:
                cache.put(NAMESPACE, keys, rows_of(keys))

    thread = threading.Thread(target=compute)
    thread.start()
    locked.wait()
    cache.wait(NAMESPACE, keys)
    waited.set()
    thread.join()
    assert gathered(cache, keys).all() == stores


def test_nobody_waits_while_others_may_wait_for_him(cache):
    keys = keys_of(2)
    with (
        cache.lock(NAMESPACE, keys[:1]),
        pytest.raises(RuntimeError, match="release your own locks"),
    ):
        cache.wait(NAMESPACE, keys)
    cache.wait(NAMESPACE, keys)


TWO_WRITERS = """
import os, shutil, sys, warnings
from activation_cache_helpers import NAMESPACE, gathered, keys_of, rows_of
from skltransfer.cache import open_cache

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

cache, keys = open_cache(sys.argv[1]), keys_of(400)

def search():
    '''Fills the cache in blocks, as a search does.'''
    for start in range(0, 400, 16):
        block = keys[start : start + 16]
        while block:
            with cache.lock(NAMESPACE, block) as lock:
                mine = [key for key, free in zip(block, lock.mine) if free]
                cache.put(NAMESPACE, mine, rows_of(mine))
                cache.count_work("segment", len(mine))
            cache.wait(NAMESPACE, block)
            block = [key for key, hit in zip(block, gathered(cache, block)) if not hit]

cache.lock(NAMESPACE, keys).release()
shutil.rmtree(sys.argv[1])  # the lock file is deleted, and made again by whoever is first
child = os.fork()
try:
    search()
finally:
    if child == 0:
        os._exit(sys.exc_info()[0] is not None)
assert os.waitpid(child, 0)[1] == 0
info = cache.info()
assert info.rows_computed == {"segment": 400}, info
assert info.entries == 400, info
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork to test")
def test_each_row_is_computed_once_by_two_processes(tmp_path, in_fresh_process):
    in_fresh_process(TWO_WRITERS, tmp_path, PYTHONPATH=TESTS)
