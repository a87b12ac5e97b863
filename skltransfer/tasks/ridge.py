"""Ridge regression on features, with the penalty that has the smallest leave-one-out error.

For a linear smoother, leave-one-out residuals have a closed form (Allen, "The Relationship between
Variable Selection and Data Agumentation and a Method for Prediction", Technometrics 1974). All rows
with the same features are left out together, with their whole weight. If they were left out one by
one, one of two equal rows would predict the other. A row that occurs twice would then lead to
another penalty than a row of weight 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skltransfer.tasks._task import Floats, Singles
from skltransfer.tasks.solved_problems import Solution, SolvedProblems

PENALTIES = np.logspace(4, -4, 17)
"""Candidates for the penalty, divided by the number of features; the first one wins ties."""

_ROWS_TOGETHER = 1024
_LEAST = 1e-10  # smallest share of a row's fit that is due to other rows; less is rounding error


def ridge(features: Singles, targets: Singles, weights: Floats) -> tuple[Singles, Singles]:
    """Minimise the weighted squared error plus a penalty on the kernel, chosen for each output.

    Parameters
    ----------
    features : ndarray of float32, shape (n, n_features)
        Standardised features.
    targets : ndarray of float32, shape (n, n_outputs)
        Targets of the rows.
    weights : ndarray of float64, shape (n,)
        Weights of the rows; at least one is positive.

    Returns
    -------
    kernel : ndarray of float32, shape (n_features, n_outputs)
    bias : ndarray of float32, shape (n_outputs,)
        Both are read-only.
    """
    return _solved_problems.get(features, targets, weights)


@dataclass(frozen=True)
class _Spectrum:
    """The centred problem in its principal directions; rows are scaled by the roots of weights.

    Attributes
    ----------
    directions : ndarray of shape (n_features, r)
        The directions, orthonormal.
    squares : ndarray of shape (r,)
        Squared singular values of the data.
    rows : ndarray of shape (n, r)
        Coordinates of the rows.
    targets : ndarray of shape (n, n_outputs)
        Targets of the rows.
    shares : ndarray of shape (n,)
        Weights of the rows, summing to 1.
    """

    directions: Floats
    squares: Floats
    rows: Floats
    targets: Floats
    shares: Floats

    @classmethod
    def of(cls, features: Floats, targets: Floats, weights: Floats) -> _Spectrum:
        """Decompose the smaller of the two Gram matrices."""
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
        """Return the kernel (n_features, n_outputs), given the penalty of each output."""
        return self.directions @ (self._shrunk(penalties) * (self.rows.T @ self.targets))

    def left_out_errors(self, penalties: Floats) -> Floats:
        """Return weighted squared errors of left-out rows, of shape (n_penalties, n_outputs)."""
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
    """Merge rows with equal features into one, with their mean target and total weight.

    This changes neither the solution nor the ranking of penalties.
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
