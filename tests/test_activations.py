"""One pass through a frozen part: each distinct row once, in any company, whatever happens."""

from __future__ import annotations

import gc
import hashlib
import random
import threading
import time
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from conftest import out_of_memory
from skltransfer import PretrainedFeatureExtractor
from skltransfer.cache import CacheWarning, NullCache, open_cache
from skltransfer.frozen.activation_pass import ActivationPass
from skltransfer.frozen.engines import FrozenPart
from skltransfer.frozen.resume_plan import ResumePlan
from skltransfer.inputs._input import TensorSpec
from skltransfer.inputs.errors import ImageReadError
from skltransfer.network.batch_invariance import InvariantBatches

NAMESPACE = bytes(32)
BLOCK_ROWS = 4


class Numbers:
    """Rows of one number; `faults` raise when they are read, `unknown` when they are named."""

    def __init__(self, values, faults=(), unknown=(), error=None, is_at_hand=False):
        self.is_at_hand = is_at_hand
        self.values = values
        self.faults, self.unknown = set(faults), set(unknown)
        self.error = error
        self.loaded = []

    def __len__(self):
        return len(self.values)

    def fail(self, row):
        raise self.error or ImageReadError(f"row {row} is broken", row, "a number")

    def digest(self, row):
        if row in self.unknown:
            self.fail(row)
        return hashlib.sha256(str(self.values[row]).encode()).digest()

    def still_has(self, row, digest):
        return True

    def load(self, rows, out):
        time.sleep(random.random() / 1000)  # so that threads finish in any order
        for position, row in enumerate(rows):
            if row in self.faults:
                self.fail(row)
            self.loaded.append(row)
            out[0][position] = self.values[row]


class Replaced(Numbers):
    """Some rows hold another number when they are read than when they were named."""

    def __init__(self, values, new):
        super().__init__(values)
        self.new = new

    def still_has(self, row, digest):
        return row not in self.new

    def load(self, rows, out):
        super().load(rows, out)
        for position, row in enumerate(rows):
            out[0][position] = self.new.get(row, self.values[row])


class Doubling:
    """A frozen part that remembers its blocks and may fail."""

    def __init__(self, error=None):
        self.error = error
        self.blocks = []

    def __call__(self, block):
        if self.error is not None:
            raise self.error
        self.blocks.append(block.copy())
        return 2 * block.reshape(len(block), 1)

    @property
    def n_rows(self):
        return BLOCK_ROWS * len(self.blocks)


def one_pass(source, cache, run=None, **options):
    run = run or Doubling()
    batches = InvariantBatches(lambda rows: (run(rows),), BLOCK_ROWS)
    part = FrozenPart(batches, (TensorSpec((1, 1, 1)),), TensorSpec((1,)))
    given = {
        "find_plans": lambda: [ResumePlan("X", lambda: part, ("all",))],
        "output": part.output,
        "block_rows": BLOCK_ROWS,
        "namespace": NAMESPACE,
        "locks": NAMESPACE,
        "n_jobs": 3,
        "rows_in_flight": 8,
        **options,
    }
    return ActivationPass(source=source, cache=cache, **given)


@pytest.fixture(params=["cached", "uncached"])
def cache(request, tmp_path):
    return open_cache(tmp_path) if request.param == "cached" else NullCache()


@pytest.fixture
def store(tmp_path):
    return open_cache(tmp_path)


def computed(cache):
    return sum(cache.info().rows_computed.values())


def doubled(values):
    return 2 * np.array(values, np.float32).reshape(-1, 1)


# What comes out ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5, 32, 33, 131])
@pytest.mark.parametrize(("n_jobs", "is_at_hand"), [(1, False), (3, False), (3, True)])
def test_every_row_is_computed(cache, n_rows, n_jobs, is_at_hand):
    values = list(range(1, n_rows + 1))
    rows = one_pass(Numbers(values, is_at_hand=is_at_hand), cache, n_jobs=n_jobs).run()
    assert rows.dtype == np.float32
    assert_array_equal(rows, doubled(values))


