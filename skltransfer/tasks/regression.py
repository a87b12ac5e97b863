"""One or several numbers for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from skltransfer._fields import FiniteVector, PositiveInt
from skltransfer.backend.rescaling import rescaled
from skltransfer.tasks._task import Floats, Loss, Singles, Targets, WeightedLoss
from skltransfer.tasks.ridge import ridge
from skltransfer.tasks.weighting import WeightedRows, split_by_content

if TYPE_CHECKING:
    from keras import KerasTensor

_ROUNDING = 10 * np.finfo(np.float64).eps
_FAILS_AT = 10.0  # times the loss of a guess


class _ByResidual:
    """A loss that averages a function of the residual over the outputs."""

    def of_tensors(self, outputs: KerasTensor, targets: KerasTensor) -> KerasTensor:
        """Return the loss of each row, computed with Keras' operations."""
        from keras import ops

        return ops.mean(self._losses(outputs - targets, ops), axis=-1)

    def of_arrays(self, outputs: Singles, targets: Singles, shares: Singles) -> WeightedLoss:
        """Return the weighted loss of rows and its gradient, computed with NumPy."""
        residuals = outputs - targets
        shares = shares / residuals.shape[1]
        loss = float((shares * self._losses(residuals, np)).sum())
        return WeightedLoss(loss, shares * self._slopes(residuals))

    def _losses(self, residuals: Any, operations: Any) -> Any:
        """Return the losses; `operations` is NumPy or keras.ops, which use the same names."""
        raise NotImplementedError

    def _slopes(self, residuals: Singles) -> Singles:
        """Return the derivative of the loss."""
        raise NotImplementedError


@dataclass(frozen=True)
class SquaredError(_ByResidual):
    """Mean squared error."""

    of_a_guess: ClassVar[float] = 1.0

    def _losses(self, residuals: Any, operations: Any) -> Any:
        return operations.square(residuals)

    def _slopes(self, residuals: Singles) -> Singles:
        return 2 * residuals


@dataclass(frozen=True)
class AbsoluteError(_ByResidual):
    """Mean absolute error."""

    of_a_guess: ClassVar[float] = 1.0

    def _losses(self, residuals: Any, operations: Any) -> Any:
        return operations.abs(residuals)

    def _slopes(self, residuals: Singles) -> Singles:
        return np.sign(residuals)


@dataclass(frozen=True)
class HuberLoss(_ByResidual):
    """Half the squared error up to one standard deviation, linear beyond it (Huber 1964)."""

    of_a_guess: ClassVar[float] = 0.5

    def _losses(self, residuals: Any, operations: Any) -> Any:
        size = operations.abs(residuals)
        within = operations.minimum(size, 1.0)
        return within * (size - 0.5 * within)

    def _slopes(self, residuals: Singles) -> Singles:
        return np.clip(residuals, -1.0, 1.0)


LOSSES: Mapping[str, SquaredError | AbsoluteError | HuberLoss] = {
    "squared_error": SquaredError(),
    "absolute_error": AbsoluteError(),
    "huber": HuberLoss(),
}


