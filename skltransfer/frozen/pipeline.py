"""Blocks of rows on their way through a network: read ahead, and computed two at a time.

Pictures are read in threads while the network computes, and no core waits for the last row of a
block, since the next one is being computed already. Blocks come out in the order they came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skltransfer.backend import is_out_of_memory
from skltransfer.cache import Claim
from skltransfer.frozen.prefetching import ThreadsAhead
from skltransfer.frozen.resume import Way
from skltransfer.inputs import ImageReadError, PixelRule
from skltransfer.network.batch_invariance import always, most_block_rows, warn_out_of_memory

BLOCKS_TOGETHER = 2

_ROWS_READ_TOGETHER = 4


@dataclass
class Block:
    """Rows that run through the network together, and the claim on them.

    Attributes
    ----------
    rows : list of int
        Positions in the source.
    claim : Claim
        The claim on these rows and perhaps more.
    way : Way
        How they are computed.
    inputs : ndarray of shape (n, ...), dtype float32
        What they are computed from; filled in by the pipeline where they start as pixels.
    together : int
        How many of them the backend was asked to compute together.
    """

    rows: list[int]
    claim: Claim
    way: Way
    inputs: np.ndarray
    together: int = 0

    @property
    def kept(self) -> list[int]:
        """Which of the results that pass on the way are kept."""
        return [index for index, group in enumerate(self.way.kept) if group is not None]


@dataclass
class Piece:
    """Rows of a block that one thread reads."""

    block: Block
    positions: range

    @property
    def is_last(self) -> bool:
        """Whether the block is complete with it."""
        return self.positions.stop >= len(self.block.rows)


class Failures(dict[int, ImageReadError]):
    """The rows that cannot be read, or an error at the first.

    Parameters
    ----------
    keep_going : bool
        Whether they are noted.
    """

    def __init__(self, keep_going: bool) -> None:
        super().__init__()
        self.keep_going = keep_going

    def note(self, row: int, error: ImageReadError) -> None:
        """Take note of a row, or raise its error."""
        if not self.keep_going:
            raise error
        self[row] = error


@dataclass
class Pipeline:
    """What reads and computes the blocks of one pass.

    Attributes
    ----------
    source : ImageSource or RowSource
        The pictures.
    rule : PixelRule
        How they are read.
    block_rows : int
        Rows of the largest blocks.
    rows_in_flight : int
        Bound on the number of decoded pictures in memory, if three blocks fit in it.
    failures : Failures
        Told of rows that cannot be read.
    decoded : callable
        Told each row's position and pixels, perhaps by several threads.
    at_most : int or None
        Rows that run together since the backend ran out of memory; None: it did not.
    """

    source: Any
    rule: PixelRule
    block_rows: int
    rows_in_flight: int
    failures: Failures
    decoded: Callable[[int, np.ndarray], None]
    at_most: int | None = None

    def sizes(self) -> Iterator[int]:
        """Rows that blocks are to have in turn.

        Of pictures that must be decoded the first are few, as the network waits for them.
        """
        few = max(_ROWS_READ_TOGETHER, most_block_rows())
        size = self.block_rows if self._is_at_hand else min(few, self.block_rows)
        while True:
            yield size
            size = min(2 * size, self.block_rows)

    def run(
        self, blocks: Iterable[Block], readers: ThreadsAhead, runners: ThreadsAhead
    ) -> Iterator[tuple[Block, list[np.ndarray]]]:
        """Compute all blocks.

        Parameters
        ----------
        blocks : iterable of Block
            Asked for one when there is room to read it.
        readers, runners : ThreadsAhead
            Threads that read, and `BLOCKS_TOGETHER` that hand blocks to the network.

        Yields
        ------
        block : Block
            As it came.
        outputs : list of ndarray
            The activations, and those that pass on the way and are kept.
        """
        pieces = self._all_read(readers, _pieces(blocks))
        complete = (piece.block for piece in pieces if piece.is_last)
        # No frame holds a block while the next ones are waited for.
        return map(self._completed, self._all_attempted(runners, complete))

    # Reading -------------------------------------------------------------------------------

    @property
    def _is_at_hand(self) -> bool:
        return self.source.is_at_hand(self.rule)

    def _all_read(self, readers: ThreadsAhead, pieces: Iterable[Piece]) -> Iterator[Piece]:
        if self._is_at_hand:
            return map(self._read, pieces)  # threads would only disturb those of the network
        computing = BLOCKS_TOGETHER * self.block_rows
        rows_ahead = max(self.rows_in_flight - computing, self.block_rows)
        return readers.map_ahead(self._read, pieces, rows_ahead // _ROWS_READ_TOGETHER - 1)

    def _read(self, piece: Piece) -> Piece:
        """Read a few pictures; may run in a thread of its own."""
        if piece.block.way.start is not None:
            return piece
        rows, pixels = piece.block.rows, piece.block.inputs
        keep_going = self.failures.keep_going
        for positions in [[p] for p in piece.positions] if keep_going else [piece.positions]:
            start, stop = positions[0], positions[-1] + 1
            try:
                self.source.load_block(rows[start:stop], self.rule, pixels[start:stop])
            except ImageReadError as error:
                pixels[start:stop] = 0
                self.failures.note(rows[start], error)
                continue
            for position in range(start, stop):
                self.decoded(rows[position], pixels[position])
        return piece

    # Computing -----------------------------------------------------------------------------

    def _all_attempted(
        self, runners: ThreadsAhead, blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, list[np.ndarray] | None]]:
        if len(self.source) <= _ROWS_READ_TOGETHER:
            return map(self._attempt, blocks)  # so few that a thread would only take time
        attempt = partial(self._attempt, is_wanted=lambda: runners.are_wanted)
        return runners.map_ahead(attempt, blocks, BLOCKS_TOGETHER - 1)

    def _attempt(
        self, block: Block, is_wanted: Callable[[], bool] = always
    ) -> tuple[Block, list[np.ndarray] | None]:
        """Run the network on a block; None where memory does not suffice.

        May run in a thread of its own.
        """
        blocks = block.way.part().blocks
        block.together = self.at_most or blocks.n_rows
        chosen = (0, *(1 + index for index in block.kept))
        try:
            fitting = blocks.at_most(block.together)
            return block, fitting(block.inputs, chosen=chosen, is_wanted=is_wanted)
        except Exception as error:
            if block.together == 1 or not is_out_of_memory(error):
                raise
            return block, None

    def _completed(
        self, attempt: tuple[Block, list[np.ndarray] | None]
    ) -> tuple[Block, list[np.ndarray]]:
        """Compute what did not fit in memory, and from now on all, with fewer rows together."""
        block, outputs = attempt
        while outputs is None:
            if self.at_most is None:
                warn_out_of_memory(block.together)
            self.at_most = min(block.together // 2, self.at_most or block.together)
            _, outputs = self._attempt(block)
        return block, outputs


def _pieces(blocks: Iterable[Block]) -> Iterator[Piece]:
    for block in blocks:
        for start in range(0, len(block.rows), _ROWS_READ_TOGETHER):
            stop = min(start + _ROWS_READ_TOGETHER, len(block.rows))
            yield Piece(block, range(start, stop))
