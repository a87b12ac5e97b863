"""Ridge regression on features, with the penalty that predicts left-out content best.

The penalty comes from the closed form for leave-one-out residuals of a linear smoother (Allen,
"The Relationship between Variable Selection and Data Agumentation and a Method for Prediction",
Technometrics 1974). What is left out at a time is all that has the same features, with all of its
weight: were rows left out one by one, a row that comes twice would predict its own copy, and
repeated rows would choose another penalty than weighted ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skltransfer.tasks._task import Floats, Singles
from skltransfer.tasks.solved_problems import Solution, SolvedProblems

PENALTIES = np.logspace(4, -4, 17)
"""Penalties that are tried, for each feature; the largest first, which wins where all are equal."""

_ROWS_TOGETHER = 1024
_LEAST = 1e-10  # of the part of a row's fit that is not its own; less is rounding


def ridge(features: Singles, targets: Singles, weights: Floats) -> tuple[Singles, Singles]:
    """Minimise the weighted squared error plus a penalty on the kernel, for each output its own.

    Parameters
    ----------
    features : ndarray of float32, shape (n, n_features)
        Standardised features.
    targets : ndarray of float32, shape (n, n_outputs)
        Numbers.
    weights : ndarray of float64, shape (n,)
        Weights of the rows, some of them positive.

    Returns
    -------
    kernel : ndarray of float32, shape (n_features, n_outputs)
    bias : ndarray of float32, shape (n_outputs,)
        Both are read-only.
    """
    return _solved_problems.get(features, targets, weights)


@dataclass(frozen=True)
class _Spectrum:
    """The centred problem by its principal directions, rows times the roots of their weights.

    Attributes
    ----------
    directions : ndarray of shape (n_features, r)
        Orthonormal.
    squares : ndarray of shape (r,)
        Squared lengths of the data along them.
    rows : ndarray of shape (n, r)
        Coordinates of the rows.
    targets : ndarray of shape (n, n_outputs)
        What they should become.
    shares : ndarray of shape (n,)
        Their weights, of a sum of 1.
    """

    directions: Floats
    squares: Floats
    rows: Floats
    targets: Floats
    shares: Floats

    @classmethod
    def of(cls, features: Floats, targets: Floats, weights: Floats) -> _Spectrum:
        """Decompose by the smaller of the two matrices of products."""
        roots = np.sqrt(weights)[:, np.newaxis]
        features, targets = roots * features, roots * targets
        shares = weights / weights.sum()
        if len(features) > features.shape[1]:
            squares, directions = np.linalg.eigh(features.T @ features)
            return cls(directions, _positive(squares), features @ directions, targets, shares)
        squares, rows = np.linalg.eigh(features @ features.T)
        kept = squares > len(rows) * np.finfo(np.float64).eps * squares.max(initial=0.0)
        lengths = np.sqrt(squares[kept])
        directions = features.T @ (rows[:, kept] / lengths)
        return cls(directions, squares[kept], rows[:, kept] * lengths, targets, shares)

    def kernel(self, penalties: Floats) -> Floats:
        """Solutions of shape (n_features, n_outputs), each output with its penalty."""
        return self.directions @ (self._shrunk(penalties) * (self.rows.T @ self.targets))

    def left_out_errors(self, penalties: Floats) -> Floats:
        """Weighted squared errors of rows left out, of shape (n_penalties, n_outputs)."""
        along, factors = self.rows.T @ self.targets, self._shrunk(penalties)
        errors = np.zeros((len(penalties), self.targets.shape[1]))
        for start in range(0, len(self.rows), _ROWS_TOGETHER):
            some = slice(start, start + _ROWS_TOGETHER)
            rows, targets = self.rows[some], self.targets[some]
            own = np.square(rows) @ factors + self.shares[some, np.newaxis]
            for index in range(len(penalties)):
                residuals = targets - rows @ (factors[:, index, np.newaxis] * along)
                others = np.maximum(1.0 - own[:, index, np.newaxis], _LEAST)
                errors[index] += np.square(residuals / others).sum(axis=0)
        return errors

    def _shrunk(self, penalties: Floats) -> Floats:
        return np.asarray(1.0 / (self.squares[:, np.newaxis] + penalties))


def _solved(features: Singles, targets: Singles, weights: Floats) -> Solution:
    x, y, weights = _merged(features, targets, weights)
    shares = weights / weights.sum()
    centre, mean = shares @ x, shares @ y
    spectrum = _Spectrum.of(x - centre, y - mean, weights)
    penalties = features.shape[1] * PENALTIES
    best = spectrum.left_out_errors(penalties).argmin(axis=0)
    kernel = spectrum.kernel(penalties[best])
    return kernel, mean - centre @ kernel


def _merged(features: Singles, targets: Singles, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """One row for all that has the same features, with its mean targets and its whole weight.

    The solution stays the same, and so does the order of penalties by their errors.
    """
    found: dict[bytes, int] = {}
    numbers = np.array([found.setdefault(row.tobytes(), len(found)) for row in features])
    firsts = np.unique(numbers, return_index=True)[1]
    totals = np.asarray(np.bincount(numbers, weights), np.float64)
    columns = [np.bincount(numbers, weights * column) / totals for column in targets.T]
    return features[firsts].astype(np.float64), np.stack(columns, axis=1), totals


def _positive(squares: NDArray[np.float64]) -> Floats:
    return np.maximum(squares, 0.0)


_solved_problems = SolvedProblems(_solved)
