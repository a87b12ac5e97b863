"""Which rows come first where the worst are shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greatest(losses: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows by falling weighted loss, equal ones in their order; without unread and weightless."""
    counted = np.flatnonzero((weights > 0) & ~np.isnan(losses))
    if not len(counted):
        raise ValueError(
            "No image is left to show: where sample_weight is not 0, all predictions are NaN, "
            "because the images could not be read. Pass images that can be."
        )
    return counted[np.argsort(-(weights * losses)[counted], kind="stable")]
