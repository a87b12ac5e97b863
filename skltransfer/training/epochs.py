"""Training all members, epoch by epoch, with early stopping by the mean of their outputs.

The members are copies of one network with different freeze depths, whose outputs are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from skltransfer.training.members import mean_of_members
from skltransfer.training.state import TrainingState
from skltransfer.training.trainer import Trainer

if TYPE_CHECKING:
    from skltransfer.training.loop import TrainingData

States: TypeAlias = tuple[TrainingState, ...]
History: TypeAlias = dict[str, list[float]]


@dataclass
class Best:
    """The weights with the smallest validation loss so far, and the number of epochs since then."""

    loss: float
    states: States
    stale: int = 0


def train(trainers: Sequence[Trainer], states: Sequence[TrainingState]) -> tuple[States, History]:
    """Train all members for all epochs.

    Parameters
    ----------
    trainers : sequence of Trainer
        One for each member. They differ only in depth and rates.
    states : sequence of TrainingState
        The starting state of each member.

    Returns
    -------
    states : tuple of TrainingState
        The trained states; with early stopping, those of the best epoch.
    history : dict of str to list of float
        One value for each epoch: the mean loss of the members and, with early stopping, metrics of
        their averaged outputs on the held-out rows.
    """
    first = trainers[0]
    settings, progress = first.settings, first.progress
    trained = tuple(state.to_train() for state in states)
    schedules = [trainer.schedule() for trainer in trainers]
    losses: list[list[float]] = [[] for _ in trainers]
    history: History = {"loss": []}
    best: Best | None = None
    for epoch in range(settings.epochs):
        for trainer, state, schedule, own in zip(trainers, trained, schedules, losses, strict=True):
            own.append(trainer.epoch(state, schedule, epoch))
        history["loss"].append(_mean([own[-1] for own in losses]))
        if first.validation is not None:
            best = _validated(trainers, trained, best, history)
        progress.epoch(history)
        if best is not None and best.stale >= settings.n_iter_no_change:
            break
    if best is not None:
        return best.states, history
    for trainer, state, own in zip(trainers, trained, losses, strict=True):
        trainer.set_statistics(state)
        trainer.check_loss(own, state)
    return _without_optimizers(trained), history


def train_once(
    trainers: Sequence[Trainer],
    states: Sequence[TrainingState],
    epoch: int,
    weight: float,
    weight_seen: float,
) -> tuple[States, float]:
    """Train one epoch with `Trainer.run_once`; return the states and the mean loss."""
    progress = trainers[0].progress
    results = [
        trainer.run_once(state, epoch, weight, weight_seen)
        for trainer, state in zip(trainers, states, strict=True)
    ]
    loss = _mean([loss for _, loss in results])
    progress.epoch({"loss": [loss]})
    return tuple(state for state, _ in results), loss


def _validated(
    trainers: Sequence[Trainer], states: States, best: Best | None, history: History
) -> Best:
    """Score the held-out rows; return the best weights so far."""
    outputs = []
    for trainer, state in zip(trainers, states, strict=True):
        trainer.set_statistics(state)
        outputs.append(trainer.outputs(state, _held_out(trainer)))
    first = trainers[0]
    measures = first.task.measures(mean_of_members(outputs), _held_out(first).targets)
    for name, value in measures.items():
        history.setdefault(f"val_{name}", []).append(value)
    loss = next(iter(measures.values()))
    if best is None or loss < best.loss:
        return Best(loss, _without_optimizers(states))
    return replace(best, stale=best.stale + 1)


def _held_out(trainer: Trainer) -> TrainingData:
    assert trainer.validation is not None
    return trainer.validation


def _without_optimizers(states: States) -> States:
    return tuple(state.without_optimizer() for state in states)


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)
