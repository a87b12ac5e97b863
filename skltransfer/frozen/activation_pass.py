"""One pass of rows through a frozen part of the network, using the activation cache.

Each distinct row is computed once. If a row's activations are cached, the row is not even decoded.
If its activations at an earlier layer are cached, the computation starts there. If another thread
or process is computing a row, the pass waits for it.

A *plan* says where a computation starts: at X, or at cached activations of an earlier layer. A
*stretch* is a list of rows that are looked up in the cache together. A *chunk* is a list of rows
that have the same plan. The pass locks the rows of a chunk, except those that another thread or
process is computing. The locked rows form a *block*; they are read and computed together.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from skltransfer.frozen.pipeline import BLOCKS_TOGETHER, Block, Computed, Failures, Pipeline
from skltransfer.frozen.prefetcher import Prefetcher, thread_count
from skltransfer.inputs._input import Array, Rows, Source, TensorSpec, empty_rows, part_of
from skltransfer.inputs.errors import ReadError

if TYPE_CHECKING:
    from skltransfer.cache import ActivationCache, NullCache, RowLock
    from skltransfer.frozen.resume_plan import ResumePlan

_ROWS_LOOKED_UP_TOGETHER = 32
_MOST_ROWS_GATHERED = 512
_BYTES_GATHERED = 4 << 20

_WORTH_A_THREAD = 1e-3
"""Work that takes fewer seconds is not moved to a thread, because starting the thread and waiting
for it may take as long as the work itself."""

_Item = TypeVar("_Item")


class Observer:
    """Base class for objects that are told what a pass learns about rows.

    The methods of the base class do nothing.
    """

    def identified(self, row: int, digest: bytes) -> None:
        """Receive the digest of a row as it is stored in the source, before decoding.

        Called only if there is a cache.
        """

    def loaded(self, row: int, tensors: Rows) -> None:
        """Receive the tensors of a row."""

    def changed(self, row: int) -> None:
        """Receive a row whose file may have changed after its digest was computed."""


@dataclass
class ActivationPass:
    """One pass; afterwards `failures` holds the rows that could not be read.

    Attributes
    ----------
    source : Source
        The rows.
    find_plans : callable
        Returns all plans for computing rows: first the one with the least computation, last the one
        that starts at X. It is called once, the first time that a row has to be computed.
    output : TensorSpec
        Specification of a row of the result.
    block_rows : int
        Rows that are read, locked and computed together.
    cache : ActivationCache or NullCache
        Cache in which rows are looked up and stored.
    namespace : bytes
        Digest of everything that an activation depends on except the row.
    locks : bytes
        Namespace in which rows are locked. Passes that may compute the same activations, even if
        only as intermediate results, use the same namespace.
    n_jobs : int or None
        Number of threads that read rows; None is one for each core.
    rows_in_flight : int
        Maximum number of rows that have been read and are still in memory. If three blocks have
        more rows than this, the maximum is three blocks.
    keep_going : bool
        Whether an unreadable row gives NaN instead of an error.
    advance : callable
        Called with the number of further rows that are done.
    observer : Observer
        Receives digests and tensors.
    failures : Failures
        The rows that could not be read.
    computed : Counter of str
        Number of rows computed from each starting point.
    """

    source: Source
    find_plans: Callable[[], Sequence[ResumePlan]]
    output: TensorSpec
    block_rows: int
    cache: ActivationCache | NullCache
    namespace: bytes
    locks: bytes
    n_jobs: int | None = 1
    rows_in_flight: int = 32
    keep_going: bool = False
    advance: Callable[[int], None] = lambda n_rows: None
    observer: Observer = field(default_factory=Observer)
    failures: Failures = field(init=False)
    computed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        n_rows = len(self.source)
        self._keys: list[bytes | None] = [None] * n_rows
        self._first_of: dict[bytes, int] = {}
        self._copies: list[tuple[int, int]] = []
        self._changed: set[int] = set()
        self._held: list[RowLock] = []
        self._put_off: list[int] = []
        self.failures = Failures(self.keep_going)
        self._out = self.output.empty(n_rows)

    def run(self) -> Array:
        """Compute the activations of all rows.

        Returns
        -------
        ndarray of shape (n, ...)
            Rows that could not be read are NaN.

        Raises
        ------
        ReadError
            For the first row that cannot be read, unless `keep_going`.
        """
        with self._threads() as readers:
            chunks = Chunks(self._pipeline.sizes())
            stretches: Iterable[list[int]] = self._stretches(readers)
            while stretches:
                for stretch in stretches:
                    filled = chunks.filled(self._look_up(stretch), self._numbers_of_plans)
                    for block in self._blocks(filled):
                        self._finish_all(self._pipeline.feed(block))
                for block in self._blocks(chunks.rest()):
                    self._finish_all(self._pipeline.feed(block))
                self._finish_all(self._pipeline.drain())
                stretches = self._waited_for()
        self._fill_in_copies()
        for row in self.failures:
            self._out[row] = self.output.missing()
        return self._out

    @contextmanager
    def _threads(self) -> Iterator[Prefetcher]:
        """Start the reading threads and the pipeline; after an error, finish blocks in progress."""
        readers = Prefetcher(partial(thread_count, self.n_jobs))
        runners = Prefetcher(lambda: BLOCKS_TOGETHER)
        self._pipeline = Pipeline(
            source=self.source,
            block_rows=self.block_rows,
            rows_in_flight=self.rows_in_flight,
            failures=self.failures,
            loaded=self._loaded,
            readers=readers,
            runners=runners,
        )
        try:
            with readers, runners:
                try:
                    yield readers
                except Exception:
                    self._finish_all(self._pipeline.drain())
                    raise
        finally:
            del self._pipeline  # it refers to this pass, which holds all rows of the result
            for lock in self._held:
                lock.release()

    @cached_property
    def _plans(self) -> Sequence[ResumePlan]:
        return self.find_plans()

    # Lookup --------------------------------------------------------------------------------

    def _stretches(self, readers: Prefetcher) -> Iterator[list[int]]:
        """Yield lists of rows to look up together; with a cache, compute their digests first."""
        stretches = _batched(range(len(self.source)), _ROWS_LOOKED_UP_TOGETHER)
        if not self.cache.keeps_rows:
            return stretches
        identified = chain.from_iterable(self._identified(readers, stretches))
        return _batched(identified, self._rows_gathered())

    def _rows_gathered(self) -> int:
        """Return how many rows are looked up at a time: many if they are small, few if large."""
        row_bytes = max(1, self._out[:1].nbytes)
        return max(_ROWS_LOOKED_UP_TOGETHER, min(_BYTES_GATHERED // row_bytes, _MOST_ROWS_GATHERED))

    def _identified(
        self, threads: Prefetcher, stretches: Iterator[list[int]]
    ) -> Iterator[list[int]]:
        """Compute the digests of each stretch, and yield the stretch.

        After the first slow stretch, the digests of later stretches are computed in threads.
        """
        for stretch in stretches:
            began = time.perf_counter()
            self._identify(stretch)
            is_slow = time.perf_counter() - began > _WORTH_A_THREAD
            yield stretch
            if is_slow:
                break
        yield from threads.map_ahead(self._identify, stretches)

    def _identify(self, rows: list[int]) -> list[int]:
        """Compute the digests of `rows`; may run in a thread of its own."""
        for row in rows:
            try:
                self._keys[row] = digest = self.source.digest(row)
                self.observer.identified(row, digest)
            except ReadError as error:
                self.failures.note(row, error)
        return rows

    def _look_up(self, stretch: list[int]) -> list[int]:
        """Fill in cached rows, and skip copies of earlier rows; return the rows to compute."""
        if not self.cache.keeps_rows:
            return stretch
        rows = self._without_copies(stretch)
        keys = self._keys_of(rows)
        if rows == list(range(len(self._out))):  # the usual case: gather into the result itself
            found = self.cache.gather(self.namespace, keys, self._out)
        else:
            held = self.output.empty(len(rows))
            found = self.cache.gather(self.namespace, keys, held)
            self._out[np.asarray(rows, dtype=np.intp)[found]] = held[found]
        self.advance(len(stretch) - len(rows) + int(np.count_nonzero(found)))
        return [row for row, hit in zip(rows, found, strict=True) if not hit]

    def _without_copies(self, rows: list[int]) -> list[int]:
        """Drop unreadable rows, and *copies*: rows with the same content as an earlier row."""
        firsts = []
        for row in rows:
            key = self._keys[row]
            if key is None:
                continue
            first = self._first_of.setdefault(key, row)
            if first == row:
                firsts.append(row)
            else:
                self._copies.append((row, first))
        return firsts

    def _fill_in_copies(self) -> None:
        for row, first in self._copies:
            self._out[row] = self._out[first]
            if first in self.failures:
                self.failures[row] = self.failures[first]

    def _keys_of(self, rows: Sequence[int]) -> list[bytes]:
        return [self._keys[row] or b"" for row in rows]

    def _waited_for(self) -> list[list[int]]:
        """Return postponed rows, once the threads or processes that compute them are done."""
        rows, self._put_off = self._put_off, []
        if rows:
            self.cache.wait(self.locks, self._keys_of(rows))
        return [rows] if rows else []

    # Computation ---------------------------------------------------------------------------

    def _numbers_of_plans(self, rows: list[int]) -> list[int]:
        """Return for each row the number of the shortest plan whose start is cached."""
        last = len(self._plans) - 1
        numbers = np.full(len(rows), last)
        if self.cache.keeps_rows:
            for number, plan in enumerate(self._plans[:last]):
                assert plan.start is not None
                open_ones = np.flatnonzero(numbers == last)
                keys = self._keys_of([rows[i] for i in open_ones])
                numbers[open_ones[self.cache.contains(plan.start, keys)]] = number
        return [int(number) for number in numbers]

    def _blocks(self, chunks: Iterable[tuple[int, list[int]]]) -> Iterator[Block]:
        """Yield locked blocks of rows that this pass computes; the other rows are postponed."""
        for number, chunk in chunks:
            lock = self.cache.lock(self.locks, self._keys_of(chunk))
            self._held.append(lock)
            block = self._block(number, chunk, lock)
            self._put_off.extend(sorted(set(chunk) - set(block.rows)))
            if block.rows:
                yield block
            else:
                self._give_back(lock)

    def _block(self, number: int, chunk: list[int], lock: RowLock) -> Block:
        """Return the rows of `chunk` that this pass computes, with the plan chosen for them."""
        plan = self._plans[number]
        rows = [row for row, is_mine in zip(chunk, lock.mine, strict=True) if is_mine]
        if self.cache.keeps_rows:
            held = self.cache.contains(self.namespace, self._keys_of(rows))
            now = self._numbers_of_plans(rows)
            rows = [row for row, h, n in zip(rows, held, now, strict=True) if not h and n == number]
        inputs = empty_rows(plan.part().row_spec, len(rows))
        if plan.start is not None:
            found = self.cache.gather(plan.start, self._keys_of(rows), inputs[0])
            rows = [row for row, hit in zip(rows, found, strict=True) if hit]
            inputs = part_of(inputs, np.flatnonzero(found))
        return Block(rows, lock, plan, inputs)

    def _finish_all(self, computed: Iterable[Computed]) -> None:
        for one in computed:
            self._finish(*one)
            del one  # frees its memory while the loop waits for the next block

    def _finish(self, block: Block, outputs: list[Array]) -> None:
        """Take the results of a block, and cache them.

        A row is not cached if its file has changed since it was identified. After memory has run
        out, fewer rows are computed together, which may change bits; so no row is cached any more.
        """
        activations, *passing = outputs
        self._out[block.rows] = activations
        readable = [i for i, row in enumerate(block.rows) if row not in self.failures]
        if readable:
            self._count(block.plan, len(readable))
        known = [i for i in readable if block.rows[i] not in self._changed]
        if known and self._pipeline.at_most is None:
            keys = self._keys_of([block.rows[i] for i in known])
            for index, rows in zip(block.kept, passing, strict=True):
                self.cache.put(block.plan.kept[index] or b"", keys, rows[known])
            self.cache.put(self.namespace, keys, activations[known])
        self._give_back(block.lock)
        self.advance(len(block.rows))
        self._put_off.extend(self._orphans(block))

    def _loaded(self, row: int, tensors: Rows) -> None:
        """Record that a row was read; may run in a thread of its own.

        A file may have been replaced since its digest was taken. If this were not recorded, the
        activations of the new file would be cached under the digest of the old one.
        """
        key = self._keys[row]
        if key is not None and not self.source.still_has(row, key):
            self._changed.add(row)
            self.observer.changed(row)
        self.observer.loaded(row, tensors)

    def _orphans(self, block: Block) -> list[int]:
        """Return the copies that were skipped because of a row whose file has since changed.

        These copies must now be computed themselves; if several have the same content, only the
        first.
        """
        changed = self._changed.intersection(block.rows)
        if not changed:
            return []
        orphans = [row for row, first in self._copies if first in changed]
        self._copies = [pair for pair in self._copies if pair[1] not in changed]
        for key in self._keys_of(list(changed)):
            del self._first_of[key]
        again = self._without_copies(orphans)
        self.advance(-len(again))  # as copies, they were counted as done
        return again

    def _count(self, plan: ResumePlan, n_rows: int) -> None:
        self.computed[plan.name] += n_rows
        for segment in plan.segments:
            self.cache.count_work(segment, n_rows)

    def _give_back(self, lock: RowLock) -> None:
        lock.release()
        self._held.remove(lock)


class Chunks:
    """Collects rows into chunks of rows that have the same plan.

    Parameters
    ----------
    sizes : iterator of int
        Sizes of the successive chunks.
    """

    def __init__(self, sizes: Iterator[int]) -> None:
        self._sizes = sizes
        self._size = next(sizes)
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)

    def filled(
        self, rows: list[int], numbers_of: Callable[[list[int]], list[int]]
    ) -> Iterator[tuple[int, list[int]]]:
        """Take more rows; yield each full chunk with the number of its plan.

        `numbers_of` maps rows to the numbers of their plans.
        """
        for some in _batched(rows, _ROWS_LOOKED_UP_TOGETHER):
            for row, number in zip(some, numbers_of(some), strict=True):
                self._waiting[number].append(row)
                if len(self._waiting[number]) >= self._size:
                    yield number, self._waiting.pop(number)
                    self._size = next(self._sizes)

    def rest(self) -> list[tuple[int, list[int]]]:
        """Return the remaining rows, as chunks that are not full."""
        left, self._waiting = sorted(self._waiting.items()), defaultdict(list)
        return left


def _batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield lists of `size` items, the last one shorter, like Python 3.12's `itertools.batched`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