def test_blocks_have_one_size_and_are_filled_up_with_zeros(cache):
    run = Doubling()
    one_pass(Numbers([1, 2, 3, 4, 5, 6]), cache, run).run()
    blocks = [block.ravel().tolist() for block in run.blocks]
    assert blocks[:2] == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert blocks[2:] in ([], [[5, 6]])  # where it is tried whether they may run alone


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_threads_read_only_what_must_be_loaded(cache, is_at_hand):
    class Watched(Numbers):
        def load(self, rows, out):
            here.add(threading.current_thread() is threading.main_thread())
            super().load(rows, out)

    here = set()
    one_pass(Watched(range(20), is_at_hand=is_at_hand), cache).run()
    assert here == {is_at_hand}


@pytest.mark.parametrize("X", ["images", "paths", "rows"])
def test_law_3_cached_equals_uncached_and_disk_equals_memory(X, tiny, request, tmp_path):
    """To the bit; also when a part of the rows is there, and on another layer."""
    X = (
        np.random.default_rng(0).normal(size=(7, 3))
        if X == "rows"
        else np.array(request.getfixturevalue(X), dtype=object if X == "paths" else None)
    )
    extractor = PretrainedFeatureExtractor(tiny, cache=None).fit(X)
    features = extractor.transform(X)
    for cache in ["memory", tmp_path / "new", str(tmp_path / "new")]:
        extractor.set_params(cache=cache)
        assert_array_equal(extractor.transform(X[2:5]), features[2:5])
        for _ in range(2):
            assert_array_equal(extractor.transform(X), features)


def test_law_3_with_the_bundled_backbone(golden, tmp_path):
    images = golden[0]
    extractor = PretrainedFeatureExtractor(cache=None).fit(images)
    features = extractor.transform(images)
    extractor.set_params(cache=tmp_path)
    assert_array_equal(extractor.transform(images[1:4]), features[1:4])
    assert_array_equal(extractor.transform(images), features)


def test_what_an_activation_depends_on_is_told_apart(tiny, images, tmp_path):
    """No setting finds the rows of another."""
    settings = [
        {},
        {"pooling": "max"},
        {"layer": "block"},
        {"input_size": (24, 20)},
        {"resize": "crop"},
        {"pixel_range": (0, 250)},
        {"weights": None, "random_state": 0},
        {"weights": None, "random_state": 1},
    ]
    for setting in settings:
        uncached = PretrainedFeatureExtractor(tiny, cache=None, **setting).fit_transform(images)
        cached = PretrainedFeatureExtractor(tiny, cache=tmp_path, **setting).fit_transform(images)
        assert_array_equal(cached, uncached, err_msg=str(setting))


# How much work it is -----------------------------------------------------------------------


def test_a_second_pass_reads_and_computes_nothing(store):
    """Nor does it ask how rows could be computed, which takes longer than to look them up."""
    values = list(range(70))
    one_pass(Numbers(values), store).run()
    source, run = Numbers(values[::-1]), Doubling()
    warm = one_pass(source, store, run, find_plans=lambda: pytest.fail("there was no need"))
    assert_array_equal(warm.run(), doubled(values[::-1]))
    assert source.loaded == []
    assert run.blocks == []
    assert computed(store) == 70


def test_equal_rows_are_computed_once(store):
    values = [1, 2, 1, 1, 3, 2] * 30
    source = Numbers(values)
    assert_array_equal(one_pass(source, store).run(), doubled(values))
    assert computed(store) == 3
    assert sorted(source.loaded) == [0, 1, 4]


def test_only_what_is_missing_is_computed_in_full_blocks(store):
    one_pass(Numbers(range(0, 200, 2)), store).run()
    run = Doubling()
    assert_array_equal(one_pass(Numbers(range(200)), store, run).run(), doubled(range(200)))
    assert run.n_rows == 100


