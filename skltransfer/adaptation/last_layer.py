"""The head's last layer, fitted again with rows of the target domain, full-batch in NumPy.

The loss and the prior are those of the softmax regression from which heads start. "self" adds
target rows with pseudo-labels. It begins with the most certain rows of each class (class-balanced
self-training: Zou et al., ECCV 2018). "mcc" adds the class confusion of the target rows to the loss
(Jin et al., ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skltransfer.backend.blas import one_thread
from skltransfer.tasks.confusion import confusion
from skltransfer.tasks.softmax_regression import PRIOR, log_softmax

if TYPE_CHECKING:
    from skltransfer.tasks._task import Floats, Singles

Layer: TypeAlias = "tuple[Singles, Singles]"
"""Kernel (n_features, n_classes) and bias (n_classes,)."""

_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""In each round, the share of the rows predicted as a class that get it as a pseudo-label."""

_ITERATIONS_OF_A_ROUND = 12
_ITERATIONS = 50


@dataclass(frozen=True)
class Labelled:
    """Rows with targets.

    Attributes
    ----------
    features : ndarray of float32, shape (n, n_features)
        Input of the last layer.
    targets : ndarray of float32, shape (n, n_classes)
        Target probabilities.
    weights : ndarray of float64, shape (n,)
        Weights of the rows.
    """

    features: NDArray[np.floating]
    targets: Singles
    weights: Floats


@dataclass(frozen=True)
class Unlabelled:
    """Rows of the target domain: their `features`, and in `weights` how often each row occurs."""

    features: NDArray[np.floating]
    weights: Floats

    def in_doubles(self) -> Unlabelled:
        """Return the same in float64."""
        return Unlabelled(self.features.astype(np.float64), self.weights)


def adapted_layer(
    layer: Layer, source: Labelled, target: Unlabelled, methods: Collection[str]
) -> Layer:
    """Return the last layer adapted by "self", "mcc" or both, starting from `layer`."""
    confused = target if "mcc" in methods else None
    with one_thread():
        if "self" in methods:
            for share in _SHARES:
                labelled = _joined(source, _pseudo_labelled(layer, target, share))
                layer = _solved(layer, labelled, confused, _ITERATIONS_OF_A_ROUND)
            return layer
        return _solved(layer, source, confused, _ITERATIONS)


def _pseudo_labelled(layer: Layer, target: Unlabelled, share: float) -> Labelled:
    """Label the most certain rows of each predicted class."""
    probabilities = np.exp(log_softmax(target.features @ layer[0] + layer[1]))
    labels, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    chosen = np.concatenate(
        [
            _most_certain(np.flatnonzero(labels == label), certainty, share)
            for label in np.unique(labels)
        ]
    )
    targets = np.eye(probabilities.shape[1], dtype=np.float32)[labels[chosen]]
    return Labelled(target.features[chosen], targets, target.weights[chosen])


def _most_certain(
    members: NDArray[np.intp], certainty: NDArray[np.floating], share: float
) -> NDArray[np.intp]:
    order = np.argsort(-certainty[members], kind="stable")
    return members[order[: max(1, round(share * len(members)))]]


def _joined(source: Labelled, pseudo: Labelled) -> Labelled:
    """Concatenate the rows of both domains, and give both domains the same total weight."""
    mass = source.weights.sum() / pseudo.weights.sum()
    return Labelled(
        np.concatenate([source.features, pseudo.features]),
        np.concatenate([source.targets, pseudo.targets]),
        np.concatenate([source.weights, mass * pseudo.weights]),
    )


def _solved(layer: Layer, rows: Labelled, confused: Unlabelled | None, n_iterations: int) -> Layer:
    """Minimise cross-entropy plus prior and, if given, the class confusion of `confused`."""
    n_features, n_classes = layer[0].shape
    penalty, total = n_features / PRIOR, rows.weights.sum()
    features, weights = rows.features.astype(np.float64), rows.weights[:, None]
    others = None if confused is None else confused.in_doubles()

    def objective(flat: Floats) -> tuple[float, Floats]:
        kernel, bias = flat[:-n_classes].reshape(n_features, n_classes), flat[-n_classes:]
        log_p = log_softmax(features @ kernel + bias)
        value = 0.5 * penalty * (kernel**2).sum() - (weights * rows.targets * log_p).sum()
        slope = weights * (np.exp(log_p) - rows.targets) / total
        by_kernel, by_bias = features.T @ slope + penalty / total * kernel, slope.sum(axis=0)
        if others is None:
            return value / total, np.concatenate([by_kernel.ravel(), by_bias])
        of_target = confusion(others.features @ kernel + bias, others.weights)
        by_kernel += others.features.T @ of_target.slope
        by_bias += of_target.slope.sum(axis=0)
        return value / total + of_target.loss, np.concatenate([by_kernel.ravel(), by_bias])

    start = np.concatenate([layer[0].ravel(), layer[1]]).astype(np.float64)
    options = {"maxiter": n_iterations, "ftol": 1e-9, "gtol": 1e-6}
    flat = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    found = flat[:-n_classes].reshape(n_features, n_classes), flat[-n_classes:]
    return found[0].astype(np.float32), found[1].astype(np.float32)