@dataclass(frozen=True)
class Regression:
    """One or several numbers for each row.

    Attributes
    ----------
    n_targets : int
        Number of targets.
    is_flat : bool
        Whether predictions have the shape (n,) instead of (n, 1).
    loss_name : str
        One of `LOSSES`.
    mean, scale : ndarray of float64, shape (n_targets,), or None, default=None
        Weighted mean and standard deviation of the targets in the first fit, used to standardise
        them; None before any row was seen. Constant targets have scale 1.
    weight_seen : float, default=0.0
        Total weight of all training rows seen.
    """

    n_targets: PositiveInt
    is_flat: bool
    loss_name: str
    mean: FiniteVector | None = None
    scale: FiniteVector | None = None
    weight_seen: float = 0.0

    nothing_to_hold_out: ClassVar[str] = "since all rows are equal"
    adaptations: ClassVar[frozenset[str]] = frozenset({"statistics"})

    @property
    def n_outputs(self) -> int:
        """One standardised number for each target."""
        return self.n_targets

    @property
    def loss(self) -> Loss:
        """The loss averaged over the targets, which are in units of their standard deviations."""
        return LOSSES[self.loss_name]

    @property
    def loss_of_a_guess(self) -> float:
        """Upper bound on the loss of predicting the mean."""
        return LOSSES[self.loss_name].of_a_guess

    @property
    def loss_of_a_failure(self) -> float:
        """Loss of errors of several standard deviations."""
        return _FAILS_AT * self.loss_of_a_guess

    def smoothed(self, label_smoothing: float) -> Self:
        """Return the task unchanged: numbers are not smoothed."""
        return self

    def encode(self, y: NDArray[np.generic]) -> Floats:
        """Return the numbers, with -0.0 replaced by 0.0."""
        return np.asarray(y, np.float64) + 0.0

    def observed(self, rows: WeightedRows) -> Self:
        """Return the task after it has seen more rows; the first rows set mean and scale."""
        seen = replace(self, weight_seen=self.weight_seen + float(rows.weights.sum()))
        if self.mean is not None:
            return seen
        mean, scale = _moments(_columns(rows), rows.weights)
        return replace(seen, mean=mean, scale=scale)

    def targets(self, rows: WeightedRows, all_rows: WeightedRows) -> Targets:
        """Return the standardised numbers."""
        mean, scale = self._moments
        values = (_columns(rows) - mean) / scale
        return Targets(values.astype(np.float32), rows.weights)

    def hold_out(
        self, rows: WeightedRows, fraction: float, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Choose rows with about `fraction` of the weight; rows of equal content stay together."""
        return split_by_content(rows, fraction, rng)

    def completed(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles, Floats]:
        """Return the problem unchanged: it always has a solution."""
        return features, targets, weights

    def linear_probe(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles]:
        """Return kernel and bias of a ridge regression, whatever the loss."""
        return ridge(features, targets, weights)

    def measures(self, outputs: Singles, targets: Targets) -> dict[str, float]:
        """Return the loss, and R² as scikit-learn defines it, averaged over the targets."""
        shares = (targets.weights / targets.weights.sum()).astype(np.float32)[:, np.newaxis]
        loss = self.loss.of_arrays(outputs, targets.values, shares).loss
        return {"loss": loss, "r2": _r2(outputs, targets)}

    def averaged(self, outputs: Sequence[Singles]) -> Floats:
        """Return the mean over the views, in the units of y."""
        mean, scale = self._moments
        averaged = sum(found.astype(np.float64) for found in outputs) / len(outputs)
        predictions = np.asarray(mean + scale * averaged)
        return predictions[:, 0] if self.is_flat else predictions

    def keras_outputs(self, outputs: KerasTensor) -> KerasTensor:
        """Return the numbers in the units of y."""
        mean, scale = self._moments
        return rescaled(outputs, scale, mean)

    @property
    def _moments(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Mean and scale, once `observed` has set them."""
        assert self.mean is not None and self.scale is not None
        return self.mean, self.scale


def _columns(rows: WeightedRows) -> Floats:
    """Return targets of shape (n, n_targets)."""
    return cast("Floats", rows.targets).reshape(len(rows), -1)  # as `encode` made them


def _moments(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean and standard deviation of each column.

    Raises
    ------
    ValueError
        If the numbers differ by more than float64 can represent.
    """
    shares = (weights / weights.sum())[:, np.newaxis]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = (shares * values).sum(axis=0)
        deviations = values - mean
        largest = np.abs(deviations).max(axis=0)
        unit = np.where(largest > 0, largest, 1.0)
        scale = unit * np.sqrt((shares * np.square(deviations / unit)).sum(axis=0))
    if not np.isfinite(scale).all():
        raise ValueError(
            f"y ranges from {values.min():g} to {values.max():g}, and the difference is beyond the "
            "range of float64. Divide y by its largest value."
        )
    scale[scale <= _ROUNDING * np.abs(mean)] = 1.0
    scale[scale == 0] = 1.0
    return mean, scale


def _r2(outputs: Singles, targets: Targets) -> float:
    """Return R² averaged over the targets; NaN for a single row, where it is undefined."""
    from sklearn.metrics import r2_score

    if len(outputs) < 2:
        return float("nan")
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.nan_to_num(outputs.astype(np.float64))
        return float(r2_score(targets.values, finite, sample_weight=targets.weights))
