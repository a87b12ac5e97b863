"""Softmax regression on features, whose solution is the starting point of a classifier's head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skltransfer.tasks.solved_problems import Solution, SolvedProblems

# Inverse regularisation C = 30 / n_features, so that the prior width of logits does not depend on
# the number of features. Results hardly change between 10 and 100 on clothing photographs, digits
# and solar cells.
PRIOR = 30.0
_MAX_ITERATIONS = 300


def softmax_regression(
    features: NDArray[np.float32], targets: NDArray[np.float32], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Minimise the weighted cross-entropy plus a Gaussian prior on the kernel.

    Returns
    -------
    kernel : ndarray of float32, shape (n_features, n_classes)
    bias : ndarray of float32, shape (n_classes,)
        Solved by L-BFGS in float64 on one thread. Both are read-only.
    """
    return _solved_problems.get(features, targets, weights)


def _solved(
    features: NDArray[np.floating], targets: NDArray[np.floating], weights: NDArray[np.floating]
) -> Solution:
    n_features, n_classes = features.shape[1], targets.shape[1]
    features = np.asarray(features, np.float64)
    penalty = n_features / PRIOR
    total = weights.sum()

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = flat[:-n_classes].reshape(n_features, n_classes), flat[-n_classes:]
        log_probabilities = log_softmax(features @ kernel + bias)
        loss = -(weights[:, None] * targets * log_probabilities).sum()
        residual = weights[:, None] * (
            np.exp(log_probabilities) * targets.sum(axis=1, keepdims=True) - targets
        )
        slope = features.T @ residual + penalty * kernel
        value = loss + 0.5 * penalty * (kernel**2).sum()
        return value / total, np.concatenate([slope.ravel(), residual.sum(axis=0)]) / total

    solution = minimize(
        objective,
        np.zeros((n_features + 1) * n_classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITERATIONS, "ftol": 1e-9, "gtol": 1e-6},
    ).x
    return solution[:-n_classes].reshape(n_features, n_classes), solution[-n_classes:]


_solved_problems = SolvedProblems(_solved)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the log-probabilities of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    found: NDArray[np.floating] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