def test_rows_that_find_no_room_are_computed_again(tmp_path):
    cramped = open_cache(tmp_path, budget=1)
    with pytest.warns(CacheWarning, match="keeps no rows of 4 bytes"):
        for _ in range(2):
            assert_array_equal(one_pass(Numbers([1, 2, 1]), cramped).run(), doubled([1, 2, 1]))
    assert computed(cramped) == 4


@pytest.mark.parametrize("block_rows", [4, 12])
@pytest.mark.parametrize("rows_in_flight", [1, 24, 64])
def test_memory_is_bounded(cache, rows_in_flight, block_rows):
    """At no time are more rows in memory than may be, or than three blocks hold."""
    source, done, held = Numbers(range(200)), [], []

    def run(block):
        held.append(len(source.loaded) - sum(done))
        time.sleep(0.002)
        return block.reshape(BLOCK_ROWS, 1)

    options = {"rows_in_flight": rows_in_flight, "block_rows": block_rows}
    one_pass(source, cache, run, advance=done.append, **options).run()
    assert max(held) <= max(rows_in_flight, 3 * block_rows)


def test_rows_and_results_need_no_garbage_collector(cache):
    """Results may take gigabytes, and the collector, which counts objects, may not run for long."""
    gc.collect()
    gc.disable()
    try:
        source = Numbers([1, 2, 1])
        result = one_pass(source, cache).run()
        alive = [weakref.ref(source), weakref.ref(result)]
        del source, result
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


def test_inputs_are_given_back_before_the_next_are_waited_for(cache):
    inputs, alive = [], []

    def run(block):
        inputs.append(weakref.ref(block.base))
        alive.append(sum(array() is not None for array in inputs))
        time.sleep(0.005)  # so that the pass waits for it
        return block.reshape(BLOCK_ROWS, 1)

    one_pass(Numbers(range(60)), cache, run).run()
    assert len(alive) == 15
    assert max(alive) <= 2


def test_two_blocks_are_computed_at_a_time(cache):
    """No core waits for the last row of a block: each of these waits for another."""
    together = threading.Barrier(2, timeout=10)

    def run(block):
        together.wait()
        return block.reshape(BLOCK_ROWS, 1)

    one_pass(Numbers(range(40)), cache, run).run()


def test_rows_are_read_while_the_network_computes(cache):
    source = Numbers(range(40))
    ahead = []

    def run(block):
        time.sleep(0.01)
        ahead.append(len(source.loaded) - BLOCK_ROWS * (len(ahead) + 1))
        return block.reshape(BLOCK_ROWS, 1)

    one_pass(source, cache, run).run()
    assert max(ahead) > 0


def test_the_network_begins_after_a_few_rows(cache):
    """It waits for a few, however many are to be computed together later."""
    began, in_time = threading.Event(), []

    def run(block):
        began.set()
        return block.reshape(BLOCK_ROWS, 1)

    class Waiting(Numbers):
        def load(self, rows, out):
            if max(rows) >= 31:
                in_time.append(began.wait(timeout=10))
            super().load(rows, out)

    one_pass(Waiting(range(100)), cache, run, n_jobs=1, block_rows=32, rows_in_flight=1).run()
    assert in_time and all(in_time)


def test_progress_adds_up_to_all_rows(store):
    done = []
    one_pass(Numbers([1, 2, 2, 3]), store).run()
    source = Numbers([5, 1, 6, 6, 2, 7, 8], faults=[5], unknown=[6])
    one_pass(source, store, keep_going=True, advance=done.append).run()
    assert sum(done) == 7


# What cannot be read -----------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_the_first_row_that_cannot_be_read_is_named(cache, n_jobs):
    source = Numbers(range(60), faults=[50, 17, 18])
    with pytest.raises(ImageReadError, match="row 17 is broken"):
        one_pass(source, cache, n_jobs=n_jobs).run()


def test_what_was_computed_before_an_error_is_kept(store):
    source = Numbers(range(60), faults=[50])
    with pytest.raises(ImageReadError, match="row 50 is broken"):
        one_pass(source, store).run()
    assert store.info().entries == 48


