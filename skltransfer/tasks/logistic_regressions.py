"""One logistic regression for each label: the starting point of a multilabel head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from skltransfer.tasks._task import Floats, Singles
from skltransfer.tasks.solved_problems import Solution, SolvedProblems

# Twice the prior of the softmax regression. There, two classes have opposite kernels, each half as
# large as the kernel of a logistic regression, so their penalties add up to half of its penalty.
# With twice the prior, a binary label therefore has the same solution as two softmax classes.
_PRIOR = 60.0
_MAX_ITERATIONS = 300


def logistic_regressions(
    features: Singles, sizes: Singles, expected: Singles, weights: Floats
) -> tuple[Singles, Singles]:
    """Minimise the weighted cross-entropies of all labels plus a Gaussian prior on the kernel.

    Parameters
    ----------
    features : ndarray of float32, shape (n, n_features)
        Standardised features.
    sizes : ndarray of float32, shape (n, n_labels)
        Weight of each label in each row.
    expected : ndarray of float32, shape (n, n_labels)
        Target probability of each label, multiplied by `sizes` (not by `weights`).
    weights : ndarray of float64, shape (n,)
        Weights of the rows.

    Returns
    -------
    kernel : ndarray of float32, shape (n_features, n_labels)
    bias : ndarray of float32, shape (n_labels,)
        Solved by L-BFGS for all labels together, in float64, on one thread. Both are read-only.
    """
    return _solved_problems.get(features, sizes, expected, weights)


def _solved(features: Singles, sizes: Singles, expected: Singles, weights: Floats) -> Solution:
    n_features, n_labels = features.shape[1], sizes.shape[1]
    x = np.asarray(features, np.float64)
    sizes_, expected_ = weights[:, np.newaxis] * sizes, weights[:, np.newaxis] * expected
    penalty, total = n_features / _PRIOR, weights.sum()

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = flat[:-n_labels].reshape(n_features, n_labels), flat[-n_labels:]
        logits = x @ kernel + bias
        loss = (sizes_ * np.logaddexp(0, logits) - expected_ * logits).sum()
        residual = sizes_ * expit(logits) - expected_
        slope = x.T @ residual + penalty * kernel
        value = loss + 0.5 * penalty * (kernel**2).sum()
        return value / total, np.concatenate([slope.ravel(), residual.sum(axis=0)]) / total

    solution = minimize(
        objective,
        np.zeros((n_features + 1) * n_labels),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITERATIONS, "ftol": 1e-9, "gtol": 1e-6},
    ).x
    return solution[:-n_labels].reshape(n_features, n_labels), solution[-n_labels:]


_solved_problems = SolvedProblems(_solved)
