"""The training of one member: initialisation and single epochs.

The members of an estimator are copies of a network with different freeze depths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from skltransfer._warnings import warn_user
from skltransfer.training.head import Standardizer, linear_probe_init, random_head
from skltransfer.training.loop import (
    OptimizerConfig,
    Schedule,
    TrainingData,
    estimate_statistics,
    features_of,
    outputs_of,
    run_epoch,
    steps_per_epoch,
)
from skltransfer.training.state import TrainingState
from skltransfer.training.train_step import TrainStep, join

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array
    from skltransfer.tasks._task import Singles, Task
    from skltransfer.training.plan import FitProgress
    from skltransfer.training.settings import TrainingSettings

_BATCHES_REMEMBERED = 10


@dataclass
class Trainer:
    """The training of one member.

    Attributes
    ----------
    settings : TrainingSettings
        Parameters that control training.
    task : Task
        The kind of target.
    step : TrainStep
        The compiled train step.
    data : TrainingData
        The training data.
    validation : TrainingData or None
        The held-out rows.
    seed : int
        Seed of everything random.
    progress : FitProgress
        Receives the progress.
    """

    settings: TrainingSettings
    task: Task
    step: TrainStep
    data: TrainingData
    validation: TrainingData | None
    seed: int
    progress: FitProgress

    def start(self, features: Array | None) -> TrainingState:
        """Return the starting state: the pretrained layers above the freeze point, and a new head.

        Parameters
        ----------
        features : ndarray of shape (n, n_features) or None
            Pooled features of the training data, computed by the pretrained network. None if
            training normalises by other statistics than those stored in BatchNorm layers; the
            features are then computed here.
        """
        self._check_constraints()
        state = pretrained_state(self.step, self.seed)
        if features is None:
            features = self._adapted_features(state)
        singles = cast("Singles", features)  # networks always end in float32
        self._check_features(singles)
        targets = self.data.targets
        standardizer = Standardizer.of(singles, targets.weights)
        if self.step.n_columns:
            columns = self.data.columns
            standardizer = standardizer.beside(singles, columns, targets.weights)
            singles = np.concatenate([singles, columns], axis=1)
        state.standardizer = np.stack([standardizer.mean, standardizer.scale])
        if self.settings.head_init == "convex":
            problem = standardizer(singles), targets.values, targets.weights
            head = linear_probe_init(self.step.head, self.task, *problem, self.seed)
            state.params = join([*self.step.pretrained(), *head])
        self.progress.started(len(self.data))
        return state

    def schedule(self) -> Schedule:
        """Return the learning rate of every step of a whole training."""
        settings = self.settings
        n_steps = settings.epochs * steps_per_epoch(len(self.data), settings.batch_size)
        return Schedule(settings.learning_rate, n_steps, settings.schedule)

    def run_once(
        self, state: TrainingState, epoch: int, weight: float, weight_seen: float
    ) -> tuple[TrainingState, float]:
        """Train one epoch at a constant rate from `state`, after `epoch` earlier epochs.

        BatchNorm's statistics are averaged over the rows of this epoch, with the total weight
        `weight`, and the earlier rows, with the total weight `weight_seen`. The earlier rows count
        as `_BATCHES_REMEMBERED` batches at most, because the network has changed since.
        """
        before, state = state.fixed, state.to_train()
        loss = self.epoch(state, Schedule(self.settings.learning_rate, 1, "constant"), epoch)
        self.set_statistics(state)
        if weight_seen:
            old = min(weight_seen, _BATCHES_REMEMBERED * self.settings.batch_size)
            state.fixed = before + np.float32(weight / (weight + old)) * (state.fixed - before)
        return state.as_arrays(), loss

    def epoch(self, state: TrainingState, schedule: Schedule, epoch: int) -> float:
        """Train on every row once; modify `state`, which must come from `TrainingState.to_train`.

        Returns
        -------
        float
            Mean weighted loss of the rows.
        """
        advance, how = self.progress.trained, self._optimizer
        loss = run_epoch(self.step, state, self.data, how, schedule, epoch, advance)
        if not np.isfinite(loss):
            raise ValueError(
                f"The loss became {loss} in epoch {epoch + 1}: training diverged with "
                f"learning_rate={self.settings.learning_rate} and head_learning_rate="
                f"{self.settings.head_learning_rate}. Lower them."
            )
        return loss

    def set_statistics(self, state: TrainingState) -> None:
        """Set BatchNorm's stored statistics for prediction, if training used those of batches."""
        if self.settings.by_batch and self.step.norms:
            self._estimated(state)

    def outputs(self, state: TrainingState, validation: TrainingData) -> Singles:
        """Return the outputs for held-out rows."""
        activations = validation.rows(np.arange(len(validation)), 0)
        return cast("Singles", outputs_of(self.step, state, activations, validation.columns)[0])

    def _adapted_features(self, state: TrainingState) -> NDArray[np.float32]:
        """Adapt BatchNorm's statistics; return the pooled features as in training."""
        features = self._estimated(state)
        if self.settings.by_batch:
            return features
        return features_of(self.data, lambda rows: outputs_of(self.step, state, rows)[1])

    def _estimated(self, state: TrainingState) -> NDArray[np.float32]:
        return estimate_statistics(self.step, state, self.data, self.settings.batch_size, self.seed)

    @cached_property
    def _optimizer(self) -> OptimizerConfig:
        """Return the learning rate and weight decay of every weight."""
        settings, step = self.settings, self.step
        n_head = sum(int(np.prod(shape)) for shape in step.head.shapes)
        head_rate = (settings.head_learning_rate or settings.learning_rate) / settings.learning_rate
        of_suffix = np.float32(settings.layer_decay) ** (step.stage_of_weights() + 1)
        decays = [
            np.full(int(np.prod(shape)), settings.weight_decay if len(shape) > 1 else 0.0)
            for shape in step.shapes
        ]
        return OptimizerConfig(
            batch_size=settings.batch_size,
            rates=join([of_suffix, np.full(n_head, head_rate)]),
            decays=join(decays),
            dropout=settings.head_dropout,
            seed=self.seed,
        )

    # Problems ------------------------------------------------------------------------------

    def _check_constraints(self) -> None:
        """Warn of constraints on weights, which Keras would apply after each step."""
        held = [v for v in self.step.trained if getattr(v, "constraint", None) is not None]
        if held:
            warn_user(
                f"backbone={self.step.network.spec.name!r} has constraints on weights, such as "
                f"{held[0].path!r}, which training here does not apply. Freeze their layers, or "
                "train the model in Keras."
            )

    def _check_features(self, features: NDArray[np.float32]) -> None:
        """Refuse features that are not finite; with them, training would seem to diverge."""
        n_faulty = np.count_nonzero(~np.isfinite(features).all(axis=1))
        if n_faulty:
            raise ValueError(
                f"backbone={self.step.network.spec.name!r} gives features of NaN or infinity for "
                f"{n_faulty} of {len(features)} different rows, before anything is trained, with "
                f"precision={self.settings.precision!r}. Check its weights and preprocessing; "
                "the largest number in float16 is 65504."
            )

    def check_loss(self, losses: list[float], state: TrainingState) -> None:
        """Warn if training failed, judged by the loss of the trained network.

        The last of `losses` was computed with dropout, and for each row before the last step that
        trained on it. With few rows, both can make this loss many times larger than that of the
        trained network.
        """
        if self._is_failure(losses):
            measures = self.task.measures(self.outputs(state, self.data), self.data.targets)
            self.warn_of_a_large_loss([losses[0], next(iter(measures.values()))])

    def _is_failure(self, losses: list[float]) -> bool:
        return bool(losses[1:]) and losses[-1] > max(losses[0], self.task.loss_of_a_failure)

    def warn_of_a_large_loss(self, losses: list[float]) -> None:
        """Warn if training ended worse than it began, and much worse than a guess."""
        guess, rate = self.task.loss_of_a_guess, self.settings.learning_rate
        if self._is_failure(losses):
            warn_user(
                f"The loss rose from {losses[0]:.3g} in the first epoch to {losses[-1]:.3g} at the "
                f"end; a constant prediction has a loss of {guess:.3g}. learning_rate={rate} is "
                "too large here: lower it.",
                ConvergenceWarning,
            )


def pretrained_state(step: TrainStep, seed: int) -> TrainingState:
    """Return a state with pretrained layers, a random head, and a standardizer without effect."""
    head = step.head
    moments = np.stack([np.zeros(head.n_features), np.ones(head.n_features)])
    arrays = step.network.arrays
    return TrainingState(
        params=join([*step.pretrained(), *random_head(head, seed)]),
        fixed=join(arrays[id(variable)] for variable in step.fixed),
        standardizer=moments.astype(np.float32),
    )
