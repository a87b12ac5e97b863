"""The classifier on top: standardised features, hidden layers, one logit a class.

The head starts from a convex problem, a softmax regression with a Gaussian prior on its weights:
the "linear probing" of linear probing then fine-tuning (Kumar et al., "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution", ICLR 2022).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize

from skltransfer.backend import as_array, as_tensor
from skltransfer.training.blas import one_thread

# Inverse regularisation C = 30 / n_features: logits of the same prior width whatever the number
# of features. Flat between 10 and 100 on clothing photographs, digits and solar cells.
_PRIOR = 30.0
_VARIANCE_FLOOR = 0.1
_MAX_ITERATIONS = 300
_SOLUTIONS_KEPT = 64


@dataclass(frozen=True)
class Standardizer:
    """Weighted moments of the features.

    Attributes
    ----------
    mean, scale : ndarray of float32, shape (n_features,)
        A tenth of the mean variance is added to each, so that features that hardly ever move do
        not dominate. Those that differ by rounding alone have scale 1.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, weights: np.ndarray) -> Standardizer:
        """Moments of rows of `features` under `weights`."""
        share = (weights / weights.sum())[:, None]
        mean = (features * share).sum(axis=0, dtype=np.float64)
        variance = ((features - mean) ** 2 * share).sum(axis=0, dtype=np.float64)
        scale = np.sqrt(variance + _VARIANCE_FLOOR * variance.mean())
        scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def __call__(self, features):
        """Standardise an array or a tensor."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True)
class Head:
    """Shape of the classifier.

    Attributes
    ----------
    n_features : int
        Width of the pooled features.
    units : tuple of int
        Widths of the hidden layers; () is a linear head.
    activation : str
        Name of a Keras activation.
    n_classes : int
        Number of logits.
    """

    n_features: int
    units: tuple[int, ...]
    activation: str
    n_classes: int

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the weights: a kernel and a bias a layer."""
        widths = (self.n_features, *self.units, self.n_classes)
        layers = pairwise(widths)
        return [shape for fan_in, width in layers for shape in ((fan_in, width), (width,))]

    def logits(self, weights: list, features, drop: Callable | None = None):
        """Logits of standardised `features`; `drop` is applied before every layer."""
        import keras

        x = self.hidden(weights, features, drop)
        x = drop(x, len(weights) - 2) if drop else x
        return keras.ops.matmul(x, weights[-2]) + weights[-1]

    def hidden(self, weights: list, features, drop: Callable | None = None):
        """Output of the last hidden layer; the features themselves where there is none."""
        import keras

        activation = keras.activations.get(self.activation)
        x = features
        for index in range(0, len(weights) - 2, 2):
            x = drop(x, index) if drop else x
            x = activation(keras.ops.matmul(x, weights[index]) + weights[index + 1])
        return x


def convex_head(
    head: Head, features: np.ndarray, targets: np.ndarray, weights: np.ndarray, seed: int
) -> list[np.ndarray]:
    """Weights of a head whose last layer solves a convex problem.

    The first hidden layer holds the linear solution, with both signs, as far as its width allows,
    and random directions beside it; so the head is not worse than a linear one from the start.

    Parameters
    ----------
    head : Head
        The shape wanted.
    features : ndarray of float32, shape (n, n_features)
        Standardised features.
    targets : ndarray of float32, shape (n, n_classes)
        Probabilities that each row should get.
    weights : ndarray of float64, shape (n,)
        Weights of the rows.
    seed : int
        Of the random directions.
    """
    features, targets, weights = _with_absent_classes(features, targets, weights)
    kernel, bias = softmax_regression(features, targets, weights)
    if not head.units:
        return [kernel, bias]
    layers = random_head(head, seed)
    directions = np.concatenate([kernel, -kernel], axis=1)[:, : head.units[0]]
    layers[0][:, : directions.shape[1]] = directions
    layers[1][: directions.shape[1]] = np.concatenate([bias, -bias])[: head.units[0]]
    with one_thread():
        outputs = as_array(head.hidden([as_tensor(array) for array in layers], features))
    return [*layers[:-2], *softmax_regression(outputs, targets, weights)]


