"""The protocol for kinds of targets: from y to targets, and from outputs to predictions.

A `Task` describes the targets. `fit` creates it, and it is stored as plain data. The rest of the
package knows only this protocol.
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
    """The weighted loss of rows, and its gradient.

    Attributes
    ----------
    loss : float
        Sum over all rows: the loss of each row times its share.
    slope : ndarray of shape (n, n_outputs)
        Gradient of this sum with respect to the outputs.
    """

    loss: float
    slope: Singles


class Loss(Protocol):
    """The loss of a row; equal losses compare equal, so that compiled functions are shared."""

    def of_tensors(self, outputs: KerasTensor, targets: KerasTensor) -> KerasTensor:
        """Return the loss of each row, computed with Keras' operations.

        `outputs` and `targets` have the shape (n, n_outputs); the result has the shape (n,).
        """
        ...

    def of_arrays(self, outputs: Singles, targets: Singles, shares: Singles) -> WeightedLoss:
        """Return the weighted loss and its gradient, computed with NumPy.

        `shares`, of shape (n, 1), are the factors by which the losses of the rows are multiplied.
        """
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Targets:
    """The training targets.

    Attributes
    ----------
    values : ndarray of float32, shape (n, n_outputs)
        Values with which the loss compares the outputs.
    weights : ndarray of float64, shape (n,)
        Weights of the rows; at least one is positive.
    """

    values: Singles
    weights: Floats


class Task(Protocol):
    """A kind of target."""

    @property
    def n_outputs(self) -> int:
        """Number of the head's outputs for a row."""
        ...

    @property
    def loss(self) -> Loss:
        """The loss of a row."""
        ...

    @property
    def loss_of_a_guess(self) -> float:
        """Loss of the best outputs that do not depend on the row, or an upper bound on it."""
        ...

    @property
    def loss_of_a_failure(self) -> float:
        """A loss so large that training must have diverged."""
        ...

    @property
    def nothing_to_hold_out(self) -> str:
        """Why `hold_out` chose no row, as a clause of a message that begins with "since"."""
        ...

    @property
    def adaptations(self) -> frozenset[str]:
        """The values of `adaptation` that suit this kind of target."""
        ...

    @property
    def weight_seen(self) -> float:
        """Total weight of all rows passed to `observed`."""
        ...

    def smoothed(self, label_smoothing: float) -> Self:
        """Return the task with smoothed targets; unchanged if targets are not labels."""
        ...

    def encode(self, y: NDArray[np.generic]) -> NDArray[np.generic]:
        """Encode targets as numbers of a fixed type, (n,) or (n, k); equal targets stay equal."""
        ...

    def observed(self, rows: WeightedRows) -> Self:
        """Return the task after it has seen more training rows."""
        ...

    def targets(self, rows: WeightedRows, all_rows: WeightedRows) -> Targets:
        """Return the targets of `rows`; "balanced" class weights are those of `all_rows`.

        Raises
        ------
        ValueError
            If the weights have no finite sum, or none of them is positive.
        """
        ...

    def hold_out(
        self, rows: WeightedRows, fraction: float, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Choose validation rows with about `fraction` of the weight; none if that cannot be."""
        ...

    def completed(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles, Floats]:
        """Return the rows of the convex problem, plus those that keep its solution finite."""
        ...

    def linear_probe(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles]:
        """Return the kernel (n_features, n_outputs) and bias that solve the convex problem.

        They are computed on one thread, so that the number of threads does not change them.
        """
        ...

    def measures(self, outputs: Singles, targets: Targets) -> dict[str, float]:
        """Return metrics of the held-out rows by name; early stopping uses the first."""
        ...

    def averaged(self, outputs: Sequence[Singles]) -> Floats:
        """Return predictions averaged over the outputs for several views of the same rows."""
        ...

    def keras_outputs(self, outputs: KerasTensor) -> KerasTensor:
        """Return the predictions of a Keras model, from the outputs of its head."""
        ...
