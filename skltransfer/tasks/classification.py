"""Class labels, one for each row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from skltransfer._fields import LabelVector, Vector
from skltransfer.tasks._task import Floats, Loss, Singles, Targets, WeightedLoss
from skltransfer.tasks.softmax_regression import log_softmax, softmax_regression
from skltransfer.tasks.weighting import WeightedRows, split_by_weight

if TYPE_CHECKING:
    from keras import KerasTensor

ClassWeight: TypeAlias = Mapping[object, float] | Literal["balanced"] | None

_MUCH_LESS_LIKELY = float(np.log(10_000))
"""Training counts as failed if the true class is 10,000 times less likely than by chance. With too
large a learning rate, the loss ends far above this limit. On a few rows of noise, the loss falls
slowly, but ends below the limit."""


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Cross-entropy of the softmax of the outputs."""

    def of_tensors(self, outputs: KerasTensor, targets: KerasTensor) -> KerasTensor:
        """Return the loss of each row, computed with Keras' operations."""
        from keras import ops

        return -ops.sum(targets * ops.log_softmax(outputs, axis=-1), axis=-1)

    def of_arrays(self, outputs: Singles, targets: Singles, shares: Singles) -> WeightedLoss:
        """Return the weighted loss of rows and its gradient, computed with NumPy."""
        log_probabilities = log_softmax(outputs)
        expected = np.exp(log_probabilities) * targets.sum(axis=1, keepdims=True)
        loss = -float((shares * targets * log_probabilities).sum())
        return WeightedLoss(loss, shares * (expected - targets))


