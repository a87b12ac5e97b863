"""Choosing the train step for a network, freeze point, head and loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skltransfer.backend import holds_weights
from skltransfer.frozen.prefix import is_end
from skltransfer.training.head_train_step import HeadTrainStep
from skltransfer.training.train_step import TrainStep

if TYPE_CHECKING:
    from skltransfer.network.runtime import Network
    from skltransfer.tasks._task import Loss
    from skltransfer.training.head import Head


def train_step_for(
    network: Network,
    freeze_point: int | None,
    head: Head,
    loss: Loss,
    by_batch: bool,
    dropout: bool,
) -> TrainStep:
    """Return the train step; all fits of the process with the same arguments share it."""
    by_numpy = is_end(network, freeze_point) and HeadTrainStep.serves(head) and not holds_weights()
    kind = HeadTrainStep if by_numpy else TrainStep
    key = ("train step", freeze_point, head, loss, by_batch, dropout)
    return network.part(key, lambda: kind(network, freeze_point, head, loss, by_batch, dropout))
