"""Fine-tuning for any kind of target: train the head first, then the head and the last stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

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
    backbone_below,
    carried_over,
    check_same_head,
    check_same_origin,
    origin_of,
)
from skltransfer.export.columns import table_input
from skltransfer.export.keras_model import keras_model
from skltransfer.frozen.prefetcher import thread_count
from skltransfer.inputs._input import columns_of, moments_of
from skltransfer.inputs.errors import ReadError
from skltransfer.inputs.frames import row_digests, split_frame
from skltransfer.inputs.moments import standardized_tensor
from skltransfer.network.stages import resolve_freeze_depth
from skltransfer.progress import progress_bar
from skltransfer.tasks.confusion import WithConfusion
from skltransfer.tasks.weighting import WeightedRows, merge_rows
from skltransfer.training.choice import train_step_for
from skltransfer.training.head import Head
from skltransfer.training.head_parameters import check_activation, check_units
from skltransfer.training.loop import TrainingData, features_of, outputs_of
from skltransfer.training.plan import FitProgress, Workload, fit_progress, measure
from skltransfer.training.predictor import Predictor
from skltransfer.training.settings import TrainingSettings
from skltransfer.training.state import TrainingState
from skltransfer.training.train_step import TrainStep, count
from skltransfer.training.trainer import Trainer, pretrained_state

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.backbones.types import KerasModel
    from skltransfer.frozen.content_digests import ContentDigests
    from skltransfer.inputs._input import Array, Source
    from skltransfer.network.runtime import Network
    from skltransfer.tasks._task import Floats, Loss, Singles

_SPLIT_STREAM = 1


class FineTunedBase(BackboneEstimator):
    """Base of the estimators that train the last layers of a network.

    `_state` holds what was learned, for the task `_task`, the freeze point `_freeze_point`, the
    head `_head` and the two `_modes`, whatever the parameters have become since.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BackboneEstimator._parameter_constraints,
        "layer": [str, None],
        "freeze_depth": "no_validation",
        "head_units": "no_validation",
        "head_activation": "no_validation",
        "head_dropout": [Number(Real, 0, 1, closed="left")],
        "head_init": [StrOptions({"convex", "random"})],
        "epochs": [Number(Integral, 0, None, closed="left")],
        "learning_rate": [Number(Real, 0, np.inf, closed="neither")],
        "head_learning_rate": [Number(Real, 0, np.inf, closed="neither"), None],
        "layer_decay": [Number(Real, 0, 1, closed="right")],
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

    tabular: Any = None  # for subclasses without these two parameters
    input_column: Any = None

    _reads_numbers: ClassVar[bool] = False
    """Whether the head reads plain rows of numbers beside the features of their images."""

    # Fitting, from the outside in ----------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: NDArray[np.generic],
        weights: Floats,
        task_for: TaskFor,
        X_target: Any = None,
    ) -> None:
        """Fit from the pretrained network, or from the learned weights with warm start.

        Parameters
        ----------
        X : array-like
            The user's X.
        y : ndarray
            Checked targets.
        weights : ndarray of float64, shape (n_samples,)
            Checked weights, some of which are positive.
        task_for : callable
            From the targets of the readable rows to the task, which has seen no rows yet.
        X_target : array-like, TargetRows or None, default=None
            Rows of the target domain.
        """
        goes_on = self.warm_start and hasattr(self, "_state")
        check_settings(self._methods, self.batch_norm, goes_on)
        X_target = checked_target(self._methods, X_target, len(y))
        state = self._continued("warm_start=True").without_optimizer() if goes_on else None
        data = self._data(X, y, weights, goes_on)
        self._seed = self._drawn_seed()
        plan = partial(self._workload, data, task_for, self.epochs)
        with fit_progress(plan, self.verbose) as progress:
            found = self._read(data, task_for, progress)
            held_out = self._held_out(found.rows)
            rows, others = found.rows.take(~held_out), found.rows.take(held_out)
            training = self._training_data(found, rows)
            validation = self._validation_data(found, others) if len(others) else None
            target = None if X_target is None else self._target(X_target)
            trainer = self._trainer(training, validation, progress, target)
            if state is None:
                state = trainer.start(self._starting_features(found, rows, training))
            state, self.history_ = trainer.run(state)
            self._state = state if target is None else self._adapter(training, target)(state)
        self.n_iter_ = len(self.history_["loss"])

    def _fit_once(
        self,
        X: Any,
        y: NDArray[np.generic],
        weights: Floats,
        task_for: TaskFor,
        weight_seen: float,
    ) -> None:
        """Train one epoch, from the pretrained network or from the learned weights.

        The arguments are those of `_fit`, and the total weight of the rows of earlier calls.
        """
        if self._methods:
            raise ValueError(
                f"adaptation={self.adaptation!r} needs all labelled rows at once and is not "
                "available in partial_fit. Call fit, or set adaptation=None."
            )
        goes_on = hasattr(self, "_state")
        state = self._continued("partial_fit") if goes_on else None
        data = self._data(X, y, weights, goes_on)
        if not goes_on:
            self._seed, self.history_ = self._drawn_seed(), {"loss": []}
        losses = self.history_["loss"]
        plan = partial(self._workload, data, task_for, 1)
        with fit_progress(plan, self.verbose) as progress:
            found = self._read(data, task_for, progress)
            training = self._training_data(found, found.rows)
            trainer = self._trainer(training, None, progress)
            if state is None:
                state = trainer.start(self._starting_features(found, found.rows, training))
            weight = found.rows.weights.sum()
            self._state, loss = trainer.run_once(state, len(losses), weight, weight_seen)
        self.history_ = {"loss": [*losses, loss]}
        self.n_iter_ = len(self.history_["loss"])

    def _data(self, X: Any, y: NDArray[np.generic], weights: Floats, goes_on: bool) -> LabelledRows:
        """Return the rows of X that have weight, read by a new or an earlier rule."""
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
            self._freeze_point = self._wanted_freeze_point()
        table = None if table is None else _safe_indexing(table, counted)
        return LabelledRows(source, y, weights, table)

    def _begin_apart(self, X: Any, weights: Floats) -> tuple[Source, Any]:
        """Decide how X is read; return the rows that have weight, and the table beside all rows."""
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
            point = self._freeze_point
            plain, failures = prefix.activations(source, point, advance, observer=contents)
            advance = _nothing  # it counts all rows
        keys, unread = self._keys(contents, failures, advance)
        read = self._readable(data, failures | unread)
        y, weights = data.y[data.counted[read]], data.weights[data.counted[read]]
        task = task_for(y)
        beside = None if data.table is None else row_digests(_safe_indexing(data.table, read))
        rows = merge_rows([keys[i] for i in read], task.encode(y), weights, beside)
        check_allowed(self._methods, task.adaptations)
        rows = merge_rows([keys[i] for i in read], task.encode(y), weights)
        self._task = task.observed(rows)
        rows = replace(rows, rows=read[rows.rows])
        columns = self._columns(data, rows)
        self._head = self._wanted_head(task.n_outputs, columns.shape[1])
        self._modes = self._settings().by_batch, self._settings().drops
        self.n_trainable_params_ = count(self._train_step().shapes)
        prefix = replace(prefix, keep_going=False)
        return TrainingRows(prefix, source, rows, plain, columns, progress)

    def _columns(self, data: LabelledRows, rows: WeightedRows) -> Singles:
        """Return what the head reads beside the features of the source's rows."""
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
        """Return content digests of all rows, and the read errors."""
        rows = [row for row in range(len(contents.digests)) if row not in failures]
        unread = contents.complete(rows, self.n_jobs, self.on_error == "nan", advance)
        return [digest or b"" for digest in contents.digests], unread

    def _readable(self, data: LabelledRows, failures: Mapping[int, ReadError]) -> NDArray[np.intp]:
        """Return source positions of readable rows; warn of the others by their positions in X."""
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
        """Return targets that have lost all their rows, for a warning; none for numbers."""
        return []

    def _trainer(
        self,
        training: TrainingData,
        validation: TrainingData | None,
        progress: FitProgress,
        target: TrainingData | None = None,
    ) -> Trainer:
        step, settings = self._train_step(), self._settings()
        if target is not None and "mcc" in self._methods and not step.head_only:
            step = self._train_step(WithConfusion(self._task.loss))
            labelled = training.rows, training.targets, training.columns
            training = BesideTarget(*labelled, target, self._seed)
        return Trainer(settings, self._task, step, training, validation, self._seed, progress)

    # The target domain ---------------------------------------------------------------------

    @property
    def _methods(self) -> tuple[str, ...]:
        """The names in `adaptation`."""
        return methods_of(self.adaptation)

    def _target(self, X_target: Any) -> TrainingData:
        """Read rows of the target domain."""
        return read_target(self._prefix(), *rows_of(self, X_target), self._freeze_point)

    def _adapter(self, training: TrainingData, target: TrainingData) -> Adapter:
        """Return what adapts the trained state to the target."""
        step, size = self._train_step(), self.batch_size
        return Adapter(self._methods, step, training, target, size, self._seed)

    def _held_out(self, rows: WeightedRows) -> NDArray[np.bool_]:
        """Choose the validation rows."""
        if not self.early_stopping:
            return np.zeros(len(rows), dtype=bool)
        rng = np.random.default_rng([self._seed, _SPLIT_STREAM])
        held_out = self._task.hold_out(rows, self.validation_fraction, rng)
        if not held_out.any():
            warn_user(
                f"early_stopping=True holds nothing out, {self._task.nothing_to_hold_out}, so "
                "that all epochs are trained and there is no val_loss. Give more rows, or set "
                "early_stopping=False."
            )
        return held_out

    # Activations ---------------------------------------------------------------------------

    @property
    def _draws_views(self) -> bool:
        """Whether every epoch trains on new views."""
        return self.augment is not None and self.n_views is None

    def _training_data(self, found: TrainingRows, rows: WeightedRows) -> TrainingData:
        """Return training data of some of the rows, or of their views."""
        prefix, point = found.prefix, self._freeze_point

        def activations(view: Source, use_cache: bool = True) -> Array:
            # Views drawn anew never recur: they are not cached, and count as training.
            advance = found.progress.frozen if use_cache else _nothing
            return prefix.activations(view, point, advance, use_cache=use_cache)[0]

        plain = None if found.plain is None else found.activations_of(rows)
        seen = self._seen(found.source, rows, plain, activations)
        targets = self._task.targets(rows, found.rows)
        return TrainingData(seen, targets, found.columns[rows.rows])

    def _validation_data(self, found: TrainingRows, rows: WeightedRows) -> TrainingData:
        """Return data of some of the rows, without other views."""
        if found.plain is None:
            source, advance = found.source.take(rows.rows), found.progress.frozen
            read, _ = found.prefix.activations(source, self._freeze_point, advance)
            look_up: Callable[[NDArray[np.intp]], Array] = read.__getitem__
        else:
            look_up = found.activations_of(rows)
        targets = self._task.targets(rows, found.rows)
        columns = found.columns[rows.rows]
        return TrainingData(lambda positions, epoch: look_up(positions), targets, columns)

    def _starting_features(
        self, found: TrainingRows, rows: WeightedRows, training: TrainingData
    ) -> Array | None:
        """Return pooled features of the pretrained network, from which a head starts.

        They have the same bits whether or not they are cached. None means that BatchNorm does not
        use its statistics, so the features will still change.
        """
        prefix, step = found.prefix, self._train_step()
        if step.norms and self._settings().batch_norm != "frozen":
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
        """Return a function from (positions, epoch) to activations of the rows or their views."""
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
        """Check everything that can be checked before anything is read."""
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
        """Check the row weights: some must be positive, and their sum finite."""
        weights: Floats = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not np.any(weights):
            raise ValueError(
                "sample_weight is 0 for every row, so that nothing is left to learn from; at least "
                "one weight must be positive."
            )
        with np.errstate(over="ignore"):
            total = weights.sum()
        if not np.isfinite(total):
            raise ValueError(
                f"The values of sample_weight, up to {weights.max():g}, have no finite sum. Divide "
                "them by their largest, as in sample_weight / sample_weight.max()."
            )
        return weights

    def _settings(self) -> TrainingSettings:
        names = TrainingSettings.__dataclass_fields__
        settings = TrainingSettings(**{name: getattr(self, name) for name in names})
        # Each domain is normalised by its own statistics: the labelled rows too.
        return replace(settings, batch_norm="adapt") if "statistics" in self._methods else settings

    def _drawn_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _wanted_freeze_point(self) -> int | None:
        network = self._network()
        return resolve_freeze_depth(self.freeze_depth, network.features, network.stages)

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
        """Estimate the cost of a fit with short measurements."""
        task = task_for(data.y[data.counted])
        settings, head = self._settings(), self._wanted_head(task.n_outputs)
        modes = settings.by_batch, settings.drops
        step = train_step_for(self._network(), self._freeze_point, head, task.loss, *modes)
        part, n_threads = self._prefix().part(None, self._freeze_point), thread_count(self.n_jobs)
        costs = measure(step, part, data.source, self.batch_size, n_threads)
        cached = self._cached_share(data.source)
        return Workload(
            n_rows=len(data.source),
            n_epochs=n_epochs,
            n_views=self.n_views if self.augment is not None else 1,
            n_weights=count(step.shapes),
            row_bytes=4 * math.prod(side or 1 for side in step.input.shape),
            costs=replace(costs, frozen=(1 - cached) * costs.frozen),
            cached=cached,
        )

    def _cached_share(self, source: Source) -> float:
        """Return about which share of the activations is cached."""
        if self._draws_views:
            return 0.0
        seen = source if self.augment is None else self._views().trained_on(source)[-1]
        return self._prefix().cached_share(seen, self._freeze_point)

    def _begin(self, X: Any, weights: Floats | None = None) -> Source:
        self._layer = self.layer
        return super()._begin(X, weights)

    # Learned state -------------------------------------------------------------------------

    def _network(self, precision: str = "float32") -> Network:
        return super()._network(precision).ending_at(self._layer, self._pooling)

    def _train_step(self, loss: Loss | None = None) -> TrainStep:
        """Return the compiled train step; for the loss of the task unless another is given."""
        loss = loss or self._task.loss
        return train_step_for(self._network(), self._freeze_point, self._head, loss, *self._modes)

    def _continued(self, keeper: str) -> TrainingState:
        """Return the learned state for the current freeze point; `keeper` is why it is kept."""
        now = origin_of(self, resolve(self.backbone, self.weights, 0))
        check_same_origin(self._origin, now, keeper)
        self._precision = self.precision
        self._choose_engine()
        before, freeze_point = self._train_step(), self._wanted_freeze_point()
        units, activation = check_units(self.head_units), self.head_activation
        check_same_head(before.head, units, activation, keeper)
        if freeze_point == before.freeze_point:
            return replace(self._state)
        spec, state = self.backbone_, self._state
        self.backbone_ = backbone_below(spec, before, state, freeze_point)
        self._freeze_point = freeze_point
        return carried_over(spec, before, state, self._train_step())

    # Prediction ----------------------------------------------------------------------------

    def _check_savable(self) -> None:
        """Refuse a transformer, which may be any Python object."""
        if self.tabular is not None or hasattr(self, "_table"):
            raise TypeError(
                f"This {type(self).__name__} has a transformer for a table, tabular="
                f"{self.tabular!r}, which save() cannot write: it may be any Python object. "
                "joblib.dump(estimator, path) writes a pickle, and skops.io.dump(estimator, path) "
                "a file whose types are checked when it is loaded."
            )

    def _predictor(self) -> Predictor:
        return Predictor(self._prefix(), self._train_step(), self._state, self._task)

    def _predicted(self, X: Any) -> Floats:
        """Return predictions averaged over views with ``tta``; NaN for unreadable rows."""
        check_is_fitted(self)
        (source, columns), predictor = rows_of(self, X), self._predictor()
        with progress_bar(self.backbone_.name, len(source), self.verbose) as advance:
            found, failures = predictor.predictions(
                source, columns, self._views_averaged(), advance
            )
        if failures:
            warn_unreadable(failures, len(source))
        return found

    @property
    def tabular_(self) -> Any:
        """The fitted clone of `tabular`; None without a table."""
        self._state  # noqa: B018 - an unfitted estimator has no such attribute
        return self._table.transformer if hasattr(self, "_table") else None

    def to_keras(self) -> KerasModel:
        """Convert the fitted estimator to a Keras model, to serve, convert or inspect.

        Returns
        -------
        keras.Model
            Model from batches of RGB images (n, h, w, 3) of any h and w to predictions:
            probabilities (n, n_classes) in the order of `classes_`, or numbers (n, n_targets) in
            the units of y. Images have the range of values of fit (0 to 255 for files); where fit
            saw rows without ``image_shape``, the model takes rows of numbers. With `tabular` it has
            a second input, "table", for what ``tabular_.transform`` makes of the other columns.
            Predictions agree
            with those of the estimator (with ``precision="float32"``, without ``tta``) to 1e-4. The
            model computes in float32 whatever the `precision`; with "bfloat16" and "float16",
            predictions of the estimator differ by up to some hundredths. The model is a copy:
            training it does not change the estimator.

        Raises
        ------
        ValueError
            With ``resize="crop"`` or ``"pad"``, which have no exact counterpart in Keras.
        """
        check_is_fitted(self)
        step, state = self._train_step(), self._state
        weights = step.tuned(self.backbone_.weights, state.params, state.fixed)
        source, rows = self._encoding.keras_input()
        inputs, columns = self._keras_columns(source)
        return keras_model(
            step.network,
            tuple(weights),
            step.head,
            step.of_head(state.params),
            state.standardizer,
            inputs,
            rows,
            columns,
            self._task.keras_outputs,
        )

    def _keras_columns(self, source: KerasTensor) -> tuple[Any, KerasTensor | None]:
        """Return all inputs of a Keras model, and what its head reads beside the features."""
        if hasattr(self, "_table"):
            table, columns = table_input(self._table.moments)
            return [source, table], columns
        moments = moments_of(self._encoding)
        if moments is None or not self._train_step().n_columns:
            return source, None
        return source, standardized_tensor(source, *moments)

    def _views_averaged(self) -> Callable[[Source], list[Source]]:
        """Return a function from rows to the views that a prediction averages."""
        if not self.tta:
            return lambda source: [source]
        check_views(self.backbone_.input, self.augment, self.n_views, self.tta)
        check_has_views(self._encoding)
        return self._views().averaged


def predictor_of(estimator: FineTunedBase) -> Predictor:
    """Return what a fitted estimator has learned, for inspection."""
    return estimator._predictor()


def views_of(estimator: FineTunedBase) -> Views:
    """Return the views of a fitted estimator, if its seed is an int."""
    check_has_views(estimator._encoding)
    estimator._seed = estimator._drawn_seed()
    return estimator._views()


def _nothing(n_rows: int) -> None:
    """Ignore the number of rows done."""