@dataclass(frozen=True)
class Classification:
    """One of several classes for each row.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Labels, sorted.
    class_weight : mapping, "balanced" or None, default=None
        Factors on the loss by class, as in scikit-learn.
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over the classes.
    totals : ndarray of float64, shape (n_classes,), or None, default=None
        Weight of each class in the training rows; None before any row was seen.
    """

    classes: LabelVector
    class_weight: ClassWeight = None
    label_smoothing: float = 0.0
    totals: Vector | None = None

    nothing_to_hold_out: ClassVar[str] = "since no class has two different rows"
    adaptations: ClassVar[frozenset[str]] = frozenset({"statistics", "self", "mcc"})

    @property
    def n_outputs(self) -> int:
        """One logit for each class."""
        return len(self.classes)

    @property
    def loss(self) -> Loss:
        """Cross-entropy."""
        return SoftmaxCrossEntropy()

    @property
    def loss_of_a_guess(self) -> float:
        """Loss of equal probabilities."""
        return float(np.log(len(self.classes)))

    @property
    def loss_of_a_failure(self) -> float:
        """Loss if the right class has a tiny probability."""
        return self.loss_of_a_guess + _MUCH_LESS_LIKELY

    @property
    def weight_seen(self) -> float:
        """Total weight of all training rows seen."""
        return 0.0 if self.totals is None else float(np.sum(self.totals))

    @property
    def most_frequent(self) -> int:
        """Index of the class with the largest weight."""
        return 0 if self.totals is None else int(self.totals.argmax())

    def smoothed(self, label_smoothing: float) -> Self:
        """Return the task with this share of each target spread evenly over the classes."""
        return replace(self, label_smoothing=label_smoothing)

    def encode(self, y: NDArray[np.generic]) -> NDArray[np.intp]:
        """Return the index of each row's class."""
        return np.searchsorted(self.classes, y)

    def observed(self, rows: WeightedRows) -> Self:
        """Return the task with the weights of more rows added to the totals of their classes."""
        counts = np.bincount(_indices(rows), rows.weights, minlength=len(self.classes))
        seen = np.asarray(counts, np.float64)  # for the type checker
        return replace(self, totals=seen if self.totals is None else self.totals + seen)

    def targets(self, rows: WeightedRows, all_rows: WeightedRows) -> Targets:
        """Return the target probabilities, and the row weights times the class weights."""
        factors = self._factors(all_rows)
        labels, n_classes, smoothing = _indices(rows), len(self.classes), self.label_smoothing
        values = np.full((len(rows), n_classes), smoothing / n_classes, np.float32)
        values[np.arange(len(rows)), labels] += 1.0 - smoothing
        with np.errstate(over="ignore", invalid="ignore"):
            weights = rows.weights * factors[labels]
            total = weights.sum()
        if not np.isfinite(total):
            raise ValueError(
                f"The values of sample_weight, up to {rows.weights.max():g}, times those of "
                f"class_weight={self.class_weight!r}, up to {factors.max():g}, have no "
                "finite sum. Give values nearer to 1."
            )
        if not weights.any():
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves no weight to any row that is "
                "trained on. Give a class that occurs in y a positive factor."
            )
        return Targets(values, weights)

    def hold_out(
        self, rows: WeightedRows, fraction: float, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Choose a stratified part with about `fraction` of the weight of each class.

        Every class keeps at least one training row, so the only row of a class is not held out.
        """
        labels = _indices(rows)
        chosen = np.zeros(len(rows), dtype=bool)
        for label in range(len(self.classes)):
            members = np.flatnonzero(labels == label)
            if len(members):  # after a warm start a class may be absent
                chosen[members[split_by_weight(rows.weights[members], fraction, rng)]] = True
        return chosen & (self._factors(rows)[labels] > 0)

    def completed(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles, Floats]:
        """Add a row of average features for each class that has no row.

        The first call of `partial_fit` may lack rows of some classes. Without the added rows,
        nothing would bound the logits of these classes, and later calls would need hundreds of
        gradient steps to raise them again.
        """
        counted = weights > 0
        seen = targets[counted]
        absent = np.setdiff1d(np.arange(targets.shape[1]), seen.argmax(axis=1))
        if not len(absent):
            return features, targets, weights
        own, other = seen.max(), seen.min()  # 1 and 0, unless labels are smoothed
        added = other + (own - other) * np.eye(targets.shape[1], dtype=targets.dtype)[absent]
        average = np.zeros((len(absent), features.shape[1]), features.dtype)
        return (
            np.concatenate([features, average]),
            np.concatenate([targets, added]),
            np.concatenate([weights, np.full(len(absent), weights[counted].mean())]),
        )

    def linear_probe(
        self, features: Singles, targets: Singles, weights: Floats
    ) -> tuple[Singles, Singles]:
        """Return the kernel and bias of a softmax regression."""
        return softmax_regression(features, targets, weights)

    def measures(self, outputs: Singles, targets: Targets) -> dict[str, float]:
        """Return the cross-entropy and the accuracy."""
        log_probabilities = log_softmax(outputs)
        share = targets.weights / targets.weights.sum()
        hits = log_probabilities.argmax(axis=1) == targets.values.argmax(axis=1)
        return {
            "loss": float(-(share[:, None] * targets.values * log_probabilities).sum()),
            "accuracy": float((share * hits).sum()),
        }

    def averaged(self, outputs: Sequence[Singles]) -> Floats:
        """Return the logarithms of the mean probabilities over the views."""
        with np.errstate(invalid="ignore"):  # overflow is reported later, with its row
            scores = [log_softmax(logits.astype(np.float64)) for logits in outputs]
        total = scores[0]
        for score in scores[1:]:
            total = np.logaddexp(total, score)
        return np.asarray(total - np.log(len(outputs)))

    def keras_outputs(self, outputs: KerasTensor) -> KerasTensor:
        """Return the probabilities of the classes."""
        import keras

        return keras.layers.Softmax(name="probabilities", dtype="float32")(outputs)

    # Predictions of the classifier ---------------------------------------------------------

    def predicted(self, scores: Floats) -> NDArray[np.generic]:
        """Return the most likely classes; unreadable rows get the most frequent class in `fit`."""
        is_unread = np.isnan(scores[:, 0])
        best = np.where(is_unread, self.most_frequent, scores.argmax(axis=1))
        return np.asarray(self.classes[best])

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probabilities of the classes."""
        return np.asarray(np.exp(scores))

    def log_probabilities(self, scores: Floats) -> Floats:
        """Return the logarithms of these probabilities."""
        return scores

    def decision(self, scores: Floats) -> Floats:
        """Return log-probabilities; for two classes, the log-odds (n,) of the second."""
        return scores[:, 1] - scores[:, 0] if len(self.classes) == 2 else scores

    def _factors(self, rows: WeightedRows) -> Floats:
        """Return a factor for each class; "balanced" gives all classes the same total weight."""
        if self.class_weight is None:
            return np.ones(len(self.classes))
        if not isinstance(self.class_weight, str):
            return _given_factors(self.class_weight, self.classes.tolist())
        labels, n_classes = _indices(rows), len(self.classes)
        totals = np.array([math.fsum(rows.weights[labels == k]) for k in range(n_classes)])
        present = totals > 0  # a class may be absent after a warm start or in partial_fit
        factors = np.ones(n_classes)
        with np.errstate(over="ignore"):  # `targets` refuses weights that overflow
            factors[present] = math.fsum(totals) / (np.count_nonzero(present) * totals[present])
        return factors


def check_class_weight(class_weight: ClassWeight) -> None:
    """Refuse factors that are not numbers, negative or not finite, before anything is read."""
    for label, factor in class_weight.items() if isinstance(class_weight, Mapping) else ():
        is_number = isinstance(factor, Real) and not isinstance(factor, bool)
        if not is_number or not 0 <= factor < math.inf:
            raise ValueError(
                f"class_weight={class_weight!r} gives class {label!r} the factor {factor!r}. "
                "Factors must be finite numbers, 0 or more."
            )


def _indices(rows: WeightedRows) -> NDArray[np.intp]:
    return cast("NDArray[np.intp]", rows.targets)  # as `encode` made them


def _given_factors(class_weight: Mapping[object, float], labels: list[object]) -> Floats:
    """Return the factors of a dict, 1 for classes that are missing from it.

    As in scikit-learn, a dict that contains all classes may also contain others, because a fold may
    lack a class. But a dict that contains unknown labels and lacks a class is an error, because one
    of its labels is probably mistyped.
    """
    unknown = [label for label in class_weight if label not in labels]
    without = [label for label in labels if label not in class_weight]
    if unknown and without:
        raise ValueError(
            f"class_weight has factors for {unknown}, which are not among the classes {labels} of "
            f"y, but no factor for {without}. Use the labels as they are in y."
        )
    factors = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not factors.any():
        raise ValueError(
            f"class_weight={class_weight!r} gives every class the factor 0; at least one must be "
            "positive."
        )
    return factors
