"""A third kind of target, made for tests alone: grades, which have an order.

All that a task needs is in this file; importing it is the registration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.validation import column_or_1d

from skltransfer._fields import IntVector
from skltransfer.backend.blas import one_thread
from skltransfer.estimators.fine_tuned import FineTunedBase
from skltransfer.persistence.records import Record, register_record
from skltransfer.persistence.states import FINE_TUNED, fine_tuned_fits, register_estimator
from skltransfer.tasks._task import Targets, WeightedLoss
from skltransfer.tasks.weighting import split_by_weight


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@dataclass(frozen=True)
class CumulativeCrossEntropy:
    """One binary cross-entropy for each grade but the first: is it reached?"""

    def of_tensors(self, outputs, targets):
        from keras import ops

        return ops.sum(ops.binary_crossentropy(targets, outputs, from_logits=True), axis=-1)

    def of_arrays(self, outputs, targets, shares):
        losses = np.logaddexp(0, outputs) - targets * outputs
        return WeightedLoss(
            float((shares * losses).sum()), (shares * (sigmoid(outputs) - targets)).astype("f4")
        )


@dataclass(frozen=True)
class Ordinal:
    """Grades, lowest first."""

    grades: IntVector
    weight_seen: float = 0.0

    loss = CumulativeCrossEntropy()
    nothing_to_hold_out = "since there is one row"
    adaptations = frozenset({"statistics"})

    @property
    def n_outputs(self):
        return len(self.grades) - 1

    @property
    def loss_of_a_guess(self):
        return self.n_outputs * np.log(2)

    @property
    def loss_of_a_failure(self):
        return 10 * self.loss_of_a_guess

    def smoothed(self, label_smoothing):
        return self

    def encode(self, y):
        return np.searchsorted(self.grades, y)

    def observed(self, rows):
        return replace(self, weight_seen=self.weight_seen + float(rows.weights.sum()))

    def targets(self, rows, all_rows):
        reached = rows.targets[:, np.newaxis] > np.arange(self.n_outputs)
        return Targets(reached.astype(np.float32), rows.weights)

    def hold_out(self, rows, fraction, rng):
        chosen = np.zeros(len(rows), bool)
        chosen[split_by_weight(rows.weights, fraction, rng)] = True
        return chosen

    def completed(self, features, targets, weights):
        return features, targets, weights

    def linear_probe(self, features, targets, weights):
        x = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
        penalty = np.diag([1.0] * features.shape[1] + [1e-6])
        with one_thread():
            left = x.T @ (weights[:, np.newaxis] * x) + penalty
            right = x.T @ (weights[:, np.newaxis] * (4.0 * targets - 2.0))
            solution = np.linalg.solve(left, right).astype(np.float32)
        return solution[:-1], solution[-1]

    def measures(self, outputs, targets):
        shares = (targets.weights / targets.weights.sum())[:, np.newaxis]
        return {"loss": self.loss.of_arrays(outputs, targets.values, shares).loss}

    def averaged(self, outputs):
        return np.mean([sigmoid(one.astype(np.float64)) for one in outputs], axis=0)

    def keras_outputs(self, outputs):
        from keras import ops

        return ops.sigmoid(outputs)


class FineTunedOrdinal(FineTunedBase):
    """Fine-tuned network for grades; what it has no parameter for stays at these values."""

    layer = pooling = head_learning_rate = augment = n_views = adaptation = None
    image_shape = pixel_range = input_size = n_jobs = None
    weights, resize, precision, engine = "imagenet", "stretch", "float32", "auto"
    head_activation, head_init, batch_norm, schedule = "relu", "convex", "frozen", "cosine"
    on_error, head_dropout, layer_decay, weight_decay = "raise", 0.2, 1.0, 1e-4
    tta, verbose, n_iter_no_change, validation_fraction = False, 0, 3, 0.2

    def __init__(
        self,
        backbone="efficientnet_lite0",
        *,
        freeze_depth=-1,
        head_units=(),
        epochs=3,
        batch_size=8,
        learning_rate=1e-2,
        early_stopping=False,
        warm_start=False,
        cache="memory",
        random_state=None,
    ):
        self.backbone = backbone
        self.freeze_depth = freeze_depth
        self.head_units = head_units
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.warm_start = warm_start
        self.cache = cache
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        with self._unchanged_on_failure():
            self._check_parameters(X, y)
            y, weights = column_or_1d(y), self._checked_weights(X, sample_weight)
            self._fit(X, y, weights, lambda seen: Ordinal(np.unique(seen)))
        return self

    def predict_reached(self, X):
        """Probabilities that each grade but the first is reached."""
        return self._predicted(X)

    def predict(self, X):
        return self._task.grades[(self.predict_reached(X) > 0.5).sum(axis=1)]

    def score(self, X, y):
        return float(np.mean(self.predict(X) == y))


register_record("ordinal", Record(Ordinal, role="task"))
register_estimator(FineTunedOrdinal, FINE_TUNED, fine_tuned_fits)
