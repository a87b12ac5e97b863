"""Columns of numbers, standardised by their weighted moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer.backend.rescaling import rescaled

if TYPE_CHECKING:
    from keras import KerasTensor

LARGEST_DEVIATION = 1e3
"""Standardised numbers are clipped to this, so that values far beyond those of fit stay finite."""


def standardized(
    rows: NDArray[np.floating], mean: NDArray[np.floating], scale: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return deviations from the means in units of the scales, within `LARGEST_DEVIATION`."""
    with np.errstate(over="ignore"):  # infinity is clipped too
        deviations = (rows - mean) / scale
    clipped: NDArray[np.floating] = np.clip(deviations, -LARGEST_DEVIATION, LARGEST_DEVIATION)
    return clipped


def standardized_tensor(
    x: KerasTensor, mean: NDArray[np.floating], scale: NDArray[np.floating]
) -> KerasTensor:
    """Return what `standardized` returns, for a tensor, by operations of a Keras model."""
    from keras import ops

    return ops.clip(rescaled(x, 1 / scale, -mean / scale), -LARGEST_DEVIATION, LARGEST_DEVIATION)


def column_moments(
    rows: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted mean and standard deviation of each column (1 for a constant one).

    Equal rows are merged and all rows sorted first, so that no bit changes if rows come in another
    order, or are repeated instead of weighted.
    """
    weights = np.ones(len(rows)) if weights is None else weights
    distinct, group = np.unique(rows, axis=0, return_inverse=True)
    share = np.bincount(group.ravel(), weights)[:, None]
    share = share / share.sum()
    # Scaled by powers of two, which does not round, so that squares stay in the range of float64.
    unit = np.ldexp(1.0, np.frexp(np.abs(distinct).max(axis=0))[1] - 1)
    distinct = distinct / unit
    mean = (distinct * share).sum(axis=0)
    scale = np.sqrt(((distinct - mean) ** 2 * share).sum(axis=0))
    constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean * unit, np.where(constant, 1.0, scale * unit)
