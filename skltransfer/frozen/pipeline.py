"""Blocks of rows on their way through a network: read ahead, and computed concurrently.

A *block* is a list of rows that are read, locked and passed to the network together. Threads read
rows while the network computes. No core waits for the last row of a block, because the next block
is being computed already. Blocks come out in the order in which they went in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from skltransfer.backend import is_out_of_memory
from skltransfer.frozen.prefetcher import Prefetcher, done_now
from skltransfer.inputs._input import Array, Rows, Source, chunks, part_of
from skltransfer.inputs.errors import ReadError
from skltransfer.network.batch_invariance import always, most_block_rows, warn_out_of_memory

if TYPE_CHECKING:
    from skltransfer.cache import RowLock
    from skltransfer.frozen.resume_plan import ResumePlan

BLOCKS_TOGETHER = 2

_ROWS_READ_TOGETHER = 4


@dataclass
class Block:
    """Rows that are passed to the network together, with their lock.

    Attributes
    ----------
    rows : list of int
        Positions in the source.
    lock : RowLock
        The lock on these rows, and perhaps on others.
    plan : ResumePlan
        The plan for computing these rows.
    inputs : tuple of ndarray
        Input of the computation: cached activations, or the tensors that the pipeline reads.
    together : int
        Number of rows that the backend computed together when the block ran.
    """

    rows: list[int]
    lock: RowLock
    plan: ResumePlan
    inputs: Rows
    together: int = 0

    @property
    def kept(self) -> list[int]:
        """Positions of the cache points where activations are cached.

        They are counted among the cache points that the plan passes.
        """
        return [index for index, namespace in enumerate(self.plan.kept) if namespace is not None]


Computed: TypeAlias = tuple[Block, list[Array]]
"""A block with its results: the activations of its rows, then those at the points `Block.kept`."""


@dataclass
class ReadTask:
    """Rows of a block that one thread reads."""

    block: Block
    positions: range

    @property
    def is_last(self) -> bool:
        """Whether these are the last rows of the block."""
        return self.positions.stop >= len(self.block.rows)


class Failures(dict[int, ReadError]):
    """The errors of rows that cannot be read; unless `keep_going`, the first error is raised.

    Parameters
    ----------
    keep_going : bool
        Whether to record such rows instead of raising their errors.
    """

    def __init__(self, keep_going: bool) -> None:
        super().__init__()
        self.keep_going = keep_going

    def note(self, row: int, error: ReadError) -> None:
        """Record a row, or raise its error."""
        if not self.keep_going:
            raise error
        self[row] = error


class Loaded(Protocol):
    """Called with each row's position and tensors, perhaps by several threads."""

    def __call__(self, row: int, tensors: Rows) -> None:
        """Receive a row."""
        ...


