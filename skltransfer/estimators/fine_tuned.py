"""Fine-tuning for any kind of target: train the head first, then the head and the last stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from skltransfer._tables import Table
from skltransfer._warnings import warn_unreadable, warn_user
from skltransfer.adaptation.adapting import Adapter
from skltransfer.adaptation.beside_target import BesideTarget
from skltransfer.adaptation.target_rows import (
    check_allowed,
    check_settings,
    checked_target,
    methods_of,
)
from skltransfer.augmentation.policy import RowsByEpoch, Views, check_has_views, check_views
from skltransfer.backbones.registry import input_of, resolve
from skltransfer.cache import open_cache
from skltransfer.estimators.base import BackboneEstimator, Number
from skltransfer.estimators.columns_of_values import check_column
from skltransfer.estimators.table import fit_table
from skltransfer.estimators.taking_apart import (
    apart,
    check_table_kept,
    inputs_of,
    remember_columns,
    rows_of,
)
from skltransfer.estimators.target_domain import read_target
from skltransfer.estimators.training_rows import LabelledRows, TaskFor, TrainingRows
from skltransfer.estimators.warm_start import (
    as_plain,
    backbone_below,
    carried_over,
    check_same_head,
    check_same_origin,
    origin_of,
)
from skltransfer.exporting.columns import table_input
from skltransfer.exporting.keras_model import function_of_rows, keras_model
from skltransfer.frozen.prefetcher import thread_count
from skltransfer.inputs._input import columns_of, moments_of
from skltransfer.inputs.errors import ReadError
from skltransfer.inputs.frames import row_digests, split_frame
from skltransfer.inputs.moments import standardized_tensor
from skltransfer.progress import progress_bar, tell
from skltransfer.tasks.confusion import WithConfusion
from skltransfer.tasks.weighting import WeightedRows, merge_rows
from skltransfer.training.choice import train_step_for
from skltransfer.training.epochs import train, train_once
from skltransfer.training.head import Head
from skltransfer.training.head_parameters import check_activation, check_units
from skltransfer.training.loop import TrainingData, features_of, outputs_of, steps_per_epoch
from skltransfer.training.members import (
    AUTO,
    Member,
    Rates,
    depths_of,
    freeze_point_of,
    told,
)
from skltransfer.training.plan import FitProgress, Workload, fit_progress, measure, of_members
from skltransfer.training.predictor import Learned, Predictor
from skltransfer.training.settings import TrainingSettings
from skltransfer.training.state import TrainingState
from skltransfer.training.train_step import TrainStep, count
from skltransfer.training.trainer import Trainer, pretrained_state

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer._types import Auto
    from skltransfer.backbones.types import KerasModel
    from skltransfer.frozen.content_digests import ContentDigests
    from skltransfer.inputs._input import Array, Source
    from skltransfer.network.runtime import Network
    from skltransfer.tasks._task import Floats, Singles, Task

_SPLIT_STREAM = 1


class FineTunedBase(BackboneEstimator):
    """Base of the estimators that train the last layers of a network.

    `_states` holds the learned weights of each of the `_members`; a member is frozen up to its
    entry in `_freeze_points`. The weights were learned for `_task`, `_head` and `_modes`, which
    keep their values if parameters are set after the fit.
    """

    label_smoothing: float | Auto = 0.0  # for targets that are not labels

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BackboneEstimator._parameter_constraints,
        "layer": [str, None],
        "freeze_depth": "no_validation",
        "head_units": "no_validation",
        "head_activation": "no_validation",
        "head_dropout": [Number(Real, 0, 1, closed="left")],
        "head_init": [StrOptions({"convex", "random"})],
        "epochs": [Number(Integral, 0, None, closed="left")],
        "learning_rate": [Number(Real, 0, np.inf, closed="neither"), StrOptions({AUTO})],
        "head_learning_rate": [Number(Real, 0, np.inf, closed="neither"), None],
        "layer_decay": [Number(Real, 0, 1, closed="right"), StrOptions({AUTO})],
        "weight_decay": [Number(Real, 0, np.inf, closed="left")],
        "schedule": [StrOptions({"cosine", "constant"})],
        "batch_norm": [StrOptions({"frozen", "train", "adapt"})],
        "augment": "no_validation",
        "n_views": [Number(Integral, 1, None, closed="left"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Number(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Number(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "adaptation": "no_validation",
        "tta": ["boolean"],
        "tabular": [HasMethods(["fit", "transform"]), None],
        "input_column": [str, Integral, None],
    }

    tabular: Any = None  # subclasses may lack both parameters
    input_column: Any = None

    _reads_numbers: ClassVar[bool] = False
    """Whether the head also reads rows of plain numbers, not only the features of their images."""

    # Fitting, from the outside in ----------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: NDArray[np.generic],
        weights: Floats,
        task_for: TaskFor,
        X_target: Any = None,
    ) -> None:
        """Fit from the pretrained network or, with warm start, from the learned weights.

        Parameters
        ----------
        X : array-like
            The user's X.
        y : ndarray
            Checked targets.
        weights : ndarray of float64, shape (n_samples,)
            Checked weights; at least one is positive.
        task_for : callable
            Makes the task from the targets of the readable rows. The task has not observed any rows
            yet.
        X_target : array-like, TargetRows or None, default=None
            Rows of the target domain.
        """
        goes_on = self.warm_start and hasattr(self, "_states")
        check_settings(self._methods, self.batch_norm, goes_on)
        X_target = checked_target(self._methods, X_target, len(y))
        states = self._continued("warm_start=True") if goes_on else None
        data = self._data(X, y, weights, goes_on)
        self._seed = self._drawn_seed()
        plan = partial(self._workload, data, task_for, self.epochs)
        with fit_progress(plan, self.verbose) as progress:
            found = self._read(data, task_for, progress)
            held_out = self._held_out(found.rows)
            rows, others = found.rows.take(~held_out), found.rows.take(held_out)
            targets = self._targets(X_target)
            trainers = self._trainers(found, rows, others, targets)
            if states is None:
                states = self._started(found, rows, trainers)
            starts = [state.without_optimizer() for state in states]
            states, self.history_ = train(trainers, starts)
            self._states = self._adapted(states, trainers, targets)
        self.n_iter_ = len(self.history_["loss"])
        self._tell_members()

    def _fit_once(
        self,
        X: Any,
        y: NDArray[np.generic],
        weights: Floats,
        task_for: TaskFor,
        weight_seen: float,
    ) -> None:
        """Train one epoch, from the pretrained network or from the learned weights.

        The arguments are those of `_fit`, and `weight_seen`: the total weight of the rows of
        earlier calls.
        """
        if self._methods:
            raise ValueError(
                f"adaptation={self.adaptation!r} needs all labelled rows at once and is not "
                "available in partial_fit. Call fit, or set adaptation=None."
            )
        goes_on = hasattr(self, "_states")
        states = self._continued("partial_fit") if goes_on else None
        data = self._data(X, y, weights, goes_on)
        if not goes_on:
            self._seed, self.history_ = self._drawn_seed(), {"loss": []}
        losses = self.history_["loss"]
        plan = partial(self._workload, data, task_for, 1)
        with fit_progress(plan, self.verbose) as progress:
            found = self._read(data, task_for, progress)
            trainers = self._trainers(found, found.rows)
            if states is None:
                states = self._started(found, found.rows, trainers)
            weight = found.rows.weights.sum()
            self._states, loss = train_once(trainers, states, len(losses), weight, weight_seen)
        self.history_ = {"loss": [*losses, loss]}
        self.n_iter_ = len(self.history_["loss"])
        self._tell_members()

    def _data(self, X: Any, y: NDArray[np.generic], weights: Floats, goes_on: bool) -> LabelledRows:
        """Return the rows of positive weight; decide how to read X unless an earlier fit did."""
        counted = np.flatnonzero(weights)
        if goes_on:
            check_table_kept(self)
            source, table = apart(self, X, counted)
            self._check_views_possible()
        else:
            source, table = self._begin_apart(X, weights)
            self._check_views_possible()
            self._choose_engine()
            self._origin = origin_of(self, self.backbone_)
            self._choose_members()
        table = None if table is None else _safe_indexing(table, counted)
        return LabelledRows(source, y, weights, table)

    def _begin_apart(self, X: Any, weights: Floats) -> tuple[Source, Any]:
        """Decide how X is read; return the rows of positive weight, and the table of all rows."""
        for name in ("_table", "_input_column"):
            self.__dict__.pop(name, None)
        if self.tabular is None:
            return self._begin(X, weights), None
        parts = split_frame(X, self.input_column)
        self._input_column = parts.inputs.columns[0]
        source = self._begin(parts.inputs, weights)
        remember_columns(self, X)
        return source, parts.table

    def _check_views_possible(self) -> None:
        if self.augment is not None:
            check_has_views(self._encoding)

    def _read(
        self,
        data: LabelledRows,
        task_for: TaskFor,
        progress: FitProgress,
    ) -> TrainingRows:
        """Read the rows once; decide on the task, the head and what is trained.

        With ``on_error="nan"``, rows that cannot be read are left out.
        """
        prefix, source, advance = self._prefix(), data.source, progress.frozen
        contents, plain = prefix.digests(source), None
        failures: dict[int, ReadError] = {}
        if not self._draws_views:  # otherwise every epoch has its own views
            points = self._freeze_points
            plain, failures = prefix.activations_at(source, points, advance, observer=contents)
            advance = _nothing  # the pass above has reported all rows
        keys, unread = self._keys(contents, failures, advance)
        read = self._readable(data, failures | unread)
        y, weights = data.y[data.counted[read]], data.weights[data.counted[read]]
        task = task_for(y)
        check_allowed(self._methods, task.adaptations)
        beside = None if data.table is None else row_digests(_safe_indexing(data.table, read))
        rows = merge_rows([keys[i] for i in read], task.encode(y), weights, beside)
        self._task = task.observed(rows)
        self._pace_members(len(rows))
        rows = replace(rows, rows=read[rows.rows])
        columns = self._columns(data, rows)
        self._head = self._wanted_head(task.n_outputs, columns.shape[1])
        self._modes = self._wanted_modes()
        self.n_trainable_params_ = sum(count(step.shapes) for step in self._train_steps())
        prefix = replace(prefix, keep_going=False)
        return TrainingRows(prefix, source, rows, plain, columns, progress)

    def _columns(self, data: LabelledRows, rows: WeightedRows) -> Singles:
        """Return the extra columns that the head reads, for all rows of the source."""
        if data.table is None:
            numbers = columns_of(data.source) if self._reads_numbers else None
            return np.zeros((len(data.source), 0), np.float32) if numbers is None else numbers
        table, positions = _safe_indexing(data.table, rows.rows), data.counted[rows.rows]
        if not hasattr(self, "_table"):
            y = data.y[positions]
            self._table = fit_table(self.tabular, table, y, rows, positions, self._seed)
        columns = np.zeros((len(data.source), self._table.n_columns), np.float32)
        columns[rows.rows] = self._table.columns(table, positions)
        return columns

    def _keys(
        self,
        contents: ContentDigests,
        failures: Mapping[int, ReadError],
        advance: Callable[[int], None],
    ) -> tuple[list[bytes], dict[int, ReadError]]:
        """Return the content digests of all rows, and the read errors."""
        rows = [row for row in range(len(contents.digests)) if row not in failures]
        unread = contents.complete(rows, self.n_jobs, self.on_error == "nan", advance)
        return [digest or b"" for digest in contents.digests], unread

    def _readable(self, data: LabelledRows, failures: Mapping[int, ReadError]) -> NDArray[np.intp]:
        """Return the positions of readable rows in the source; warn of the other rows."""
        counted = data.counted
        failed = np.array(sorted(failures), dtype=np.intp)
        self.failed_rows_ = counted[failed]
        if len(failed) == len(counted):
            first = failures[0]
            message = f"None of {len(failed)} rows could be read; the first: {first}"
            raise type(first)(message, first.row, first.source)
        read = np.delete(np.arange(len(counted)), failed)
        if len(failed):
            told = {int(counted[row]): failures[row] for row in failed}
            lost = self._lost_with(data.y[counted], data.y[counted[read]])
            warn_unreadable(told, len(data.y), lost)
        return read

    def _lost_with(self, y: NDArray[np.generic], y_read: NDArray[np.generic]) -> list[Any]:
        """Return the classes that have lost all their rows, for a warning; none for numbers."""
        return []

    def _trainers(
        self,
        found: TrainingRows,
        rows: WeightedRows,
        others: WeightedRows | None = None,
        targets: Sequence[TrainingData] = (),
    ) -> list[Trainer]:
        """Return a trainer for each member; `others` are the validation rows, if any."""
        trainers = []
        for number, (member, step) in enumerate(
            zip(self._members, self._train_steps(), strict=True)
        ):
            task, point = self._task.smoothed(member.label_smoothing), step.freeze_point
            training = self._training_data(found, rows, task, point)
            validation = self._validation_data(found, others, task, point) if others else None
            if targets and "mcc" in self._methods and not step.head_only:
                loss = WithConfusion(step.loss)
                step = train_step_for(step.network, point, step.head, loss, *self._modes)
                labelled = training.rows, training.targets, training.columns
                training = BesideTarget(*labelled, targets[number], self._seed)
            given = self._settings(member), task, step, training, validation
            trainers.append(Trainer(*given, self._seed, found.progress))
        return trainers

    def _started(
        self, found: TrainingRows, rows: WeightedRows, trainers: list[Trainer]
    ) -> tuple[TrainingState, ...]:
        """Return the starting state of each member: the pretrained network and a new head."""
        return tuple(
            trainer.start(self._starting_features(found, rows, trainer)) for trainer in trainers
        )

    # The target domain ---------------------------------------------------------------------

    @property
    def _methods(self) -> tuple[str, ...]:
        """The names in `adaptation`."""
        return methods_of(self.adaptation)

    def _targets(self, X_target: Any) -> list[TrainingData]:
        """Read the rows of the target domain, if any; return their activations for each member."""
        if X_target is None:
            return []
        return read_target(self._prefix(), *rows_of(self, X_target), self._freeze_points)

    def _adapted(
        self,
        states: Sequence[TrainingState],
        trainers: Sequence[Trainer],
        targets: Sequence[TrainingData],
    ) -> tuple[TrainingState, ...]:
        """Return the trained states, adapted to the target if there is one."""
        if not targets:
            return tuple(states)
        given = zip(states, self._train_steps(), trainers, targets, strict=True)
        return tuple(
            Adapter(self._methods, step, trainer.data, target, self.batch_size, self._seed)(state)
            for state, step, trainer, target in given
        )

    def _held_out(self, rows: WeightedRows) -> NDArray[np.bool_]:
        """Return a mask of the validation rows; warn if early stopping finds none."""
        if not self.early_stopping:
            return np.zeros(len(rows), dtype=bool)
        rng = np.random.default_rng([self._seed, _SPLIT_STREAM])
        held_out = self._task.hold_out(rows, self.validation_fraction, rng)
        if not held_out.any():
            warn_user(
                f"early_stopping=True holds nothing out, {self._task.nothing_to_hold_out}. All "
                "epochs are trained and there is no val_loss. Give more rows, or set "
                "early_stopping=False."
            )
        return held_out

    @property
    def members_(self) -> Table[Member]:
        """How each of the averaged members was trained."""
        check_is_fitted(self)
        return Table(self._members)

    # Activations ---------------------------------------------------------------------------

    @property
    def _draws_views(self) -> bool:
        """Whether every epoch trains on new views."""
        return self.augment is not None and self.n_views is None

    def _training_data(
        self, found: TrainingRows, rows: WeightedRows, task: Task, point: int | None
    ) -> TrainingData:
        """Return the training data at a freeze point: activations of rows, or of their views."""
        prefix = found.prefix

        def activations(view: Source, use_cache: bool = True) -> Array:
            # New views never recur, so they are not cached; training reports their progress.
            advance = found.progress.frozen if use_cache else _nothing
            return prefix.activations(view, point, advance, use_cache=use_cache)[0]

        plain = None if found.plain is None else found.activations_of(rows, point)
        seen = self._seen(found.source, rows, plain, activations)
        return TrainingData(seen, task.targets(rows, found.rows), found.columns[rows.rows])

    def _validation_data(
        self, found: TrainingRows, rows: WeightedRows, task: Task, point: int | None
    ) -> TrainingData:
        """Return the validation data at a freeze point: activations of the rows, without views."""
        if found.plain is None:
            source, advance = found.source.take(rows.rows), found.progress.frozen
            read, _ = found.prefix.activations(source, point, advance)
            look_up: Callable[[NDArray[np.intp]], Array] = read.__getitem__
        else:
            look_up = found.activations_of(rows, point)
        targets, columns = task.targets(rows, found.rows), found.columns[rows.rows]
        return TrainingData(lambda positions, epoch: look_up(positions), targets, columns)

    def _starting_features(
        self, found: TrainingRows, rows: WeightedRows, trainer: Trainer
    ) -> Array | None:
        """Return the pooled features of the pretrained network on which the head is initialised.

        They are bit-identical whether or not they are cached. None is returned if training does not
        use BatchNorm's stored statistics, because features computed with these statistics would
        differ from those in training.
        """
        prefix, step, training = found.prefix, trainer.step, trainer.data
        if step.norms and trainer.settings.batch_norm != "frozen":
            return None
        if step.head_only:
            return training.rows(np.arange(len(training)), 0)
        if step.freeze_point is not None and not prefix.begins_at(step.freeze_point):
            state = pretrained_state(step, self._seed)
            return features_of(training, lambda x: outputs_of(step, state, x)[1])
        if self._draws_views or not open_cache(self.cache).keeps_rows:
            return features_of(training, prefix.part(step.freeze_point, step.end))
        pooled = partial(prefix.activations, freeze_point=step.end, cache_ahead=False)
        plain, _ = pooled(found.source.take(rows.rows))
        seen = self._seen(found.source, rows, plain.__getitem__, lambda view: pooled(view)[0])
        return seen(np.arange(len(rows)), 0)

    def _seen(
        self,
        source: Source,
        rows: WeightedRows,
        plain: Callable[[NDArray[np.intp]], Array] | None,
        activations: Callable[..., Array],
    ) -> RowsByEpoch:
        """Return a function from (positions, epoch) to activations of rows or of their views."""
        if self.augment is None and plain is not None:
            return lambda positions, epoch: plain(positions)
        views = self._views()
        return views.training_rows(source.take(rows.rows), rows.keys, plain, activations)

    def _views(self) -> Views:
        """Return the views of `augment`."""
        families = self.backbone_.input.views
        return Views(self.augment, self.n_views, self._seed, self._encoding.size, families)

    # Parameters ----------------------------------------------------------------------------

    def _check_parameters(self, X: Any, y: Any) -> None:
        """Check everything that does not need the content of X."""
        kind = input_of(self.backbone)
        kind.check(inputs_of(self, X))
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        check_views(kind, self.augment, self.n_views, self.tta)
        check_units(self.head_units)
        check_activation(self.head_activation)
        methods_of(self.adaptation)

    def _checked_weights(self, X: Any, sample_weight: Any) -> Floats:
        """Check the row weights: at least one must be positive, and their sum finite."""
        check_column(sample_weight, "sample_weight")
        weights: Floats = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not np.any(weights):
            raise ValueError(
                "sample_weight is 0 for every row, so nothing is left to learn from; at least one "
                "weight must be positive."
            )
        with np.errstate(over="ignore"):
            total = weights.sum()
        if not np.isfinite(total):
            raise ValueError(
                f"The values of sample_weight, up to {weights.max():g}, have no finite sum. Divide "
                "them by the largest, as in sample_weight / sample_weight.max()."
            )
        return weights

    def _settings(self, member: Member) -> TrainingSettings:
        given = {name: getattr(self, name) for name in TrainingSettings.__dataclass_fields__}
        of_member = {"learning_rate": member.learning_rate, "layer_decay": member.layer_decay}
        settings = TrainingSettings(**{**given, **of_member})
        # Each domain is normalised by its own statistics, so the labelled one must be too.
        return replace(settings, batch_norm="adapt") if "statistics" in self._methods else settings

    def _drawn_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _choose_members(self) -> None:
        """Decide at which depths and rates to train; `_pace_members` adapts the rates later."""
        network = self._network()
        wanted = self._rates()
        depths = depths_of(self.freeze_depth, network, self._encoding.is_learned)
        self._freeze_points = tuple(freeze_point_of(depth, network) for depth in depths)
        self._members = tuple(wanted.member(as_plain(depth), network) for depth in depths)

    def _pace_members(self, n_rows: int) -> None:
        """Adapt automatic learning rates to the number of distinct rows."""
        n_steps = self.epochs * steps_per_epoch(n_rows, self.batch_size)
        self._members = tuple(self._rates().paced(member, n_steps) for member in self._members)

    def _rates(self) -> Rates:
        return Rates(self.learning_rate, self.layer_decay, self.label_smoothing)

    def _tell_members(self) -> None:
        if self.verbose and (self.members_[1:] or self._rates().are_open):
            tell(told(self._members, self.freeze_depth, self._rates()))

    def _wanted_modes(self) -> tuple[bool, bool]:
        """Return whether BatchNorm uses the statistics of batches, and whether there is dropout."""
        settings = self._settings(self._members[0])
        return settings.by_batch, settings.drops

    def _wanted_head(self, n_outputs: int, n_columns: int = 0) -> Head:
        return Head(
            n_features=self._network().n_features + n_columns,
            units=check_units(self.head_units),
            activation=check_activation(self.head_activation),
            n_outputs=n_outputs,
            n_columns=n_columns,
        )

    def _workload(
        self,
        data: LabelledRows,
        task_for: TaskFor,
        n_epochs: int,
    ) -> Workload:
        """Estimate the cost of a fit from short measurements."""
        task = task_for(data.y[data.counted])
        steps = self._steps_of(task, self._wanted_head(task.n_outputs), self._wanted_modes())
        prefix, n_threads = self._prefix(), thread_count(self.n_jobs)
        costs = of_members(
            measure(step, part, data.source, self.batch_size, n_threads)
            for step in steps
            for part in [prefix.part(None, step.freeze_point)]
        )
        cached = self._cached_share(data.source)
        return Workload(
            n_rows=len(data.source),
            n_epochs=n_epochs,
            n_views=self.n_views if self.augment is not None else 1,
            n_weights=sum(count(step.shapes) for step in steps),
            row_bytes=sum(4 * math.prod(side or 1 for side in step.input.shape) for step in steps),
            costs=replace(costs, frozen=(1 - cached) * costs.frozen),
            cached=cached,
            n_members=len(steps),
        )

    def _cached_share(self, source: Source) -> float:
        """Estimate the share of the activations that is cached."""
        if self._draws_views:
            return 0.0
        seen = source if self.augment is None else self._views().trained_on(source)[-1]
        prefix = self._prefix()
        return min(prefix.cached_share(seen, point) for point in self._freeze_points)

    def _begin(self, X: Any, weights: Floats | None = None) -> Source:
        self._layer = self.layer
        return super()._begin(X, weights)

    # Learned state -------------------------------------------------------------------------

    def _network(self, precision: str = "float32") -> Network:
        return super()._network(precision).ending_at(self._layer, self._pooling)

    def _train_steps(self) -> list[TrainStep]:
        """Return the compiled train step of each member."""
        return self._steps_of(self._task, self._head, self._modes)

    def _steps_of(self, task: Task, head: Head, modes: tuple[bool, bool]) -> list[TrainStep]:
        network = self._network()
        return [
            train_step_for(network, point, head, task.smoothed(member.label_smoothing).loss, *modes)
            for member, point in zip(self._members, self._freeze_points, strict=True)
        ]

    def _continued(self, keeper: str) -> tuple[TrainingState, ...]:
        """Return the learned states for the current depths; `keeper` names the caller in messages.

        If the depths have changed, all members continue from the one that had trained the most
        layers.
        """
        now = origin_of(self, resolve(self.backbone, self.weights, 0))
        check_same_origin(self._origin, now, keeper)
        self._precision = self.precision
        self._choose_engine()
        before, points = self._train_steps(), self._freeze_points
        units, activation = check_units(self.head_units), self.head_activation
        check_same_head(self._head, units, activation, keeper)
        self._choose_members()
        if self._freeze_points == points:
            return tuple(replace(state) for state in self._states)
        spec, deepest, state = self.backbone_, before[-1], self._states[-1]
        self.backbone_ = backbone_below(spec, deepest, state, self._freeze_points[0])
        return tuple(carried_over(spec, deepest, state, after) for after in self._train_steps())

    # Prediction ----------------------------------------------------------------------------

    def _check_savable(self) -> None:
        """Refuse a transformer for `tabular`, which may be any Python object."""
        if self.tabular is not None or hasattr(self, "_table"):
            raise TypeError(
                f"This {type(self).__name__} has a transformer for a table, tabular="
                f"{self.tabular!r}, which save() cannot write: it may be any Python object. "
                "Use joblib.dump(estimator, path), which writes a pickle, or "
                "skops.io.dump(estimator, path), which lets you check types before loading (pip "
                "install skops)."
            )

    def _predictor(self) -> Predictor:
        pairs = zip(self._train_steps(), self._states, strict=True)
        return Predictor(self._prefix(), tuple(Learned(*pair) for pair in pairs), self._task)

    def _predicted(self, X: Any) -> Floats:
        """Return predictions, averaged over views if ``tta`` is set; NaN for unreadable rows."""
        check_is_fitted(self)
        (source, columns), predictor = rows_of(self, X), self._predictor()
        with progress_bar(f"predict, {self.backbone_.name}", len(source), self.verbose) as advance:
            found, failures = predictor.predictions(
                source, columns, self._views_averaged(), advance
            )
        if failures:
            warn_unreadable(failures, len(source))
        return found

    @property
    def tabular_(self) -> Any:
        """The fitted clone of `tabular`; None without a table."""
        self._states  # noqa: B018 - an unfitted estimator has no such attribute
        return self._table.transformer if hasattr(self, "_table") else None

    def to_keras(self) -> KerasModel:
        """Convert the fitted estimator to a Keras model, to serve, inspect or convert further.

        Returns
        -------
        keras.Model
            Model from batches of RGB images (n, h, w, 3), of any h and w, to predictions:
            probabilities (n, n_classes) in the order of `classes_`, or numbers (n, n_targets) in
            the units of y. Pass images in the value range of fit (0 to 255 for files). For texts,
            the model takes token ids, and for sounds log-mel maps; all rows of a batch must have
            the same length. If fit saw rows of plain numbers, the model takes such rows. With
            `tabular`, the model has a second input, "table", for what ``tabular_.transform``
            returns for the columns that the backbone does not read.

            The model always computes in float32. It agrees to 1e-4 with the predictions of an
            estimator with ``precision="float32"`` and ``tta=False``. If the estimator's `precision`
            is "bfloat16" or "float16", the predictions differ by up to a few hundredths. The model
            is a copy: training it does not change the estimator.

        Raises
        ------
        ValueError
            With ``resize="crop"`` or ``"pad"``, which have no exact counterpart in Keras.
        """
        check_is_fitted(self)
        return self._keras_from(*self._encoding.keras_input())

    def _keras_from(self, source: KerasTensor, rows: KerasTensor) -> KerasModel:
        """Return the model from `source` to predictions; `rows` is what the network reads of it."""
        inputs, columns = self._keras_columns(source)
        return keras_model(
            self.backbone_.weights,
            self._predictor().members,
            inputs,
            rows,
            columns,
            self._task.keras_outputs,
        )

    def _keras_columns(self, source: KerasTensor) -> tuple[Any, KerasTensor | None]:
        """Return all inputs of a Keras model, and the extra columns that its head reads."""
        if hasattr(self, "_table"):
            table, columns = table_input(self._table.moments)
            return [source, table], columns
        moments = moments_of(self._encoding)
        if moments is None or not self._head.n_columns:
            return source, None
        return source, standardized_tensor(source, *moments)

    def _views_averaged(self) -> Callable[[Source], list[Source]]:
        """Return a function from rows to the views that a prediction averages over."""
        if not self.tta:
            return lambda source: [source]
        check_views(self.backbone_.input, self.augment, self.n_views, self.tta)
        check_has_views(self._encoding)
        return self._views().averaged


def predictor_of(estimator: FineTunedBase) -> Predictor:
    """Return the trained network of a fitted estimator, for inspection."""
    return estimator._predictor()


def predictions_of_rows(estimator: FineTunedBase) -> Callable[[KerasTensor], KerasTensor]:
    """Return a function from the network's rows to predictions, like the model of `to_keras`."""
    (row,) = estimator._encoding.row_spec
    return function_of_rows(row, estimator._keras_from)


def views_of(estimator: FineTunedBase) -> Views:
    """Return the views of an estimator that has read X, and whose `random_state` is an int."""
    check_has_views(estimator._encoding)
    estimator._seed = estimator._drawn_seed()
    return estimator._views()


def _nothing(n_rows: int) -> None:
    """Ignore the number of rows done."""
