"""The input of a call of `fit`, and the training rows made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skltransfer.frozen.frozen_prefix import Activations, FrozenPrefix
    from skltransfer.inputs._input import Array, Source
    from skltransfer.tasks._task import Floats, Singles, Task
    from skltransfer.tasks.weighting import WeightedRows
    from skltransfer.training.plan import FitProgress

TaskFor: TypeAlias = "Callable[[NDArray[np.generic]], Task]"
"""Makes the task from the targets of the readable rows."""


@dataclass(frozen=True)
class LabelledRows:
    """The input of a call of `fit`.

    Attributes
    ----------
    source : Source
        The rows of X with positive weight.
    y : ndarray
        Targets of all rows.
    weights : ndarray of float64, shape (n_samples,)
        Weights of all rows.
    table : frame or None
        The columns of the frame that the backbone does not read, for the rows with positive weight.
    """

    source: Source
    y: NDArray[np.generic]
    weights: Floats
    table: Any

    @property
    def counted(self) -> NDArray[np.intp]:
        """Positions in X of the rows with positive weight."""
        return np.flatnonzero(self.weights)


@dataclass(frozen=True)
class TrainingRows:
    """The training rows, read once.

    Attributes
    ----------
    prefix : FrozenPrefix
        The frozen part that computed the activations; from now on, rows that cannot be read raise
        errors.
    source : Source
        The rows of X with positive weight.
    rows : WeightedRows
        The rows, merged and in canonical order, with their positions in the source.
    plain : dict of int or None to ndarray, or None
        Activations of all rows of the source, by freeze point; None if every epoch draws new views.
    columns : ndarray of float32, shape (n_source, n_columns)
        The extra columns that the head reads, for the rows of the source; often none.
    progress : FitProgress
        Receives the progress.
    """

    prefix: FrozenPrefix
    source: Source
    rows: WeightedRows
    plain: Activations | None
    columns: Singles
    progress: FitProgress

    def activations_of(
        self, some: WeightedRows, freeze_point: int | None
    ) -> Callable[[NDArray[np.intp]], Array]:
        """Return a function from positions within the rows `some` to activations."""
        assert self.plain is not None
        plain, rows = self.plain[freeze_point], some.rows
        return lambda positions: plain[rows[positions]]
