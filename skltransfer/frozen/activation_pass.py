"""One pass of pictures through a frozen part of the network, through the activation cache.

Each distinct picture is computed once: rows that the cache has are not even decoded, rows that it
has of an earlier layer are computed from there, and rows that another process computes are waited
for.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from skltransfer.cache import ActivationCache, Claim, NullCache
from skltransfer.frozen.pipeline import BLOCKS_TOGETHER, Block, Failures, Pipeline
from skltransfer.frozen.prefetching import ThreadsAhead, thread_count
from skltransfer.frozen.resume import Way
from skltransfer.inputs import ImageReadError, PixelRule

_ROWS_LOOKED_UP_TOGETHER = 32
_MOST_ROWS_GATHERED = 512
_BYTES_GATHERED = 4 << 20

_WORTH_A_THREAD = 1e-3
"""Seconds; to hand work to a thread and wait for it may cost as much."""

_Item = TypeVar("_Item")


class Observer:
    """Told what a pass learns of each row, perhaps by several threads; this one takes no notice."""

    def identified(self, row: int, digest: bytes) -> None:
        """Take note of the digest of what is stored; only where there is a cache."""

    def decoded(self, row: int, pixels: np.ndarray) -> None:
        """Take note of the pixels."""

    def changed(self, row: int) -> None:
        """Take note that the pixels may be of another file than the digest."""


@dataclass
class ActivationPass:
    """One pass; afterwards `failures` holds what could not be read.

    Attributes
    ----------
    source : ImageSource or RowSource
        The pictures.
    find_ways : callable
        Gives all ways by which rows can be computed: the shortest first, that from pixels last.
        Called when the first row is missing.
    output_shape : tuple of int
        Shape of a row.
    block_rows : int
        Rows that are read, claimed and computed together.
    rule : PixelRule
        How pictures are read.
    cache : ActivationCache or NullCache
        Where rows are looked up and kept.
    group : bytes
        Name of all that an activation depends on but the picture.
    claims : bytes
        Name under which rows are claimed: that of all activations computed along the same ways.
    n_jobs : int or None
        Threads that read pictures; None: one for each core.
    rows_in_flight : int
        Bound on the number of decoded pictures in memory, if three blocks fit in it.
    keep_going : bool
        Whether an unreadable picture gives a row of NaN instead of an error.
    advance : callable
        Told how many rows were done.
    observer : Observer
        Told digests and pixels.
    failures : Failures
        The rows that could not be read.
    computed : Counter of str
        How many rows were computed from where.
    """

    source: Any
    find_ways: Callable[[], Sequence[Way]]
    output_shape: tuple[int, ...]
    block_rows: int
    rule: PixelRule
    cache: ActivationCache | NullCache
    group: bytes
    claims: bytes
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
        self._held: list[Claim] = []
        self.failures = Failures(self.keep_going)
        self._out = np.empty((n_rows, *self.output_shape), np.float32)

    def run(self) -> np.ndarray:
        """Compute the activations of all rows.

        Returns
        -------
        ndarray of shape (n, *output_shape), dtype float32
            NaN in the rows that could not be read.

        Raises
        ------
        ImageReadError
            For the first row that cannot be read, unless `keep_going`.
        """
        try:
            with (
                ThreadsAhead(partial(thread_count, self.n_jobs)) as readers,
                ThreadsAhead(lambda: BLOCKS_TOGETHER) as runners,
            ):
                self._run(readers, runners)
        finally:
            for claim in self._held:
                claim.release()
        self._fill_in_copies()
        self._out[list(self.failures)] = np.nan
        return self._out

    def _run(self, readers: ThreadsAhead, runners: ThreadsAhead) -> None:
        put_off = self._compute(readers, runners, self._missing(readers))
        while put_off:
            self.cache.wait(self.claims, self._keys_of(put_off))
            put_off = self._compute(readers, runners, self._gather(put_off))

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(
            source=self.source,
            rule=self.rule,
            block_rows=self.block_rows,
            rows_in_flight=self.rows_in_flight,
            failures=self.failures,
            decoded=self._decoded,
        )

    @cached_property
    def _ways(self) -> Sequence[Way]:
        return self.find_ways()

    # What is there already -----------------------------------------------------------------

    def _missing(self, threads: ThreadsAhead) -> Iterator[int]:
        """Rows to compute; the cache's are filled in, and contents seen before put off."""
        rows = range(len(self.source))
        if not self.cache.keeps_rows:
            yield from rows
            return
        identified = self._identified(threads, _batched(rows, _ROWS_LOOKED_UP_TOGETHER))
        for stretch in _batched(chain.from_iterable(identified), self._rows_gathered()):
            firsts = self._without_copies(stretch)
            missing = self._gather(firsts)
            self.advance(len(stretch) - len(firsts))
            yield from missing

    def _rows_gathered(self) -> int:
        """Rows that are looked up at a time: many small ones, few large ones."""
        row_bytes = max(1, self._out[:1].nbytes)
        return max(_ROWS_LOOKED_UP_TOGETHER, min(_BYTES_GATHERED // row_bytes, _MOST_ROWS_GATHERED))

    def _identified(
        self, threads: ThreadsAhead, stretches: Iterator[list[int]]
    ) -> Iterator[list[int]]:
        """Rows with their digests; threads take them as soon as some take long."""
        for stretch in stretches:
            began = time.perf_counter()
            self._identify(stretch)
            is_slow = time.perf_counter() - began > _WORTH_A_THREAD
            yield stretch
            if is_slow:
                break
        yield from threads.map_ahead(self._identify, stretches)

    def _identify(self, rows: list[int]) -> list[int]:
        """Take the digests of some pictures; may run in a thread of its own."""
        for row in rows:
            try:
                self._keys[row] = digest = self.source.digest(row)
                self.observer.identified(row, digest)
            except ImageReadError as error:
                self.failures.note(row, error)
        return rows

    def _without_copies(self, rows: list[int]) -> list[int]:
        """Drop unreadable rows and those with the content of an earlier one."""
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

    def _gather(self, rows: list[int]) -> list[int]:
        """Fill in what the cache has; return the rows that are still to be computed."""
        if rows == list(range(len(self._out))):  # as usual: without a second copy
            found = self.cache.gather(self.group, self._keys_of(rows), self._out)
        else:
            held = np.empty((len(rows), *self._out.shape[1:]), self._out.dtype)
            found = self.cache.gather(self.group, self._keys_of(rows), held)
            self._out[np.asarray(rows, dtype=np.intp)[found]] = held[found]
        self.advance(int(np.count_nonzero(found)))
        return [row for row, hit in zip(rows, found, strict=True) if not hit]

    def _fill_in_copies(self) -> None:
        for row, first in self._copies:
            self._out[row] = self._out[first]
            if first in self.failures:
                self.failures[row] = self.failures[first]

    def _keys_of(self, rows: Sequence[int]) -> list[bytes | None]:
        return [self._keys[row] for row in rows]

    # What is computed ----------------------------------------------------------------------

    def _compute(
        self, readers: ThreadsAhead, runners: ThreadsAhead, rows: Iterable[int]
    ) -> list[int]:
        """Compute what can be computed now; return the rows to look at again.

        These are being computed by others, or have been since somebody looked.
        """
        put_off: list[int] = []
        blocks = self._claimed_blocks(rows, put_off)
        for block, outputs in self._pipeline.run(blocks, readers, runners):
            self._finish(block, outputs)
            put_off.extend(self._orphans(block))
            del block, outputs  # or they stay in memory while the next ones are waited for
        return put_off

    def _claimed_blocks(self, rows: Iterable[int], put_off: list[int]) -> Iterator[Block]:
        for number, chunk in self._chunks(rows):
            self._held.append(self.cache.claim(self.claims, self._keys_of(chunk)))
            claim = self._held[-1]
            block = self._block(number, chunk, claim)
            put_off.extend(sorted(set(chunk) - set(block.rows)))
            if block.rows:
                yield block
            else:
                self._give_back(claim)

    def _chunks(self, rows: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
        """Rows that go the same way, by its number, as many together as a block takes."""
        waiting: defaultdict[int, list[int]] = defaultdict(list)
        sizes = self._pipeline.sizes()
        size = next(sizes)
        for stretch in _batched(rows, _ROWS_LOOKED_UP_TOGETHER):
            for row, number in zip(stretch, self._numbers_of_ways(stretch), strict=True):
                waiting[number].append(row)
                if len(waiting[number]) >= size:
                    yield number, waiting[number]
                    waiting[number] = []
                    size = next(sizes)
        yield from ((number, chunk) for number, chunk in sorted(waiting.items()) if chunk)

    def _numbers_of_ways(self, rows: list[int]) -> list[int]:
        """For each row the shortest way whose start the cache has."""
        last = len(self._ways) - 1
        numbers = np.full(len(rows), last)
        if self.cache.keeps_rows:
            for number, way in enumerate(self._ways[:last]):
                open_ones = np.flatnonzero(numbers == last)
                held = self.cache.contains(way.start, self._keys_of([rows[i] for i in open_ones]))
                numbers[open_ones[held]] = number
        return numbers.tolist()

    def _block(self, number: int, chunk: list[int], claim: Claim) -> Block:
        """Of `chunk` what is this pass's to compute, along the way that was chosen for it."""
        way = self._ways[number]
        rows = [row for row, is_mine in zip(chunk, claim.mine, strict=True) if is_mine]
        if self.cache.keeps_rows:
            held = self.cache.contains(self.group, self._keys_of(rows))
            now = self._numbers_of_ways(rows)
            rows = [row for row, h, n in zip(rows, held, now, strict=True) if not h and n == number]
        inputs = np.empty((len(rows), *way.part().input_shape), np.float32)
        if way.start is not None:
            found = self.cache.gather(way.start, self._keys_of(rows), inputs)
            rows = [row for row, hit in zip(rows, found, strict=True) if hit]
            inputs = inputs[np.flatnonzero(found)]
        return Block(rows, claim, way, inputs)

    def _finish(self, block: Block, outputs: list[np.ndarray]) -> None:
        """Keep the rows of a block, unless fewer of them ran together than usual.

        Rows of files that have changed since they were identified are handed out, and not kept.
        """
        activations, *passing = outputs
        self._out[block.rows] = activations
        readable = [i for i, row in enumerate(block.rows) if row not in self.failures]
        if readable:
            self._count(block.way, len(readable))
        known = [i for i in readable if block.rows[i] not in self._changed]
        if known and self._pipeline.at_most is None:
            keys = self._keys_of([block.rows[i] for i in known])
            for index, rows in zip(block.kept, passing, strict=True):
                self.cache.put(block.way.kept[index], keys, rows[known])
            self.cache.put(self.group, keys, activations[known])
        self._give_back(block.claim)
        self.advance(len(block.rows))

    def _decoded(self, row: int, pixels: np.ndarray) -> None:
        """Take note of a picture; may run in a thread of its own.

        A file may have been replaced since its digest was taken, and what is computed of it would
        be kept as that of the old one.
        """
        key = self._keys[row]
        if key is not None and not self.source.still_has(row, key):
            self._changed.add(row)
            self.observer.changed(row)
        self.observer.decoded(row, pixels)

    def _orphans(self, block: Block) -> list[int]:
        """Rows to compute by themselves, as the file that had their content has another now."""
        changed = self._changed.intersection(block.rows)
        if not changed:
            return []
        orphans = [row for row, first in self._copies if first in changed]
        self._copies = [pair for pair in self._copies if pair[1] not in changed]
        for key in self._keys_of(list(changed)):
            del self._first_of[key]
        again = self._without_copies(orphans)
        self.advance(-len(again))  # as copies they counted as done
        return again

    def _count(self, way: Way, n_rows: int) -> None:
        self.computed[way.name] += n_rows
        for segment in way.segments:
            self.cache.count_work(segment, n_rows)

    def _give_back(self, claim: Claim) -> None:
        claim.release()
        self._held.remove(claim)


def _batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items, the last one shorter; `itertools.batched` from Python 3.12 on."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