@dataclass
class Pipeline:
    """Reads and computes the blocks of one pass.

    Attributes
    ----------
    source : Source
        The rows.
    block_rows : int
        Rows of the largest blocks.
    rows_in_flight : int
        Maximum number of rows that have been read and are still in memory. If three blocks have
        more rows than this, the maximum is three blocks.
    failures : Failures
        Collects rows that cannot be read.
    loaded : callable
        See `Loaded`.
    readers, runners : Prefetcher
        Threads that read, and `BLOCKS_TOGETHER` threads that run blocks through the network.
    at_most : int or None
        Maximum number of rows that run together after memory ran out; None before that.
    """

    source: Source
    block_rows: int
    rows_in_flight: int
    failures: Failures
    loaded: Loaded
    readers: Prefetcher
    runners: Prefetcher
    at_most: int | None = None
    _reading: deque[Future[ReadTask]] = field(default_factory=deque)
    _running: deque[Future[tuple[Block, list[Array] | None]]] = field(default_factory=deque)

    def sizes(self) -> Iterator[int]:
        """Yield the numbers of rows of successive blocks.

        If rows take time to read, the first blocks are small, because the network waits for them.
        """
        few = max(_ROWS_READ_TOGETHER, most_block_rows())
        size = self.block_rows if self.source.is_at_hand else min(few, self.block_rows)
        while True:
            yield size
            size = min(2 * size, self.block_rows)

    def feed(self, block: Block) -> Iterator[Computed]:
        """Start one more block; to make room for it, wait for earlier blocks and yield them."""
        for part in chunks(len(block.rows), _ROWS_READ_TOGETHER):
            task = ReadTask(block, range(part.start, part.stop))
            self._reading.append(self._begin_to_read(task))
            while len(self._reading) > self._tasks_ahead:
                yield from self._move_on()

    def drain(self) -> Iterator[Computed]:
        """Wait for all blocks that were started, and yield them."""
        while self._reading:
            yield from self._move_on()
        while self._running:
            yield self._take()

    def _move_on(self) -> Iterator[Computed]:
        """Wait for the oldest read task; if it completes its block, run the block."""
        try:
            task = self._reading.popleft().result()
        except Exception:
            self._reading.clear()  # not needed any more, unlike the blocks that are running
            raise
        if task.is_last:
            self._running.append(self._begin_to_run(task.block))
            del task  # frees its memory before waiting for other blocks
            if len(self._running) >= BLOCKS_TOGETHER:
                yield self._take()

    # Reading -------------------------------------------------------------------------------

    @property
    def _tasks_ahead(self) -> int:
        if self.source.is_at_hand:
            return 0
        rows_ahead = max(self.rows_in_flight - BLOCKS_TOGETHER * self.block_rows, self.block_rows)
        return rows_ahead // _ROWS_READ_TOGETHER - 1

    def _begin_to_read(self, task: ReadTask) -> Future[ReadTask]:
        # If rows are in memory already, reading threads would only disturb the network's threads.
        begin = done_now if self.source.is_at_hand else self.readers.submit
        return begin(self._read, task)

    def _read(self, task: ReadTask) -> ReadTask:
        """Read a few rows; may run in a thread of its own."""
        if task.block.plan.start is not None:
            return task
        positions = task.positions
        for some in [[p] for p in positions] if self.failures.keep_going else [positions]:
            self._load(task.block, range(some[0], some[-1] + 1))
        return task

    def _load(self, block: Block, positions: range) -> None:
        rows, inputs = block.rows, part_of(block.inputs, slice(positions.start, positions.stop))
        try:
            self.source.load(rows[positions.start : positions.stop], inputs)
        except ReadError as error:
            for tensor, array in zip(block.plan.part().row_spec, inputs, strict=True):
                for place in range(len(array)):
                    array[place] = tensor.blank()
            self.failures.note(rows[positions.start], error)
            return
        for place, position in enumerate(positions):
            self.loaded(rows[position], tuple(array[place] for array in inputs))

    # Computing -----------------------------------------------------------------------------

    def _begin_to_run(self, block: Block) -> Future[tuple[Block, list[Array] | None]]:
        if len(self.source) <= _ROWS_READ_TOGETHER:
            return done_now(self._attempt, block)  # too few rows to be worth a thread
        attempt = partial(self._attempt, is_wanted=lambda: self.runners.are_wanted)
        return self.runners.submit(attempt, block)

    def _attempt(
        self, block: Block, is_wanted: Callable[[], bool] = always
    ) -> tuple[Block, list[Array] | None]:
        """Run the network on a block; return it with its results, or with None if memory runs out.

        May run in a thread of its own.
        """
        run = block.plan.part().run
        block.together = self.at_most or run.n_rows
        chosen = (0, *(1 + index for index in block.kept))
        try:
            fitting = run.at_most(block.together)
            return block, fitting(block.inputs, chosen=chosen, is_wanted=is_wanted)
        except Exception as error:
            if block.together == 1 or not is_out_of_memory(error):
                raise
            return block, None

    def _take(self) -> Computed:
        """Wait for the block that was started first.

        A block that did not fit into memory is computed again here, with fewer rows together. This
        limit then applies to all later blocks.
        """
        try:
            block, outputs = self._running.popleft().result()
            while outputs is None:
                if self.at_most is None:
                    warn_out_of_memory(block.together)
                self.at_most = min(block.together // 2, self.at_most or block.together)
                _, outputs = self._attempt(block)
        except Exception:
            self._running.clear()
            self._reading.clear()
            raise
        return block, outputs
