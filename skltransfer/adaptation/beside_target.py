"""Training batches that also contain rows of the target domain, for class confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.training.loop import TrainingData

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array
    from skltransfer.tasks._task import Singles

_STREAM = 1 << 20


@dataclass(frozen=True)
class BesideTarget(TrainingData):
    """Training data whose batches contain as many rows of the target domain as labelled rows.

    In a batch, the target rows follow the labelled rows. Their targets are zeros, by which
    `WithConfusion` recognises target rows.

    Attributes
    ----------
    target : TrainingData
        Rows of the target domain; the weight of a row says how often it occurs.
    seed : int
        Seed of the order of the target's rows.
    """

    target: TrainingData
    seed: int

    def batch_rows(self, batch_size: int) -> int:
        """Return the number of rows in a batch."""
        return 2 * super().batch_rows(batch_size)

    def batch(
        self, positions: np.ndarray, weights: np.ndarray, epoch: int, number: int
    ) -> tuple[Array, Singles, Singles, Singles]:
        """Return a batch with rows of the target; both halves have the same total weight."""
        rows, values, weights, columns = super().batch(positions, weights, epoch, number)
        drawn = self._drawn(len(positions), epoch, number)
        return (
            np.concatenate([rows, self.target.rows(drawn, 0)]),
            np.concatenate([values, np.zeros_like(values)]),
            2 * np.concatenate([weights, np.ones_like(weights)]),
            np.concatenate([columns, self.target.columns[drawn]]),
        )

    def _drawn(self, n_rows: int, epoch: int, number: int) -> np.ndarray:
        """Return the positions of the target rows of a batch; their order changes every epoch."""
        counts = self.target.targets.weights.astype(np.intp)
        rng = np.random.default_rng([self.seed, _STREAM, epoch])
        order = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        found: np.ndarray = order[(number * n_rows + np.arange(n_rows)) % len(order)]
        return found
