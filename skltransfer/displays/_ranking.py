"""The order in which displays of the worst predictions show rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greatest(losses: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return rows by descending weighted loss, without unreadable rows and rows of weight 0."""
    counted = np.flatnonzero((weights > 0) & ~np.isnan(losses))
    if not len(counted):
        raise ValueError(
            "No image is left to show: all images with a positive sample_weight have predictions "
            "of NaN, because they could not be read. Pass images that can be read."
        )
    return counted[np.argsort(-(weights * losses)[counted], kind="stable")]
