"""Blocks of rows in which the result for a row depends neither on its position nor on other rows.

A *block* is a number of rows that run through a function together. Many kernels (implementations of
operations) round a row differently depending on its position in the block: the length of a row is
rarely a multiple of the length of a vector register, and the remainder is summed in another order.
Which kernels do so depends on the operation and its shape. Each compiled function is therefore
tested on trial rows, which run together.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from skltransfer._warnings import warn_user
from skltransfer.backend import (
    as_tensor,
    backend_title,
    computing_threads,
    is_out_of_memory,
    kernels,
    start,
)
from skltransfer.inputs._input import Rows, chunks, part_of

MANY_ROWS = 32
"""Number of rows that callers pass at once: so few that the last of their results are soon ready,
and that they need little memory."""

_MOST_IN_FLIGHT = 4
_VALUES_COMPARED = 4096  # of so many, another order of summation changes some

Compute: TypeAlias = Callable[..., Sequence[Any]]
"""Takes arrays or tensors, and returns results with the same number of rows."""


def always() -> bool:
    """Return True, for callers that are never interrupted."""
    return True


def check_wanted(is_wanted: Callable[[], bool]) -> None:
    """Raise CancelledError if the rows are no longer needed."""
    if not is_wanted():
        raise CancelledError


@dataclass(frozen=True)
class InvariantBatches:
    """A function of rows, run on blocks of one size so that a row always has the same result.

    Several blocks run at the same time: after each step of a block, all threads wait for the
    slowest, and meanwhile they can work on other blocks.

    Attributes
    ----------
    compute : callable
        The function. Its arguments are values common to all rows, called the state, and then an
        array for each tensor of a row, with any number of rows. It returns a tuple of tensors or
        arrays with the same number of rows.
    n_rows : int
        Number of rows in a block.
    """

    compute: Compute
    n_rows: int
    _equal: dict[tuple[int, int], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """For each smaller number of rows and each result: how many values were the same with and
    without padding to a whole block; negative once a value differed.
    """
    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __call__(
        self,
        rows: Rows,
        state: Sequence[Any] = (),
        chosen: Sequence[int] = (0,),
        is_wanted: Callable[[], bool] = always,
    ) -> list[np.ndarray]:
        """Compute any number of rows; return the results that are `chosen`.

        Raises
        ------
        CancelledError
            If a block is no longer wanted when its turn comes.
        """
        blocks = [part_of(rows, part) for part in chunks(len(rows[0]), self.n_rows)]
        if len(blocks) == 1:
            return self._block(state, blocks[0], chosen)
        start()  # raises an error in a forked process, which would wait for threads that it lacks
        state = [as_tensor(array) for array in state]

        def run(block: Rows) -> list[np.ndarray]:
            check_wanted(is_wanted)
            return self._block(state, block, chosen)

        results = list(block_threads().map(run, blocks))
        return [np.concatenate(arrays) for arrays in zip(*results, strict=True)]

    def at_most(self, n_rows: int) -> InvariantBatches:
        """Return the same function with blocks of at most `n_rows`, which may change bits."""
        return self if n_rows >= self.n_rows else replace(self, n_rows=n_rows)

    def _block(self, state: Sequence[Any], rows: Rows, chosen: Sequence[int]) -> list[np.ndarray]:
        """Compute one block.

        A short block is padded with zeros, until enough short blocks have shown that padding
        changes no bits.
        """
        n_rows = len(rows[0])
        equal = min(self._equal.get((n_rows, index), 0.0) for index in chosen)
        if n_rows == self.n_rows or equal >= _VALUES_COMPARED:
            return self._computed(state, rows, chosen)
        filled = self._computed(state, _filled_up(rows, self.n_rows), chosen)
        results = [result[:n_rows] for result in filled]
        if kernels() == "onednn" and equal >= 0:
            alone = self._computed(state, rows, chosen)
            for index, *pair in zip(chosen, alone, results, strict=True):
                self._compare((n_rows, index), *pair)
        return results

    def _compare(self, key: tuple[int, int], alone: np.ndarray, filled: np.ndarray) -> None:
        """Record whether values are equal; zeros, such as those of a new head, do not count."""
        same = alone.tobytes() == filled.tobytes()
        with self._lock:  # another thread may have found a difference
            before = self._equal.get(key, 0.0)
            self._equal[key] = before + (np.count_nonzero(alone) if same else -math.inf)

    def _computed(
        self, state: Sequence[Any], rows: Rows, chosen: Sequence[int]
    ) -> list[np.ndarray]:
        results = self.compute(*state, *rows)
        return [np.asarray(results[index]) for index in chosen]


def in_invariant_batches(
    compute: Compute, n_rows: int, state: tuple[np.ndarray, ...], trial: Rows
) -> InvariantBatches:
    """Run `compute` on blocks of `n_rows` if this changes no bit of a row, or else row by row.

    Parameters
    ----------
    compute : callable
        As in `InvariantBatches`.
    n_rows : int
        Number of rows that are to run together.
    state : tuple of ndarray
        For the test: values of the arguments that precede the rows.
    trial : tuple of ndarray
        Rows for the test.
    """
    if n_rows == 1:
        return InvariantBatches(compute, 1)
    try:
        return _on_trial(compute, n_rows, state, trial)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        warn_out_of_memory(n_rows)
        return in_invariant_batches(compute, n_rows // 2, state, trial)


def _on_trial(
    compute: Compute, n_rows: int, state: tuple[np.ndarray, ...], trial: Rows
) -> InvariantBatches:
    def bits(positions: np.ndarray) -> list[tuple[bytes, ...]]:
        return _bits(compute, state, part_of(trial, positions))

    n_tried = len(trial[0])
    repeated = [bits(np.full(n_rows, row)) for row in range(n_tried)]
    mixed = bits(np.arange(n_rows) % n_tried)
    same = all(len(set(block)) == 1 for block in repeated)
    same = same and mixed == [repeated[row % n_tried][0] for row in range(n_rows)]
    return InvariantBatches(compute, n_rows if same else 1)


def _filled_up(rows: Rows, n_rows: int) -> Rows:
    """Pad rows with zeros to `n_rows`."""
    return tuple(
        np.concatenate([array, np.zeros((n_rows - len(array), *array.shape[1:]), array.dtype)])
        for array in rows
    )


def most_block_rows() -> int:
    """Return how many rows run together if that changes no bit.

    On a CPU with oneDNN, the number is small, so that tensors stay small. On a CPU without oneDNN,
    it is one, because the bits of a row would depend on its position.
    """
    return {"gpu": 64, "onednn": 4}.get(kernels(), 1)


def rows_together() -> int:
    """Return how many rows to pass at once: several blocks, because a call waits for its last."""
    return max(MANY_ROWS, 2 * most_block_rows())


@lru_cache(maxsize=1)
def block_threads() -> ThreadPoolExecutor:
    """Return the threads that run the blocks of all functions of the process.

    On two cores, the bundled network ran 1.7 times as fast with three blocks at a time as with one.
    """
    n_threads = computing_threads()
    n_blocks = 1 if n_threads == 1 else min(n_threads + 1, _MOST_IN_FLIGHT)
    return ThreadPoolExecutor(n_blocks, thread_name_prefix="skltransfer-blocks")


def _bits(compute: Compute, state: tuple[np.ndarray, ...], rows: Rows) -> list[tuple[bytes, ...]]:
    """Return the bits of each row's results: -0.0 differs from 0.0, and NaN equals NaN."""
    results = [np.asarray(result) for result in compute(*state, *rows)]
    return [tuple(result[row].tobytes() for result in results) for row in range(len(rows[0]))]


def warn_out_of_memory(n_rows: int) -> None:
    """Warn that blocks become smaller."""
    warn_user(
        f"{backend_title()} ran out of memory on a block of {n_rows} rows. The computation goes on "
        "with smaller blocks. This may change the last bits of results, so results of smaller "
        "blocks are not put into the cache. A smaller input_size needs less memory."
    )
