"""The seam for what is learned: from y to targets, and from outputs of the head to predictions.

A `Task` is a description of the targets, decided in `fit` and stored as plain data. The rest of
the package sees this protocol and no task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.tasks.weighting import WeightedRows

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]


class WeightedLoss(NamedTuple):
    """The loss of some rows together and its gradient.

    Attributes
    ----------
    loss : float
        Sum of the losses of the rows times their shares.
    slope : ndarray of shape (n, n_outputs)
        Gradient by the outputs.
    """

    loss: float
    slope: Singles


class Loss(Protocol):
    """The loss of a row; equal losses compare equal, so that what is compiled is shared."""

    def of_tensors(self, outputs: KerasTensor, targets: KerasTensor) -> KerasTensor:
        """Loss of each row, (n,), of tensors of shape (n, n_outputs), in Keras' operations."""
        ...

    def of_arrays(self, outputs: Singles, targets: Singles, shares: Singles) -> WeightedLoss:
        """The same in NumPy for rows of some shares, (n, 1), with the gradient."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Targets:
    """What is trained on.

    Attributes
    ----------
    values : ndarray of float32, shape (n, n_outputs)
        What the loss compares outputs with.
    weights : ndarray of float64, shape (n,)
        Weights of the rows; some are positive.
    """

    values: Singles
    weights: Floats


class Task(Protocol):
    """What is learned."""

    @property
    def n_outputs(self) -> int:
        """Numbers that the head gives for a row."""
        ...

    @property
    def loss(self) -> Loss:
        """The loss of a row."""
        ...

    @property
    def loss_of_a_guess(self) -> float:
        """Loss of the best outputs that do not depend on the row, or a bound on it."""
        ...

    @property
    def loss_of_a_failure(self) -> float:
        """A loss so much larger that training must have diverged."""
        ...

    @property
    def nothing_to_hold_out(self) -> str:
        """Why `hold_out` chose no row, for a message: "since ..."."""
        ...

    @property
    def weight_seen(self) -> float:
        """Weight of all rows that it was told of by `observed`."""
        ...

    def encode(self, y: NDArray[np.generic]) -> NDArray[np.generic]:
        """Numbers of fixed type by which equal targets are known, (n,) or (n, k)."""
        ...

    def observed(self, rows: WeightedRows) -> Self:
        """The task after it has seen more training rows."""
        ...

    def targets(self, rows: WeightedRows, all_rows: WeightedRows) -> Targets:
        """What some of the training rows are trained on.

        Raises
        ------
        ValueError
            When weights have no finite sum, or none of them is positive.
        """
        ...

    def hold_out(
        self, rows: WeightedRows, fraction: float, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Choose rows to validate on, about `fraction` of the weight; none where none can be."""
        ...

    def completed(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles, Floats]:
        """The convex problem with such rows added as it needs to have a sensible solution."""
        ...

    def linear_probe(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles]:
        """Kernel (n_features, n_outputs) and bias of the solution of a convex problem.

        It is computed in one thread, so that the number of threads changes no bit.
        """
        ...

    def measures(self, outputs: Singles, targets: Targets) -> dict[str, float]:
        """Names and values of what is told of held-out rows; the first decides when to stop."""
        ...

    def averaged(self, outputs: Sequence[Singles]) -> Floats:
        """Predictions from the outputs for several views of the same rows."""
        ...

    def keras_outputs(self, outputs: KerasTensor) -> KerasTensor:
        """Predictions of a Keras model, from the outputs of its head."""
        ...
