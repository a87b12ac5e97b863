"""Everything that changes during training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skltransfer._fields import Matrix, Vector


@dataclass
class TrainingState:
    """Everything that changes during training.

    Attributes
    ----------
    params : ndarray or tensor of shape (n_weights,)
        Trained weights: those of the suffix (the layers above the freeze point), then of the head.
    fixed : ndarray of shape (n_fixed,)
        BatchNorm's statistics and other variables above the freeze point.
    standardizer : ndarray of shape (2, n_features)
        Mean and scale of the head's inputs.
    exp_avg, exp_avg_sq : ndarray or tensor of shape (n_weights,)
        AdamW's moments, running means of the gradient and of its square; None before the first
        step.
    n_steps : int
        Number of steps done.
    """

    params: Vector
    fixed: Vector
    standardizer: Matrix
    exp_avg: Vector | None = None
    exp_avg_sq: Vector | None = None
    n_steps: int = 0

    def to_train(self) -> TrainingState:
        """Return a copy that steps may modify in place; missing moments become zero."""
        first, second = (
            np.zeros(np.shape(self.params), np.float32) if array is None else np.array(array)
            for array in (self.exp_avg, self.exp_avg_sq)
        )
        params = np.array(self.params)
        return replace(self, params=params, exp_avg=first, exp_avg_sq=second)

    def as_arrays(self) -> TrainingState:
        """Return the same state with arrays instead of tensors."""
        return TrainingState(
            np.asarray(self.params),
            np.asarray(self.fixed),
            np.asarray(self.standardizer),
            np.asarray(self.exp_avg),
            np.asarray(self.exp_avg_sq),
            self.n_steps,
        )

    def without_optimizer(self) -> TrainingState:
        """Return a copy without AdamW's moments, which neither predictions nor warm starts need."""
        return TrainingState(np.array(self.params), self.fixed, self.standardizer)
