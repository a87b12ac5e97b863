"""Finding the network in an estimator, with the X it receives and the steps after it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skltransfer._types import Images
from skltransfer.displays._checks import unwrapped
from skltransfer.estimators.base import BackboneEstimator


@dataclass(frozen=True)
class BackboneStep:
    """The step of an estimator that runs a network.

    Attributes
    ----------
    step : PretrainedFeatureExtractor or FineTunedClassifier
        The fitted step.
    X : array-like
        The X that this step receives.
    tail : Pipeline or None
        The steps after it; None if there are none.
    """

    step: BackboneEstimator
    X: Any
    tail: Pipeline | None


def backbone_step(estimator: Any, X: Images, caller: str) -> BackboneStep:
    """Find the network in a fitted estimator, a pipeline, or the best estimator of a search.

    Raises
    ------
    TypeError
        If there is no network, or it is inside something other than a pipeline.
    """
    check_is_fitted(estimator)
    found = unwrapped(estimator)
    steps = [step for _, step in found.steps] if isinstance(found, Pipeline) else [found]
    at = next((i for i, step in enumerate(steps) if isinstance(step, BackboneEstimator)), None)
    if at is None:
        raise TypeError(
            f"{caller} needs a FineTunedClassifier or a PretrainedFeatureExtractor, alone, as a "
            f"step of a Pipeline or as the best estimator of a search. {type(found).__name__} is "
            "not one of these and has no such step."
        )
    seen = found[:at].transform(X) if at else X
    return BackboneStep(steps[at], seen, found[at + 1 :] if steps[at + 1 :] else None)


@contextmanager
def without_names() -> Iterator[None]:
    """Silence scikit-learn's warning when steps fitted on named columns get arrays."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        yield


def linear_weights(tail: Pipeline, features: np.ndarray) -> np.ndarray:
    """Find the slopes of a decision function that is linear in the features, by evaluating it.

    Parameters
    ----------
    tail : Pipeline
        Fitted steps from features to a ``decision_function``.
    features : ndarray of shape (n, n_features)
        Points near which the function is evaluated, and at which its linearity is checked.

    Returns
    -------
    ndarray of float64, shape (n_features, n_classes)
        Slopes of each class. For two classes, the first column holds the negative slopes of the
        second class, and the second column its slopes.

    Raises
    ------
    ValueError
        If the function is not linear.
    """
    centre = features.mean(axis=0, dtype=np.float64)
    width = np.abs(centre).max() or 1.0
    rng = np.random.default_rng(0)
    elsewhere = centre + width * rng.standard_normal((8, len(centre)))
    probes = np.vstack([centre[None], centre + width * np.eye(len(centre)), elsewhere, features])
    with without_names():
        scores = np.asarray(tail.decision_function(probes), np.float64)
    scores = np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
    changes = scores[1:] - scores[0]
    slopes: np.ndarray = changes[: len(centre)] / width
    foretold = (probes[len(centre) + 1 :] - centre) @ slopes
    if not np.allclose(changes[len(centre) :], foretold, rtol=1e-4, atol=1e-4 * np.ptp(changes)):
        raise ValueError(
            f"The steps after the PretrainedFeatureExtractor, up to {type(tail[-1]).__name__}, "
            "are not linear in the features, so feature maps have no fixed weights for a class. "
            "Supported are linear steps, such as StandardScaler and PCA, followed by a linear "
            "classifier, such as LogisticRegression. A FineTunedClassifier is supported too."
        )
    return slopes