def test_nothing_more_is_read_after_an_error(cache):
    source = Numbers(range(500), faults=[0])
    with pytest.raises(ImageReadError):
        one_pass(source, cache).run()
    assert len(source.loaded) < 100


def test_unreadable_rows_are_nan_and_listed_with_their_copies(cache):
    values = [1, 2, 3, 2, 4, 2, 5]
    source = Numbers(values, faults=[1, 3, 5], unknown=[6])
    if not cache.keeps_rows:
        source.faults.add(6)
    process = one_pass(source, cache, keep_going=True)
    rows = process.run()
    assert sorted(process.failures) == [1, 3, 5, 6]
    assert_array_equal(np.isnan(rows).ravel(), [False, True, False, True, False, True, True])
    assert_array_equal(rows[[0, 2, 4]], doubled([1, 3, 4]))


def test_unreadable_rows_are_neither_kept_nor_counted(store):
    one_pass(Numbers([1, 2, 3], faults=[1]), store, keep_going=True).run()
    assert computed(store) == 2
    assert_array_equal(one_pass(Numbers([1, 2, 3]), store).run(), doubled([1, 2, 3]))


# What changes meanwhile --------------------------------------------------------------------


def test_what_a_changed_file_gives_is_not_kept(store):
    assert_array_equal(one_pass(Replaced([5, 6, 7], {1: 9}), store).run(), doubled([5, 9, 7]))
    source = Numbers([5, 6, 7])
    assert_array_equal(one_pass(source, store).run(), doubled([5, 6, 7]))
    assert source.loaded == [1]


@pytest.mark.parametrize("n_rows", [8, 1000])  # the last are looked at after the first are done
def test_what_a_changed_file_gives_is_not_shared(store, n_rows):
    values, done = [1, 2, 2, 3] * (n_rows // 4), []
    source = Replaced(values, {0: 7, 1: 8, 2: 9})
    rows = one_pass(source, store, advance=done.append).run()
    assert_array_equal(rows, doubled([7, 8, 9, 3, *values[4:]]))
    assert sorted(source.loaded) == [0, 1, 2, 3, 4, 5]
    assert sum(done) == n_rows


# When memory does not suffice --------------------------------------------------------------


class Cramped(Doubling):
    """Runs out of memory on more than `most_rows` rows, as the backend does."""

    def __init__(self, most_rows):
        super().__init__()
        self.most_rows = most_rows

    def __call__(self, block):
        if len(block) > self.most_rows:
            raise out_of_memory()
        return super().__call__(block)


@pytest.mark.parametrize("most_rows", [1, 2, 3])
def test_blocks_are_halved_with_one_warning_when_memory_does_not_suffice(cache, most_rows):
    run, values = Cramped(most_rows), list(range(1, 12))
    with pytest.warns(UserWarning, match="ran out of memory on a block of 4 rows") as warnings:
        rows = one_pass(Numbers(values), cache, run).run()
    assert_array_equal(rows, doubled(values))
    assert len(warnings) == 1
    assert max(len(block) for block in run.blocks) == (1 if most_rows == 1 else 2)


def test_rows_of_smaller_blocks_are_not_kept(store):
    """Their bits may be others than those of blocks of the usual size."""
    with pytest.warns(UserWarning, match="results of smaller blocks are not put into the cache"):
        one_pass(Numbers([1, 2, 3]), store, Cramped(2)).run()
    assert store.info().entries == 0
    run = Doubling()
    one_pass(Numbers([1, 2, 3]), store, run).run()
    assert run.blocks[0].ravel().tolist() == [1, 2, 3, 0]
    assert store.info().entries == 3


def test_a_row_for_which_memory_does_not_suffice_is_an_error(store):
    with pytest.warns(UserWarning), pytest.raises(type(out_of_memory())):
        one_pass(Numbers([1, 2, 3]), store, Cramped(0)).run()
    assert not is_anything_locked(store, [1, 2, 3])


# Who computes what -------------------------------------------------------------------------


def is_anything_locked(cache, values):
    """Ask from another thread, as another estimator would."""
    keys = [Numbers(values).digest(row) for row in range(len(values))]
    found = []

    def ask():
        with cache.lock(NAMESPACE, keys) as lock:
            found.append(not (lock.mine | cache.contains(NAMESPACE, keys)).all())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), MemoryError()])
