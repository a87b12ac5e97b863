"""Blocks of rows in which every row has the same bits, wherever it stands and in any company.

Many kernels round by where a number lies: a processor's vectors seldom divide a row, and what is
left over is summed in another order. Which of them do depends on the kind of step and on its
shape, so each compiled function is tried on the rows that it would run together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skltransfer._backend import as_tensor, backend_title, is_out_of_memory, kernels
from skltransfer._warnings import warn_user

_VALUES_TRIED = 1 << 19  # three pictures of usual size, and many small rows
_MOST_ROWS_TRIED = 32


@dataclass(frozen=True)
class Blocks:
    """A function of rows, run on blocks of one size so that each row always has the same bits.

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

    def __call__(self, *arguments, chosen: Sequence[int] = (0,)) -> list[np.ndarray]:
        """Compute any number of rows, and give those of the results that are `chosen`."""
        *state, rows = arguments
        pieces = [rows[start : start + self.n_rows] for start in range(0, len(rows), self.n_rows)]
        if len(pieces) > 1:
            state = [as_tensor(array) for array in state]
        results = [self._block(state, piece, chosen) for piece in pieces]
        if len(results) == 1:
            return results[0]
        return [np.concatenate(arrays) for arrays in zip(*results, strict=True)]

    def at_most(self, n_rows: int) -> Blocks:
        """The same in smaller blocks, which may change bits."""
        return replace(self, n_rows=min(self.n_rows, n_rows))

    def _block(self, state: list, rows: np.ndarray, chosen: Sequence[int]) -> list[np.ndarray]:
        """Compute one block; fewer rows are filled up with zeros."""
        missing = self.n_rows - len(rows)
        if missing:
            rows = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
        results = self.compute(*state, rows)
        return [np.asarray(results[index])[: len(rows) - missing] for index in chosen]


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
        return _tried(compute, n_rows, state, trial)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        warn_out_of_memory(n_rows)
        return in_blocks(compute, n_rows // 2, state, trial)


def _tried(compute: Callable, n_rows: int, state: tuple, trial: np.ndarray) -> Blocks:
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
