"""Blocks of rows in which every row has the same bits, wherever it stands and in any company.

Many kernels round by where a number lies: a processor's vectors seldom divide a row, and what is
left over is summed in another order. Which of them do depends on the kind of step and on its
shape, so each compiled function is tried on the rows that it would run together.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache

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

MANY_ROWS = 32
"""Few wait for the last of so many, and they take little memory."""

_MOST_IN_FLIGHT = 4
_VALUES_COMPARED = 4096  # among so many, another order of summation shows
_VALUES_TRIED = 1 << 19  # three pictures of usual size, and many small rows
_MOST_ROWS_TRIED = 32


def always() -> bool:
    """Say that rows are wanted, as they are unless their caller was interrupted."""
    return True


def check_wanted(is_wanted: Callable[[], bool]) -> None:
    """Raise CancelledError when nobody waits for rows any more."""
    if not is_wanted():
        raise CancelledError


@dataclass(frozen=True)
class Blocks:
    """A function of rows, run on blocks of one size so that each row always has the same bits.

    Some blocks run at a time: within one, all threads wait for the slowest after each step, and
    meanwhile work on the others.

    Attributes
    ----------
    compute : callable
        From float32 arguments, the last of them (any number of rows, ...), to a tuple of tensors
        or arrays with as many rows.
    n_rows : int
        Rows of a block.
    """

    compute: Callable[..., tuple]
    n_rows: int
    _equal: dict[tuple[int, int], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """For fewer rows and each result, how many values were the same; less than 0: one was not."""
    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __call__(
        self, *arguments, chosen: Sequence[int] = (0,), is_wanted: Callable[[], bool] = always
    ) -> list[np.ndarray]:
        """Compute any number of rows, and give those of the results that are `chosen`.

        Raises
        ------
        CancelledError
            When a block is not `is_wanted` any more as its turn comes.
        """
        *state, rows = arguments
        pieces = [rows[start : start + self.n_rows] for start in range(0, len(rows), self.n_rows)]
        if len(pieces) == 1:
            return self._block(state, pieces[0], chosen)
        start()  # or a fork would wait for threads that it has not
        state = [as_tensor(array) for array in state]

        def run(piece: np.ndarray) -> list[np.ndarray]:
            check_wanted(is_wanted)
            return self._block(state, piece, chosen)

        results = list(_threads().map(run, pieces))
        return [np.concatenate(arrays) for arrays in zip(*results, strict=True)]

    def at_most(self, n_rows: int) -> Blocks:
        """The same in smaller blocks, which may change bits."""
        return self if n_rows >= self.n_rows else replace(self, n_rows=n_rows)

    def _block(self, state: list, rows: np.ndarray, chosen: Sequence[int]) -> list[np.ndarray]:
        """Compute one block; fewer rows are filled up with zeros where their bits need it."""
        n_rows = len(rows)
        equal = min(self._equal.get((n_rows, index), 0.0) for index in chosen)
        if n_rows == self.n_rows or equal >= _VALUES_COMPARED:
            return self._computed(state, rows, chosen)
        missing = np.zeros((self.n_rows - n_rows, *rows.shape[1:]), rows.dtype)
        filled = self._computed(state, np.concatenate([rows, missing]), chosen)
        results = [result[:n_rows] for result in filled]
        if kernels() == "onednn" and equal >= 0:
            alone = self._computed(state, rows, chosen)
            for index, *pair in zip(chosen, alone, results, strict=True):
                self._compare((n_rows, index), *pair)
        return results

    def _compare(self, key: tuple[int, int], alone: np.ndarray, filled: np.ndarray) -> None:
        """Take note of whether values are the same; zeros, such as a new head's, prove nothing."""
        same = alone.tobytes() == filled.tobytes()
        with self._lock:  # another thread may have seen that they are not
            before = self._equal.get(key, 0.0)
            self._equal[key] = before + (np.count_nonzero(alone) if same else -math.inf)

    def _computed(self, state: list, rows: np.ndarray, chosen: Sequence[int]) -> list[np.ndarray]:
        results = self.compute(*state, rows)
        return [np.asarray(results[index]) for index in chosen]


def in_blocks(compute: Callable, n_rows: int, state: tuple, trial: np.ndarray) -> Blocks:
    """Run `compute` on blocks of `n_rows` if that changes no bit of a row, else of one row.

    Parameters
    ----------
    compute : callable
        As in `Blocks`.
    n_rows : int
        Rows that would run together.
    state : tuple of ndarray
        Arguments before the rows, for the trial.
    trial : ndarray of float32, shape (n, ...)
        Rows to try.
    """
    if n_rows == 1:
        return Blocks(compute, 1)
    try:
        return _on_trial(compute, n_rows, state, trial)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        warn_out_of_memory(n_rows)
        return in_blocks(compute, n_rows // 2, state, trial)


def _on_trial(compute: Callable, n_rows: int, state: tuple, trial: np.ndarray) -> Blocks:
    repeated = [_bits(compute, state, np.repeat(row[np.newaxis], n_rows, axis=0)) for row in trial]
    mixed = _bits(compute, state, np.resize(trial, (n_rows, *trial.shape[1:])))
    same = all(len(set(block)) == 1 for block in repeated)
    same = same and mixed == [repeated[row % len(trial)][0] for row in range(n_rows)]
    return Blocks(compute, n_rows if same else 1)


def most_block_rows() -> int:
    """Rows that run together if that changes no bit.

    On CPU few, so that tensors stay small, and with other kernels than those of oneDNN one, since
    the bits of a row depend on its place there.
    """
    return {"gpu": 64, "onednn": 4}.get(kernels(), 1)


def rows_together() -> int:
    """Rows that are best handed over together: some blocks, for there is a wait after the last."""
    return max(MANY_ROWS, 2 * most_block_rows())


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Threads that hand over the blocks of all functions of the process.

    Two cores ran the bundled network 1.7 times as fast with three blocks at a time as with one.
    """
    n_threads = computing_threads()
    n_blocks = 1 if n_threads == 1 else min(n_threads + 1, _MOST_IN_FLIGHT)
    return ThreadPoolExecutor(n_blocks, thread_name_prefix="skltransfer-blocks")


def trial_rows(shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Rows of random numbers of one `shape`, the same in every process."""
    count = min(max(_VALUES_TRIED // int(np.prod(shape)), 2), _MOST_ROWS_TRIED)
    rows = np.random.default_rng(0).uniform(low, high, (count, *shape))
    return rows.astype(np.float32)


def _bits(compute: Callable, state: tuple, rows: np.ndarray) -> list[tuple[bytes, ...]]:
    """The bits of each row's results: they tell -0.0 from 0.0, and NaN is equal to itself."""
    results = [np.asarray(result) for result in compute(*state, rows)]
    return [tuple(result[row].tobytes() for result in results) for row in range(len(rows))]


def warn_out_of_memory(n_rows: int) -> None:
    """Tell that blocks become smaller."""
    warn_user(
        f"{backend_title()} ran out of memory on a block of {n_rows} pictures. It goes on with "
        "smaller blocks, which may change the last bits of results; these are then not put into "
        "the cache. A smaller input_size needs less memory."
    )