@pytest.mark.parametrize("where", ["network", "reading", "digest", "progress"])
def test_all_locks_are_released_after_an_error(store, error, where):
    values = list(range(100))
    source = Numbers(values, error=error)
    source.faults = {9} if where == "reading" else set()
    source.unknown = {40} if where == "digest" else set()
    run = Doubling(error if where == "network" else None)

    def advance(n_rows):
        if where == "progress" and n_rows:
            raise error

    with pytest.raises(type(error)) as caught:
        one_pass(source, store, run, advance=advance).run()
    assert not is_anything_locked(store, values)
    assert caught.tb is not None  # frames that are still alive hold no lock either
    assert_array_equal(one_pass(Numbers(values), store).run(), doubled(values))


def test_rows_in_flight_are_dropped_after_an_interrupt(cache):
    """Ctrl-C does not wait for whole blocks, of 64 rows here."""
    run_rows, interrupted = [], threading.Event()
    first_ran, second_began = threading.Event(), threading.Event()

    class OneAfterAnother(Numbers):
        """Blocks share threads: without this wait, the second might be computed first."""

        def load(self, rows, out):
            if rows[0] >= 64:
                first_ran.wait(timeout=10)
            super().load(rows, out)

    def run(block):
        run_rows.append(len(block))
        if sum(run_rows) == 64:
            first_ran.set()
        elif sum(run_rows) > 64:
            second_began.set()
            interrupted.wait(timeout=10)
            time.sleep(0.1)
        return block.reshape(BLOCK_ROWS, 1)

    def advance(n_rows):
        if n_rows:
            second_began.wait(timeout=10)
            interrupted.set()
            raise KeyboardInterrupt

    source = OneAfterAnother(range(300), is_at_hand=True)
    with pytest.raises(KeyboardInterrupt):
        one_pass(source, cache, run, advance=advance, block_rows=64).run()
    assert 64 < sum(run_rows) < 128


def test_no_lock_is_left_after_a_pass(store):
    values = list(range(50))
    one_pass(Numbers(values), store).run()
    assert not is_anything_locked(store, values)


def test_threads_share_the_work(store):
    """Two passes over the same rows at a time compute each of them once."""
    values = list(range(120))
    results = {}

    def run(name, order):
        results[name] = one_pass(Numbers(order), store).run()

    threads = [threading.Thread(target=run, args=args) for args in ((0, values), (1, values[::-1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_array_equal(results[0], doubled(values))
    assert_array_equal(results[1], doubled(values[::-1]))
    assert computed(store) == 120


@pytest.mark.parametrize("gives_up", [False, True])
def test_rows_that_another_computes_are_waited_for(store, gives_up):
    """And computed here when the other gives up."""
    values = [1, 2, 3, 4, 5, 6]
    keys = [Numbers(values).digest(row) for row in (1, 4)]
    locked = threading.Event()

    def other():
        with store.lock(NAMESPACE, keys):
            locked.set()
            time.sleep(0.05)
            if not gives_up:
                store.put(NAMESPACE, keys, np.array([[-2], [-5]], np.float32))

    thread = threading.Thread(target=other)
    thread.start()
    locked.wait()
    run, done = Doubling(), []
    rows = one_pass(Numbers(values), store, run, advance=done.append).run()
    thread.join()
    expected = doubled(values)
    if not gives_up:
        expected[[1, 4]] = [[-2], [-5]]
    assert_array_equal(rows, expected)
    assert computed(store) == (6 if gives_up else 4)
    assert sum(done) == 6
