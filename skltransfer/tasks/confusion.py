"""Minimum class confusion: a loss that penalises predictions divided between classes.

It is the loss of Jin et al., "Minimum Class Confusion for Versatile Domain Adaptation", ECCV 2020,
and needs no labels. The confusion of a class is the mean, over the rows, of the probability that
the network gives to the other classes. In this mean, a row counts in proportion to its probability
of the class itself, and more if its prediction is certain. The loss is the mean confusion of the
classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skltransfer.tasks._task import Floats, Loss, Singles, WeightedLoss
from skltransfer.tasks.softmax_regression import log_softmax

if TYPE_CHECKING:
    from keras import KerasTensor

_TEMPERATURE = 2.5  # as in the paper
_LEAST = 1e-12


class Confusion(NamedTuple):
    """The loss, between 0 and 1, and its gradient with respect to the outputs, (n, n_classes)."""

    loss: float
    slope: Floats


def confusion(outputs: NDArray[np.floating], weights: Floats) -> Confusion:
    """Return the class confusion of weighted rows of logits (n, n_classes), with its gradient."""
    log_p = log_softmax(np.asarray(outputs, np.float64) / _TEMPERATURE)
    p = np.exp(log_p)
    certainty = np.exp((p * log_p).sum(axis=1))  # exp(-entropy)
    size = (weights * (1 + certainty))[:, None]
    total = (size * p).sum(axis=0) + _LEAST
    agreeing = (size * p**2).sum(axis=0) / total
    # Gradients of the sum of `agreeing` with respect to size, log(certainty), p and the outputs.
    by_size = (p**2 - agreeing * p) / total
    by_certainty = weights * certainty * by_size.sum(axis=1)
    by_p = size * (2 * p - agreeing) / total + by_certainty[:, None] * (log_p + 1)
    by_output = p * (by_p - (p * by_p).sum(axis=1, keepdims=True))
    n_classes = p.shape[1]
    return Confusion(1 - float(agreeing.mean()), -by_output / (n_classes * _TEMPERATURE))


def confusion_of_tensors(outputs: KerasTensor, weights: KerasTensor) -> KerasTensor:
    """Return the same loss in Keras' operations; rows of weight 0 do not count."""
    from keras import ops

    log_p = ops.log_softmax(outputs / _TEMPERATURE, axis=-1)
    p = ops.exp(log_p)
    size = (weights * (1 + ops.exp(ops.sum(p * log_p, axis=-1))))[:, None]
    total = ops.sum(size * p, axis=0) + _LEAST
    return 1 - ops.mean(ops.sum(size * p**2, axis=0) / total)


@dataclass(frozen=True)
class WithConfusion:
    """The loss of labelled rows, plus the class confusion of unlabelled rows in the same batch.

    The targets of unlabelled rows are zeros. Each of these rows has the same loss: the confusion
    over all of them.

    Attributes
    ----------
    loss : Loss
        The loss of labelled rows, whose targets are probabilities.
    """

    loss: Loss

    def of_tensors(self, outputs: KerasTensor, targets: KerasTensor) -> KerasTensor:
        """Return the loss of each row, computed with Keras' operations."""
        from keras import ops

        is_other = 1.0 - ops.round(ops.sum(targets, axis=-1))
        confused = confusion_of_tensors(outputs, is_other)
        return self.loss.of_tensors(outputs, targets) + is_other * confused

    def of_arrays(self, outputs: Singles, targets: Singles, shares: Singles) -> WeightedLoss:
        """Return the weighted loss of rows and its gradient, computed with NumPy."""
        is_other = 1.0 - np.round(targets.sum(axis=1))
        share = float(shares[:, 0] @ is_other)
        labelled = self.loss.of_arrays(outputs, targets, shares)
        confused = confusion(outputs, is_other.astype(np.float64))
        slope = labelled.slope + (share * confused.slope).astype(np.float32)
        return WeightedLoss(labelled.loss + share * confused.loss, slope)
