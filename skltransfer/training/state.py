"""All that changes during training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class TrainingState:
    """All that changes during training.

    Attributes
    ----------
    params : ndarray or tensor of shape (n_weights,)
        Weights that learn: the suffix, then the head.
    fixed : ndarray of shape (n_fixed,)
        BatchNorm's statistics and other variables above the freeze point.
    standardizer : ndarray of shape (2, n_features)
        Mean and scale of the pooled features.
    exp_avg, exp_avg_sq : ndarray or tensor of shape (n_weights,)
        AdamW's moments, running means of the gradient and of its square; None before the first
        step.
    n_steps : int
        Steps done.
    """

    params: np.ndarray
    fixed: np.ndarray
    standardizer: np.ndarray
    exp_avg: np.ndarray | None = None
    exp_avg_sq: np.ndarray | None = None
    n_steps: int = 0

    def to_train(self) -> TrainingState:
        """A copy, as steps change arrays in place; with moments of zero if there are none."""
        moments = (
            np.zeros(np.shape(self.params), np.float32) if array is None else np.array(array)
            for array in (self.exp_avg, self.exp_avg_sq)
        )
        params = np.array(self.params)
        return TrainingState(params, self.fixed, self.standardizer, *moments, self.n_steps)

    def as_arrays(self) -> TrainingState:
        """The same without tensors."""
        arrays = (self.params, self.fixed, self.standardizer, self.exp_avg, self.exp_avg_sq)
        return TrainingState(*map(np.asarray, arrays), self.n_steps)

    def without_optimizer(self) -> TrainingState:
        """A copy of the weights alone: all that prediction and a warm start need."""
        return TrainingState(np.array(self.params), self.fixed, self.standardizer)
