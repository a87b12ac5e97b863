"""Features of images, their projection to two dimensions, and the choice of thumbnails."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from skltransfer._types import Images, Seed
from skltransfer.displays._backbone_steps import backbone_step
from skltransfer.displays._checks import unwrapped
from skltransfer.estimators.fine_tuned import FineTunedBase, predictor_of
from skltransfer.estimators.taking_apart import rows_of


def features_of(estimator: Any, X: Images, caller: str) -> np.ndarray:
    """Return the input of the final classifier, or the output of the final transformer.

    For a FineTunedClassifier, these are the standardised features that its head reads.
    """
    found = backbone_step(estimator, X, caller)
    if isinstance(found.step, FineTunedBase):
        features = predictor_of(found.step).features(*rows_of(found.step, found.X))
        return np.asarray(features, np.float64)
    whole = unwrapped(estimator)
    if isinstance(whole, Pipeline) and not hasattr(whole[-1], "transform"):
        whole = whole[:-1]
    return np.asarray(whole.transform(X), np.float64)


def projected(
    features: np.ndarray, projection: Any, random_state: Seed
) -> tuple[np.ndarray, list[str]]:
    """Return positions (n, 2) of rows of features, and names of the two axes."""
    if isinstance(projection, str) and projection == "pca":
        pca = PCA(2, svd_solver="full")  # exact, and the data determine the signs
        positions = _fitted(pca, features)
        shares = pca.explained_variance_ratio_
        return positions, [
            f"{which} principal component ({share:.0%} of the variance)"
            for which, share in zip(("first", "second"), shares, strict=True)
        ]
    if not hasattr(projection, "fit_transform"):
        raise ValueError(
            f"projection={projection!r} must be 'pca' or a scikit-learn transformer to two "
            "components, such as sklearn.manifold.TSNE()."
        )
    transformer = clone(projection)
    if random_state is not None and "random_state" in transformer.get_params():
        transformer.set_params(random_state=random_state)
    name = type(projection).__name__
    return _fitted(transformer, features), [f"{name} 1", f"{name} 2"]


def spread_out(
    positions: np.ndarray, n_wanted: int, spacing: float, rng: np.random.RandomState
) -> np.ndarray:
    """Choose rows at random whose positions are at least `spacing` apart.

    `spacing` is a share of the width or height that all positions cover.

    Returns
    -------
    ndarray of int, shape (n_wanted or fewer,)
        Fewer if every other row is too close to a chosen one.
    """
    extent = np.ptp(positions, axis=0)
    places = positions / np.where(extent > 0, extent, 1)
    chosen: list[int] = []
    for row in rng.permutation(len(places)):
        if len(chosen) == n_wanted:
            break
        apart = np.abs(places[chosen] - places[row]).max(axis=1)
        if not len(apart) or apart.min() >= spacing:
            chosen.append(int(row))
    return np.array(chosen, dtype=np.intp)


def _fitted(transformer: Any, features: np.ndarray) -> np.ndarray:
    """Return positions of the rows; NaN for unreadable images, whose features are NaN."""
    read = ~np.isnan(features).any(axis=1)
    if read.sum() < 2:
        raise ValueError(
            f"A projection needs two or more images, but only {read.sum()} of X could be read."
        )
    found = np.asarray(transformer.fit_transform(features[read]), np.float64)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(
            f"projection={transformer!r} gives an array of shape {found.shape}, but two components "
            "are needed. Set n_components=2."
        )
    positions = np.full((len(features), 2), np.nan)
    positions[read] = found
    return positions
