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
from typing import Any, ClassVar, TypeAlias

import numpy as np

from skltransfer._warnings import warn_user
from skltransfer.backend import (
    CompiledFunction,
    as_tensor,
    backend_title,
    computing_threads,
    is_out_of_memory,
    kernels,
    start,
)
from skltransfer.inputs._input import Rows, RowSpec, TensorSpec, each_row, part_of

MANY_ROWS = 32
"""Few wait for the last of so many, and they take little memory."""

_MOST_IN_FLIGHT = 4
_VALUES_COMPARED = 4096  # among so many, another order of summation shows

Compute: TypeAlias = Callable[..., Sequence[Any]]
"""From arrays or tensors to results with as many rows."""


def always() -> bool:
    """Say that rows are wanted, as they are unless their caller was interrupted."""
    return True


def check_wanted(is_wanted: Callable[[], bool]) -> None:
    """Raise CancelledError when nobody waits for rows any more."""
    if not is_wanted():
        raise CancelledError


@dataclass(frozen=True)
class InvariantBatches:
    """A function of rows, run on blocks of one size so that each row always has the same bits.

    Some blocks run at a time: within one, all threads wait for the slowest after each step, and
    meanwhile work on the others.

    Attributes
    ----------
    compute : callable
        From what does not differ by row, then an array (any number of rows, ...) for each tensor of
        a row, to a tuple of tensors or arrays with as many rows.
    n_rows : int
        Rows of a block.
    """

    compute: Compute
    n_rows: int
    _equal: dict[tuple[int, int], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """For fewer rows and each result, how many values were the same; less than 0: one was not."""
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
        """Compute any number of rows, and give those of the results that are `chosen`.

        Raises
        ------
        CancelledError
            When a block is not `is_wanted` any more as its turn comes.
        """
        starts = range(0, len(rows[0]), self.n_rows)
        blocks = [part_of(rows, slice(start, start + self.n_rows)) for start in starts]
        if len(blocks) == 1:
            return self._block(state, blocks[0], chosen)
        start()  # or a fork would wait for threads that it has not
        state = [as_tensor(array) for array in state]

        def run(block: Rows) -> list[np.ndarray]:
            check_wanted(is_wanted)
            return self._block(state, block, chosen)

        results = list(_threads().map(run, blocks))
        return [np.concatenate(arrays) for arrays in zip(*results, strict=True)]

    def at_most(self, n_rows: int) -> InvariantBatches:
        """The same in smaller blocks, which may change bits."""
        return self if n_rows >= self.n_rows else replace(self, n_rows=n_rows)

    def _block(self, state: Sequence[Any], rows: Rows, chosen: Sequence[int]) -> list[np.ndarray]:
        """Compute one block; fewer rows are filled up with zeros where their bits need it."""
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
        """Take note of whether values are the same; zeros, such as a new head's, prove nothing."""
        same = alone.tobytes() == filled.tobytes()
        with self._lock:  # another thread may have seen that they are not
            before = self._equal.get(key, 0.0)
            self._equal[key] = before + (np.count_nonzero(alone) if same else -math.inf)

    def _computed(
        self, state: Sequence[Any], rows: Rows, chosen: Sequence[int]
    ) -> list[np.ndarray]:
        results = self.compute(*state, *rows)
        return [np.asarray(results[index]) for index in chosen]


@dataclass(frozen=True)
class RowsAlone:
    """A function of rows of unknown length, run on each row alone, at its own length.

    A row's bits depend on nothing else then. It is called like `InvariantBatches`.

    Attributes
    ----------
    compute : callable
        From what does not differ by row, then an array of one row for each of its tensors, to a
        tuple of tensors or arrays of one row.
    results : tuple of TensorSpec
        What comes out.
    """

    compute: Compute
    results: tuple[TensorSpec, ...]
    n_rows: ClassVar[int] = 1

    def __call__(
        self,
        rows: Rows,
        state: Sequence[Any] = (),
        chosen: Sequence[int] = (0,),
        is_wanted: Callable[[], bool] = always,
    ) -> list[np.ndarray]:
        """Compute any number of rows, each alone."""
        start()
        state = [as_tensor(array) for array in state]
        outputs = [self.results[index].empty(len(rows[0])) for index in chosen]

        def run(numbered: tuple[int, Rows]) -> None:
            check_wanted(is_wanted)
            position, row = numbered
            found = self.compute(*state, *row)
            for index, output in zip(chosen, outputs, strict=True):
                output[position] = np.asarray(found[index])[0]

        for _ in _threads().map(run, enumerate(each_row(rows))):
            pass  # raises what a thread raised
        return outputs

    def at_most(self, n_rows: int) -> RowsAlone:
        """The same: its blocks are of one row already."""
        return self


RunRows: TypeAlias = InvariantBatches | RowsAlone


def run_rows(
    function: CompiledFunction,
    row_spec: RowSpec,
    n_rows: int,
    state: tuple[np.ndarray, ...] = (),
    trial: Rows | None = None,
) -> RunRows:
    """Run a compiled function so that every row has its own bits.

    Parameters
    ----------
    function : CompiledFunction
        From `state`, then rows of `row_spec`.
    row_spec : tuple of TensorSpec
        The tensors of a row.
    n_rows : int
        Rows that run together, if they may.
    state : tuple of ndarray
        Arguments before the rows, for the trial.
    trial : tuple of ndarray or None, default=None
        Rows on which it is tried whether `n_rows` may run together; None: they may.
    """
    if any(tensor.is_ragged for tensor in row_spec):
        return RowsAlone(function, tuple(TensorSpec(shape[1:]) for shape in function.shapes))
    if trial is None:
        return InvariantBatches(function, n_rows)
    return in_invariant_batches(function, n_rows, state, trial)


def in_invariant_batches(
    compute: Compute, n_rows: int, state: tuple[np.ndarray, ...], trial: Rows
) -> InvariantBatches:
    """Run `compute` on blocks of `n_rows` if that changes no bit of a row, else of one row.

    Parameters
    ----------
    compute : callable
        As in `InvariantBatches`.
    n_rows : int
        Rows that would run together.
    state : tuple of ndarray
        Arguments before the rows, for the trial.
    trial : tuple of ndarray
        Rows to try.
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
    """Rows with zeros behind them, `n_rows` in all."""
    return tuple(
        np.concatenate([array, np.zeros((n_rows - len(array), *array.shape[1:]), array.dtype)])
        for array in rows
    )


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


def _bits(compute: Compute, state: tuple[np.ndarray, ...], rows: Rows) -> list[tuple[bytes, ...]]:
    """The bits of each row's results: they tell -0.0 from 0.0, and NaN is equal to itself."""
    results = [np.asarray(result) for result in compute(*state, *rows)]
    return [tuple(result[row].tobytes() for result in results) for row in range(len(rows[0]))]


def warn_out_of_memory(n_rows: int) -> None:
    """Tell that blocks become smaller."""
    warn_user(
        f"{backend_title()} ran out of memory on a block of {n_rows} rows. It goes on with "
        "smaller blocks, which may change the last bits of results; these are then not put into "
        "the cache. A smaller input_size needs less memory."
    )
