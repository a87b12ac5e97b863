"""One training of a classifier: examples, starting point, epochs, early stopping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skltransfer._warnings import warn_user
from skltransfer.frozen.prefix import is_station, trunk_part
from skltransfer.network.runtime import Network
from skltransfer.tasks.weighting import WeightedRows, class_factors, split_by_weight
from skltransfer.training.head import Standardizer, convex_head, log_softmax, random_head
from skltransfer.training.loop import (
    Examples,
    Optimisation,
    Schedule,
    TrainingState,
    estimate_statistics,
    logits_of,
    run_epoch,
    steps_per_epoch,
)
from skltransfer.training.plan import FitProgress
from skltransfer.training.train_step import Program, join

_SPLIT_STREAM = 1
_ROWS_TOGETHER = 64
_BATCHES_REMEMBERED = 10
_MUCH_LESS_LIKELY = np.log(10_000)
"""The right class is 10,000 times less likely than by a guess. Where a rate is too large, the loss
ends far above that; that of a few rows of noise, which recovers too late, stays below."""


@dataclass
class Best:
    """The weights with the smallest validation loss so far, and how long ago that was."""

    loss: float
    state: TrainingState
    stale: int = 0


@dataclass
class TrainingRun:
    """What a fit works with.

    Attributes
    ----------
    settings : FineTunedClassifier
        Gives the parameters; it is not changed.
    program : Program
        What is trained, compiled.
    source : ImageSource or RowSource
        The pictures.
    rows : WeightedRows
        The merged training set.
    classes : ndarray of shape (n_classes,)
        Labels.
    plain : ndarray or None
        Activations at the cut of all of `source`; None where every epoch draws other views.
    activations : callable
        From a source, and whether to keep them in the cache, to its activations at the cut.
    pooled : callable or None
        From a source to its pooled features by the pretrained network, through the cache; None
        where nothing is kept.
    frozen : Network
        The backbone in the number format of its frozen part.
    engine : str
        Who computes frozen parts.
    seed : int
        Decides everything random.
    progress : FitProgress
        Told what is done.
    """

    settings: Any
    program: Program
    source: Any
    rows: WeightedRows
    classes: np.ndarray
    plain: np.ndarray | None
    activations: Any
    pooled: Any
    frozen: Network
    engine: str
    seed: int
    progress: FitProgress

    @property
    def class_totals(self) -> np.ndarray:
        """Weight of each class."""
        return np.bincount(self.rows.labels, self.rows.weights, minlength=len(self.classes))

    def run(self, state: TrainingState | None) -> tuple[TrainingState, dict[str, list[float]]]:
        """Train all epochs, from `state` or from the pretrained weights.

        Returns
        -------
        state : TrainingState
            The result; with early stopping that of the best epoch.
        history : dict of str to list of float
            One value an epoch.
        """
        factors = class_factors(self.settings.class_weight, self.classes, self.rows)
        held_out = self._held_out(factors)
        rows = self.rows.take(~held_out)
        training = self._examples(rows, factors)
        validation = self._plain(self.rows.take(held_out), factors) if held_out.any() else None
        state = self.initial_state(rows, training) if state is None else state
        return self._run_epochs(state.to_train(), training, validation)

    def run_once(
        self, state: TrainingState | None, epoch: int, seen: float
    ) -> tuple[TrainingState, float]:
        """One epoch at a constant rate, going on from `state`, after `epoch` others.

        BatchNorm's statistics are those of these rows and of the rows of weight `seen` before,
        which count as some batches at most, since the network has changed since.
        """
        settings = self.settings
        factors = class_factors(settings.class_weight, self.classes, self.rows)
        examples = self._examples(self.rows, factors)
        before = None if state is None else state.fixed
        state = self.initial_state(self.rows, examples) if state is None else state
        state = state.to_train()
        how, schedule = self._optimisation(), Schedule(settings.learning_rate, 1, "constant")
        advance = self.progress.trained
        loss = run_epoch(self.program, state, examples, how, schedule, epoch, advance)
        self._require_finite(loss, epoch)
        self.progress.epoch({"loss": [loss]})
        self._finish(state, examples)
        if before is not None:
            new = self.rows.weights.sum()
            old = min(seen, _BATCHES_REMEMBERED * settings.batch_size)
            state.fixed = before + np.float32(new / (new + old)) * (state.fixed - before)
        return state.as_arrays(), loss

    def initial_state(self, rows: WeightedRows, examples: Examples) -> TrainingState:
        """Pretrained suffix, and a head from the convex problem or at random.

        The `examples` are made of `rows`.
        """
        self._warn_of_constraints()
        program, head = self.program, self.program.head
        arrays = program.network.arrays
        pretrained = [arrays[id(variable)] for variable in program.trained]
        moments = np.stack([np.zeros(head.n_features), np.ones(head.n_features)])
        state = TrainingState(
            theta=join([*pretrained, *random_head(head, self.seed)]),
            fixed=join(arrays[id(variable)] for variable in program.fixed),
            standardizer=moments.astype(np.float32),
        )
        features = self._initial_features(state, rows, examples)
        self._require_finite_features(features)
        standardizer = Standardizer.of(features, examples.weights)
        state.standardizer = np.stack([standardizer.mean, standardizer.scale])
        if self.settings.head_init == "convex":
            features = standardizer(features)
            start = convex_head(head, features, examples.targets, examples.weights, self.seed)
            state.theta = join([*pretrained, *start])
        self.progress.started(len(examples))
        return state

    def _initial_features(
        self, state: TrainingState, rows: WeightedRows, examples: Examples
    ) -> np.ndarray:
        """Pooled features as BatchNorm will see them; its statistics are adapted on the way."""
        if self.program.norms and self.settings.batch_norm != "frozen":
            features = self._estimated(state, examples)
            if self.settings.batch_norm == "train":
                return features
            return self._features_of(examples, lambda x: logits_of(self.program, state, x)[1])
        return self._pretrained_features(state, rows, examples)

    def _pretrained_features(
        self, state: TrainingState, rows: WeightedRows, examples: Examples
    ) -> np.ndarray:
        """Pooled features by the network as it was; the same bits whether the cache has them."""
        program = self.program
        if program.head_only:
            return examples.rows(np.arange(len(examples)), 0)
        if program.cut is not None and not is_station(self.frozen, program.cut, self.engine):
            return self._features_of(examples, lambda x: logits_of(program, state, x)[1])
        if self.pooled is None:
            above = trunk_part(self.frozen, program.cut, program.end, self.engine)
            return self._features_of(examples, above)
        pooled = self.pooled(self.source.take(rows.rows))
        return self._seen(rows, pooled.__getitem__, self.pooled)(np.arange(len(rows)), 0)

    def _features_of(self, examples: Examples, above: Callable) -> np.ndarray:
        """Pooled features of all rows as they are at first, a few at a time."""
        n_rows = len(examples)
        blocks = [
            above(examples.rows(np.arange(start, min(start + _ROWS_TOGETHER, n_rows)), 0))
            for start in range(0, n_rows, _ROWS_TOGETHER)
        ]
        return np.concatenate(blocks)

    def _estimated(self, state: TrainingState, examples: Examples) -> np.ndarray:
        size = self.settings.batch_size
        return estimate_statistics(self.program, state, examples, size, self.seed)

    def _run_epochs(self, state, training: Examples, validation: Examples | None):
        settings, how = self.settings, self._optimisation()
        n_steps = settings.epochs * steps_per_epoch(len(training), settings.batch_size)
        schedule = Schedule(settings.learning_rate, n_steps, settings.schedule)
        history: dict[str, list[float]] = {"loss": []}
        best, advance = None, self.progress.trained
        for epoch in range(settings.epochs):
            loss = run_epoch(self.program, state, training, how, schedule, epoch, advance)
            self._require_finite(loss, epoch)
            history["loss"].append(loss)
            if validation is not None:
                self._finish(state, training)
                best = self._validate(state, validation, best, history)
            self.progress.epoch(history)
            if best is not None and best.stale >= settings.n_iter_no_change:
                break
        if best is not None:
            return best.state, history
        self._warn_of_a_large_loss(history["loss"])
        self._finish(state, training)
        return state.without_optimiser(), history

    def _warn_of_constraints(self) -> None:
        """Tell of weights that Keras would hold to something after each step."""
        held = [v for v in self.program.trained if getattr(v, "constraint", None) is not None]
        if held:
            warn_user(
                f"backbone={self.frozen.spec.name!r} has constraints on weights, as on "
                f"{held[0].path!r}, which training does not keep. Freeze their layers, or train "
                "the model in Keras."
            )

    def _require_finite_features(self, features: np.ndarray) -> None:
        """Refuse a network that overflows, which would look like a training that diverges."""
        n_faulty = np.count_nonzero(~np.isfinite(features).all(axis=1))
        if n_faulty:
            raise ValueError(
                f"backbone={self.frozen.spec.name!r} gives features of NaN or infinity for "
                f"{n_faulty} of {len(features)} different rows, before anything is trained, with "
                f"precision={self.settings.precision!r}. Check its weights and preprocessing; "
                "in float16, numbers end at 65504."
            )

    def _require_finite(self, loss: float, epoch: int) -> None:
        if not np.isfinite(loss):
            raise ValueError(
                f"The loss became {loss} in epoch {epoch + 1}: training diverged with "
                f"learning_rate={self.settings.learning_rate} and head_learning_rate="
                f"{self.settings.head_learning_rate}. Lower them."
            )

    def _warn_of_a_large_loss(self, losses: list[float]) -> None:
        """Tell of a training that ended worse than it began, and much worse than a guess."""
        guess = np.log(len(self.classes))
        if losses[1:] and losses[-1] > max(losses[0], guess + _MUCH_LESS_LIKELY):
            warn_user(
                f"The loss ended at {losses[-1]:.3g}, after {losses[0]:.3g} in the first epoch; "
                f"that of a guess is {guess:.3g}. learning_rate={self.settings.learning_rate} is "
                "too large here: lower it.",
                ConvergenceWarning,
            )

    def _finish(self, state: TrainingState, examples: Examples) -> None:
        """Statistics for prediction, after training on those of the batches."""
        if self.settings.batch_norm == "train" and self.program.norms:
            self._estimated(state, examples)

    def _validate(self, state, validation: Examples, best: Best | None, history: dict) -> Best:
        """Score the held-out rows, and keep the weights if they are the best so far."""
        activations = validation.rows(np.arange(len(validation)), 0)
        log_probabilities = log_softmax(logits_of(self.program, state, activations)[0])
        share = validation.weights / validation.weights.sum()
        loss = float(-(share[:, None] * validation.targets * log_probabilities).sum())
        hits = log_probabilities.argmax(axis=1) == validation.targets.argmax(axis=1)
        history.setdefault("val_loss", []).append(loss)
        history.setdefault("val_accuracy", []).append(float((share * hits).sum()))
        if best is None or loss < best.loss:
            return Best(loss, state.without_optimiser())
        return replace(best, stale=best.stale + 1)

    def _held_out(self, factors: np.ndarray) -> np.ndarray:
        """Rows to validate on, among those of the classes that count."""
        if not self.settings.early_stopping:
            return np.zeros(len(self.rows), dtype=bool)
        rng = np.random.default_rng([self.seed, _SPLIT_STREAM])
        fraction = self.settings.validation_fraction
        held_out = split_by_weight(self.rows, len(self.classes), fraction, rng)
        held_out &= factors[self.rows.labels] > 0
        if not held_out.any():
            warn_user(
                "early_stopping=True holds nothing out, since no class has two different rows, so "
                "that all epochs are trained and there is no val_loss. Give more rows, or set "
                "early_stopping=False."
            )
        return held_out

    def _examples(self, rows: WeightedRows, factors: np.ndarray) -> Examples:
        seen = self._seen(rows, self._look_up(rows), self.activations)
        return self._labelled(seen, rows, factors)

    def _seen(self, rows: WeightedRows, plain: Callable, activations: Callable) -> Callable:
        """Function from (positions, epoch) to activations of the pictures or of views of them."""
        if self.settings.augment is None:
            return lambda positions, epoch: plain(positions)
        views = self.settings._views(self.seed)
        return views.training_rows(self.source.take(rows.rows), rows.keys, plain, activations)

    def _plain(self, rows: WeightedRows, factors: np.ndarray) -> Examples:
        """Rows as they are, without other views of them."""
        if self.plain is None:
            look_up = self.activations(self.source.take(rows.rows)).__getitem__
        else:
            look_up = self._look_up(rows)
        return self._labelled(lambda positions, epoch: look_up(positions), rows, factors)

    def _look_up(self, rows: WeightedRows) -> Callable:
        """Function from positions among `rows` to their activations, without a second copy."""
        return lambda positions: self.plain[rows.rows[positions]]

    def _labelled(self, activations, rows: WeightedRows, factors: np.ndarray) -> Examples:
        n_classes, smoothing = len(self.classes), self.settings.label_smoothing
        targets = np.full((len(rows), n_classes), smoothing / n_classes, np.float32)
        targets[np.arange(len(rows)), rows.labels] += 1.0 - smoothing
        with np.errstate(over="ignore", invalid="ignore"):
            weights = rows.weights * factors[rows.labels]
            total = weights.sum()
        if not np.isfinite(total):
            raise ValueError(
                f"The values of sample_weight, up to {rows.weights.max():g}, times those of "
                f"class_weight={self.settings.class_weight!r}, up to {factors.max():g}, have no "
                "finite sum. Give values nearer to 1."
            )
        if not weights.any():
            raise ValueError(
                f"class_weight={self.settings.class_weight!r} leaves no weight to any row that is "
                "trained on. Give a class that occurs in y a positive factor."
            )
        return Examples(activations, targets, weights)

    def _optimisation(self) -> Optimisation:
        """Learning rate and weight decay of every weight."""
        settings, program = self.settings, self.program
        n_head = sum(int(np.prod(shape)) for shape in program.head.shapes)
        head_rate = (settings.head_learning_rate or settings.learning_rate) / settings.learning_rate
        of_suffix = np.float32(settings.layer_decay) ** (program.stage_of_weights() + 1)
        decays = [
            np.full(int(np.prod(shape)), settings.weight_decay if len(shape) > 1 else 0.0)
            for shape in program.shapes
        ]
        return Optimisation(
            batch_size=settings.batch_size,
            rates=join([of_suffix, np.full(n_head, head_rate)]),
            decays=join(decays),
            dropout=settings.head_dropout,
            seed=self.seed,
        )
