"""Several labels for each row; any number of them may be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from scipy.special import expit, log_expit

from skltransfer.tasks._task import Floats, Loss, Singles, Targets, WeightedLoss
from skltransfer.tasks.logistic_regressions import logistic_regressions
from skltransfer.tasks.weighting import WeightedRows, split_by_content

if TYPE_CHECKING:
    from keras import KerasTensor

LabelWeights: TypeAlias = Sequence[Mapping[int, float]] | Literal["balanced"] | None
Container: TypeAlias = Literal["array", "csr_array", "csr_matrix"]

_MUCH_LESS_LIKELY = float(np.log(10_000))
_VALUES = (0, 1)

DTYPES = ("bool", *(f"{kind}{8 * size}" for kind in ("int", "uint") for size in (1, 2, 4, 8)))
DTYPES += ("float16", "float32", "float64")
"""Dtypes that y and predictions may have."""


@dataclass(frozen=True)
class SigmoidCrossEntropy:
    """Binary cross-entropy of the sigmoid of the outputs, averaged over the labels.

    Targets are signed weights: positive where a label is true, negative where it is false. With
    weight 0, a label of a row does not count.

    Attributes
    ----------
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over true and false.
    """

    label_smoothing: float = 0.0

    def of_tensors(self, outputs: KerasTensor, targets: KerasTensor) -> KerasTensor:
        """Return the loss of each row, computed with Keras' operations."""
        from keras import ops

        sizes = ops.abs(targets)
        expected = self.expected(targets, sizes)
        return ops.mean(sizes * ops.softplus(outputs) - expected * outputs, axis=-1)

    def of_arrays(self, outputs: Singles, targets: Singles, shares: Singles) -> WeightedLoss:
        """Return the weighted loss of rows and its gradient, computed with NumPy."""
        sizes = np.abs(targets)
        expected = self.expected(targets, sizes)
        shares = shares / targets.shape[1]
        losses = sizes * np.logaddexp(np.float32(0), outputs) - expected * outputs
        slope = shares * (sizes * expit(outputs) - expected)
        return WeightedLoss(float((shares * losses).sum()), slope)

    def expected(self, targets: Any, sizes: Any) -> Any:
        """Return the target probabilities of the labels, multiplied by their weights `sizes`."""
        return 0.5 * (sizes + (1.0 - self.label_smoothing) * targets)


