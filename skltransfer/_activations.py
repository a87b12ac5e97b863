"""One pass of pictures through a frozen part of the network, through the activation cache.

Pictures are decoded in threads while the network computes. Each distinct one is computed once: rows
that the cache has are not even decoded, and rows that another process computes are waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from skltransfer._activation_cache import ActivationCache, Claim, NullCache
from skltransfer.inputs import ImageReadError, PixelRule
from skltransfer.network._places import is_out_of_memory, warn_out_of_memory
from skltransfer.network.engines import FrozenPart

_ROWS_LOOKED_UP_TOGETHER = 32
_ROWS_READ_TOGETHER = 4

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass
class Block:
    """Rows that run through the network together, and the claim on them."""

    rows: list[int]
    claim: Claim
    pixels: np.ndarray


@dataclass
class Piece:
    """Rows of a block that one thread reads."""

    block: Block
    positions: range

    @property
    def is_last(self) -> bool:
        """Whether the block is complete with it."""
        return self.positions.stop >= len(self.block.rows)


@dataclass
class ActivationPass:
    """One pass; afterwards `failures` holds what could not be read.

    Attributes
    ----------
    source : ImageSource or RowSource
        The pictures.
    part : FrozenPart
        What is computed.
    rule : PixelRule
        How pictures are read.
    cache : ActivationCache or NullCache
        Where rows are looked up and kept.
    group : bytes
        Name of all that an activation depends on but the picture.
    segment : str
        Name under which the work is counted.
    n_threads : int
        Threads that read pictures.
    rows_in_flight : int
        Bound on the number of decoded pictures in memory, if two blocks fit in it.
    keep_going : bool
        Whether an unreadable picture gives a row of NaN instead of an error.
    advance : callable
        Told how many rows were done.
    failures : dict of int to ImageReadError
        The rows that could not be read.
    """

    source: Any
    part: FrozenPart
    rule: PixelRule
    cache: ActivationCache | NullCache
    group: bytes
    segment: str
    n_threads: int = 1
    rows_in_flight: int = 32
    keep_going: bool = False
    advance: Callable[[int], None] = lambda n_rows: None
    failures: dict[int, ImageReadError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_rows = len(self.source)
        self._keys: list[bytes | None] = [None] * n_rows
        self._first_of: dict[bytes, int] = {}
        self._copies: list[tuple[int, int]] = []
        self._held: list[Claim] = []
        self._running = self.part  # in smaller blocks after TensorFlow ran out of memory
        self._out = np.empty((n_rows, *self.part.output_shape), np.float32)

    def run(self) -> np.ndarray:
        """Compute the activations of all rows.

        Returns
        -------
        ndarray of shape (n, *part.output_shape), dtype float32
            NaN in the rows that could not be read.

        Raises
        ------
        ImageReadError
            For the first row that cannot be read, unless `keep_going`.
        """
        try:
            with _threads(self.n_threads) as pool:
                self._run(pool)
        finally:
            for claim in self._held:
                claim.release()
        self._fill_in_copies()
        self._out[list(self.failures)] = np.nan
        return self._out

    def _run(self, pool: ThreadPoolExecutor) -> None:
        claimed_by_others = self._compute(pool, self._missing(pool))
        while claimed_by_others:
            self.cache.wait(self.group, self._keys_of(claimed_by_others))
            still_missing = self._gather(claimed_by_others)
            claimed_by_others = self._compute(pool, still_missing)

    # What is there already -----------------------------------------------------------------

    def _missing(self, pool: ThreadPoolExecutor) -> Iterator[int]:
        """Rows to compute; the cache's are filled in, and contents seen before put off."""
        rows = range(len(self.source))
        if not self.cache.keeps_rows:
            yield from rows
            return
        stretches = (list(stretch) for stretch in _batched(rows, _ROWS_LOOKED_UP_TOGETHER))
        for stretch in _map_ahead(pool, self._identify, stretches, self.n_threads + 1):
            firsts = self._without_copies(stretch)
            missing = self._gather(firsts)
            self.advance(len(stretch) - len(firsts))
            yield from missing

    def _identify(self, rows: list[int]) -> list[int]:
        """Take the digests of some pictures; runs in a thread of its own."""
        for row in rows:
            try:
                self._keys[row] = self.source.digest(row)
            except ImageReadError as error:
                self._note_failure(row, error)
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

    def _compute(self, pool: ThreadPoolExecutor, rows: Iterable[int]) -> list[int]:
        """Compute what nobody else has claimed; return what others have."""
        claimed_by_others: list[int] = []
        pieces = self._pieces(self._claimed_blocks(rows, claimed_by_others))
        for piece in self._all_read(pool, pieces):
            if piece.is_last:
                self._finish(piece.block)
        return claimed_by_others

    def _claimed_blocks(self, rows: Iterable[int], claimed_by_others: list[int]) -> Iterator[Block]:
        for chunk in _batched(rows, self.part.block_rows):
            self._held.append(self.cache.claim(self.group, self._keys_of(chunk)))
            claim = self._held[-1]
            mine = [row for row, free in zip(chunk, claim.mine, strict=True) if free]
            claimed_by_others.extend(
                r for r, free in zip(chunk, claim.mine, strict=True) if not free
            )
            if mine:
                pixels = np.empty((len(mine), *self.part.input_shape), np.float32)
                yield Block(mine, claim, pixels)
            else:
                self._give_back(claim)

    def _pieces(self, blocks: Iterable[Block]) -> Iterator[Piece]:
        for block in blocks:
            for start in range(0, len(block.rows), _ROWS_READ_TOGETHER):
                stop = min(start + _ROWS_READ_TOGETHER, len(block.rows))
                yield Piece(block, range(start, stop))

    def _all_read(self, pool: ThreadPoolExecutor, pieces: Iterable[Piece]) -> Iterator[Piece]:
        if self.source.is_at_hand(self.rule):
            return map(self._read, pieces)  # threads would only disturb those of the network
        rows_ahead = max(self.rows_in_flight, 2 * self.part.block_rows)
        return _map_ahead(pool, self._read, pieces, rows_ahead // _ROWS_READ_TOGETHER - 1)

    def _read(self, piece: Piece) -> Piece:
        """Read a few pictures; may run in a thread of its own."""
        rows, pixels = piece.block.rows, piece.block.pixels
        for positions in [[p] for p in piece.positions] if self.keep_going else [piece.positions]:
            start, stop = positions[0], positions[-1] + 1
            try:
                self.source.load_block(rows[start:stop], self.rule, pixels[start:stop])
            except ImageReadError as error:
                pixels[start:stop] = 0
                self._note_failure(rows[start], error)
        return piece

    def _note_failure(self, row: int, error: ImageReadError) -> None:
        if not self.keep_going:
            raise error
        self.failures[row] = error

    def _finish(self, block: Block) -> None:
        """Run the network on a block and keep its rows."""
        activations = self._activations(block.pixels)
        readable = [i for i, row in enumerate(block.rows) if row not in self.failures]
        self.cache.count_work(self.segment, len(readable))
        self._out[block.rows] = activations
        if readable and self._running is self.part:
            keys = self._keys_of([block.rows[i] for i in readable])
            self.cache.put(self.group, keys, activations[readable])
        self._give_back(block.claim)
        self.advance(len(block.rows))

    def _activations(self, pixels: np.ndarray) -> np.ndarray:
        size = self._running.block_rows
        pieces = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        try:
            return np.concatenate([self._running(piece) for piece in pieces])
        except Exception as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        if self._running is self.part:
            warn_out_of_memory(size)
        self._running = self._running.halved()
        return self._activations(pixels)

    def _give_back(self, claim: Claim) -> None:
        claim.release()
        self._held.remove(claim)


@contextmanager
def _threads(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that begin nothing new once the caller fails or is interrupted."""
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="skltransfer")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _map_ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    n_ahead: int,
) -> Iterator[_Result]:
    """Results in the order of `items`, while threads work on the next `n_ahead`."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > n_ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items, the last one shorter; `itertools.batched` from Python 3.12 on."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
