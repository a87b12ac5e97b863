"""What a call of `fit` is given, and what it makes of it before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skltransfer.frozen.frozen_prefix import FrozenPrefix
    from skltransfer.inputs._input import Array, Source
    from skltransfer.tasks._task import Floats, Task
    from skltransfer.tasks.weighting import WeightedRows
    from skltransfer.training.plan import FitProgress

TaskFor: TypeAlias = "Callable[[NDArray[np.generic]], Task]"
"""From the targets of the rows that could be read to the task."""


@dataclass(frozen=True)
class LabelledRows:
    """What a call of `fit` was given.

    Attributes
    ----------
    source : Source
        The rows of X that have weight.
    y : ndarray
        Targets of all rows.
    weights : ndarray of float64, shape (n_samples,)
        Weights of all rows.
    """

    source: Source
    y: NDArray[np.generic]
    weights: Floats

    @property
    def counted(self) -> NDArray[np.intp]:
        """Positions in X of the rows that have weight."""
        return np.flatnonzero(self.weights)


@dataclass(frozen=True)
class TrainingRows:
    """The training rows, read once.

    Attributes
    ----------
    prefix : FrozenPrefix
        What ran them up to the freeze point; of rows that could be read an error is one.
    source : Source
        The rows of X that have weight.
    rows : WeightedRows
        Merged, in canonical order; their positions are those in the source.
    plain : ndarray or None
        Activations of the source at the freeze point; None where every epoch draws other views.
    progress : FitProgress
        Told of further rows.
    """

    prefix: FrozenPrefix
    source: Source
    rows: WeightedRows
    plain: Array | None
    progress: FitProgress

    def activations_of(self, some: WeightedRows) -> Callable[[NDArray[np.intp]], Array]:
        """Function from positions among some of the rows to their activations, not copied."""
        plain, rows = self.plain, some.rows
        assert plain is not None
        return lambda positions: plain[rows[positions]]