@dataclass(frozen=True)
class MultiLabel:
    """Several labels for each row.

    Attributes
    ----------
    n_labels : int
        Number of labels.
    names : ndarray of str objects, shape (n_labels,), or None
        Names of the labels, from the columns of y.
    dtype : str
        Dtype of y, and so of predictions; one of `DTYPES`.
    container : str
        Type of y, and so of predictions: "array", "csr_array" or "csr_matrix".
    class_weight : list of mapping, "balanced" or None, default=None
        Factors on the loss of the values 0 and 1 of each label.
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over true and false.
    totals : ndarray of float64, shape (n_labels, 2), or None, default=None
        Total weight of the training rows in which each label is false, and in which it is true;
        None before any row was seen.
    """

    n_labels: int
    names: NDArray[np.object_] | None
    dtype: str
    container: Container
    class_weight: LabelWeights = None
    label_smoothing: float = 0.0
    totals: Floats | None = None

    nothing_to_hold_out: ClassVar[str] = "since all rows are equal"
    adaptations: ClassVar[frozenset[str]] = frozenset({"statistics"})

    @property
    def classes(self) -> NDArray[np.intp]:
        """Numbers of the labels."""
        return np.arange(self.n_labels)

    @property
    def n_outputs(self) -> int:
        """A logit for each label."""
        return self.n_labels

    @property
    def loss(self) -> Loss:
        """Binary cross-entropy."""
        return SigmoidCrossEntropy(self.label_smoothing)

    @property
    def loss_of_a_guess(self) -> float:
        """Loss of probabilities of one half."""
        return float(np.log(2))

    @property
    def loss_of_a_failure(self) -> float:
        """Loss if the true value of each label has a tiny probability."""
        return self.loss_of_a_guess + _MUCH_LESS_LIKELY

    @property
    def weight_seen(self) -> float:
        """Total weight of all training rows seen."""
        return 0.0 if self.totals is None else float(self.totals[0].sum())

    def smoothed(self, label_smoothing: float) -> Self:
        """Return the task with this share of each target spread evenly over true and false."""
        return replace(self, label_smoothing=label_smoothing)

    def encode(self, y: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the labels unchanged: they were checked to be 0 and 1."""
        return y

    def observed(self, rows: WeightedRows) -> Self:
        """Return the task with the totals of more rows added."""
        seen = _totals(rows)
        return replace(self, totals=seen if self.totals is None else self.totals + seen)

    def targets(self, rows: WeightedRows, all_rows: WeightedRows) -> Targets:
        """Return the signed weights of the labels, and the weights of the rows."""
        factors = self._factors(all_rows)
        is_true = rows.targets == 1
        values = np.where(is_true, factors[:, 1], -factors[:, 0]).astype(np.float32)
        if not values.any():
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves no weight to any label that is "
                "trained on. Give a value that occurs in y a positive factor."
            )
        return Targets(values, rows.weights)

    def hold_out(
        self, rows: WeightedRows, fraction: float, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Choose rows with about `fraction` of the weight; rows of equal content stay together."""
        return split_by_content(rows, fraction, rng)

    def completed(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles, Floats]:
        """Add a row of average features, in which labels that never vary have the opposite value.

        Without this row, nothing would bound the logits of these labels.
        """
        counted = targets[weights > 0]
        always, never = (counted >= 0).all(axis=0), (counted <= 0).all(axis=0)
        other = np.where(never, 1.0, np.where(always, -1.0, 0.0)) * np.abs(counted).mean(axis=0)
        if not other.any():
            return features, targets, weights
        average = np.zeros((1, features.shape[1]), features.dtype)
        return (
            np.concatenate([features, average]),
            np.concatenate([targets, other[np.newaxis].astype(np.float32)]),
            np.append(weights, weights[weights > 0].mean()),
        )

    def linear_probe(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles]:
        """Return the kernel and bias of one logistic regression for each label."""
        sizes = np.abs(targets)
        expected = SigmoidCrossEntropy(self.label_smoothing).expected(targets, sizes)
        return logistic_regressions(features, sizes, expected, weights)

    def measures(self, outputs: Singles, targets: Targets) -> dict[str, float]:
        """Return the cross-entropy, and the share of rows with all labels right, like `score`."""
        share = (targets.weights / targets.weights.sum())[:, np.newaxis]
        loss = self.loss.of_arrays(outputs, targets.values, share.astype(np.float32)).loss
        is_right = ((outputs > 0) == (targets.values > 0)) | (targets.values == 0)
        return {"loss": loss, "accuracy": float(share[is_right.all(axis=1)].sum())}

    def averaged(self, outputs: Sequence[Singles]) -> Floats:
        """Return the log-odds of the mean probabilities over the views."""
        logits = [found.astype(np.float64) for found in outputs]
        if len(logits) == 1:
            return logits[0]
        true, false = (
            np.logaddexp.reduce([log_expit(sign * found) for found in logits]) for sign in (1, -1)
        )
        return np.asarray(true - false)

    def keras_outputs(self, outputs: KerasTensor) -> KerasTensor:
        """Return the probabilities of the labels."""
        import keras

        return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")(outputs)

    # Predictions of the classifier ---------------------------------------------------------

    def predicted(self, scores: Floats) -> Any:
        """Return 1 for likely labels; unreadable rows get the more frequent value of each label."""
        usual = False if self.totals is None else self.totals[:, 1] > self.totals[:, 0]
        found = np.where(np.isnan(scores), usual, scores > 0).astype(self.dtype)
        return {"array": np.asarray, "csr_array": csr_array, "csr_matrix": csr_matrix}[
            self.container
        ](found)

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probabilities that the labels are true."""
        return np.asarray(expit(scores))

    def log_probabilities(self, scores: Floats) -> Floats:
        """Return the logarithms of these probabilities."""
        return np.asarray(log_expit(scores))

    def decision(self, scores: Floats) -> Floats:
        """Return the log-odds of the labels."""
        return scores

    def _factors(self, rows: WeightedRows) -> Floats:
        """Return factors (n_labels, 2); "balanced" equalises the total weights of both values."""
        if self.class_weight is None:
            return np.ones((self.n_labels, 2))
        if not isinstance(self.class_weight, str):
            given = [
                [factors.get(value, 1.0) for value in _VALUES] for factors in self.class_weight
            ]
            return np.array(given, np.float64)
        totals = _totals(rows)
        present = totals > 0
        shares = totals.sum(axis=1, keepdims=True) / present.sum(axis=1, keepdims=True)
        return np.where(present, shares / np.where(present, totals, 1.0), 1.0)


def _totals(rows: WeightedRows) -> Floats:
    """Return the total weight of rows where each label is false, and where it is true."""
    is_true = rows.targets == 1
    return np.stack([rows.weights @ ~is_true, rows.weights @ is_true], axis=1)