def _with_absent_classes(features: np.ndarray, targets: np.ndarray, weights: np.ndarray):
    """The problem, with a row of average features and weight for each class that has no row.

    The first `partial_fit` may lack classes, and nothing would hold their logits: to unlearn such
    a certainty takes gradient steps by the hundred.
    """
    counted = weights > 0
    seen = targets[counted]
    absent = np.setdiff1d(np.arange(targets.shape[1]), seen.argmax(axis=1))
    if not len(absent):
        return features, targets, weights
    own, other = seen.max(), seen.min()  # 1 and 0, unless labels are smoothed
    added = other + (own - other) * np.eye(targets.shape[1], dtype=targets.dtype)[absent]
    return (
        np.concatenate([features, np.zeros((len(absent), features.shape[1]), features.dtype)]),
        np.concatenate([targets, added]),
        np.concatenate([weights, np.full(len(absent), weights[counted].mean())]),
    )


def random_head(head: Head, seed: int = 0) -> list[np.ndarray]:
    """He-initialised hidden layers (He et al. 2015) and a last layer of zeros."""
    rng = np.random.default_rng(seed)
    arrays = [
        (rng.standard_normal(shape) * np.sqrt(2.0 / shape[0])).astype(np.float32)
        if len(shape) == 2
        else np.zeros(shape, np.float32)
        for shape in head.shapes
    ]
    arrays[-2] = np.zeros_like(arrays[-2])
    return arrays


class SolvedProblems:
    """The solutions last used, by the content of their problems.

    Candidates of a search that differ in training alone start from the same solution.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.lock = threading.Lock()
        self.solutions: OrderedDict[bytes, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def get(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solution of the problem that `arrays` pose; see `softmax_regression`."""
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array))
        key = digest.digest()
        with self.lock:
            found = self.solutions.pop(key, None)
        found = _solved(*arrays) if found is None else found
        with self.lock:
            self.solutions[key] = found
            while len(self.solutions) > self.capacity:
                self.solutions.popitem(last=False)
        return found


_solved_problems = SolvedProblems(_SOLUTIONS_KEPT)


def softmax_regression(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the weighted cross-entropy plus a Gaussian prior on the kernel.

    Returns
    -------
    kernel : ndarray of float32, shape (n_features, n_classes)
    bias : ndarray of float32, shape (n_classes,)
        Solved by L-BFGS in float64 on one thread, so that the number of threads changes no bit.
        Both are read-only.
    """
    return _solved_problems.get(features, targets, weights)


def _solved(features: np.ndarray, targets: np.ndarray, weights: np.ndarray):
    n_features, n_classes = features.shape[1], targets.shape[1]
    features = np.asarray(features, np.float64)
    penalty = n_features / _PRIOR
    total = weights.sum()

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernel, bias = flat[:-n_classes].reshape(n_features, n_classes), flat[-n_classes:]
        log_probabilities = log_softmax(features @ kernel + bias)
        loss = -(weights[:, None] * targets * log_probabilities).sum()
        residual = weights[:, None] * (
            np.exp(log_probabilities) * targets.sum(axis=1, keepdims=True) - targets
        )
        slope = features.T @ residual + penalty * kernel
        value = loss + 0.5 * penalty * (kernel**2).sum()
        return value / total, np.concatenate([slope.ravel(), residual.sum(axis=0)]) / total

    with one_thread():
        solution = minimize(
            objective,
            np.zeros((n_features + 1) * n_classes),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_ITERATIONS, "ftol": 1e-9, "gtol": 1e-6},
        ).x
    kernel, bias = solution[:-n_classes].reshape(n_features, n_classes), solution[-n_classes:]
    found = kernel.astype(np.float32), bias.astype(np.float32)
    for array in found:
        array.flags.writeable = False
    return found


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
