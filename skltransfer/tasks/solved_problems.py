"""A cache of the most recent solutions of convex problems, keyed by the problems' content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from skltransfer._last_used import LastUsed
from skltransfer.backend.blas import one_thread

Solution: TypeAlias = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Kernel of shape (n_features, n_outputs) and bias of shape (n_outputs,)."""
Solved: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]

_SOLUTIONS_KEPT = 64


class SolvedProblems:
    """Solves problems of one kind, and remembers the most recently used solutions.

    Candidates of a search that differ only in training start from the same solution.

    Parameters
    ----------
    solve : callable
        Computes the solution, in float64, from the arrays that define a problem. It runs on one
        thread, so that the result does not depend on the number of threads.
    capacity : int, default=64
        Number of solutions to remember.
    """

    def __init__(self, solve: Callable[..., Solution], capacity: int = _SOLUTIONS_KEPT) -> None:
        self.solve = solve
        self._solutions: LastUsed[Solved] = LastUsed(capacity)

    def get(self, *arrays: NDArray[np.floating]) -> Solved:
        """Return the solution of the problem defined by `arrays`, in float32 and read-only."""
        return self._solutions.get(_digest(arrays), lambda: self._solved(arrays))

    def _solved(self, arrays: tuple[NDArray[np.floating], ...]) -> Solved:
        with one_thread():
            kernel, bias = self.solve(*arrays)
        found = kernel.astype(np.float32), bias.astype(np.float32)
        for array in found:
            array.flags.writeable = False
        return found


def _digest(arrays: tuple[NDArray[np.floating], ...]) -> bytes:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
