"""Fine-tuning as a classifier: freeze the first layers, train a head, then both, gently."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from skltransfer._base import BackboneEstimator
from skltransfer._progress import progress_bar
from skltransfer._views import Views
from skltransfer._weighted_data import WeightedRows, class_factors, merge_rows, split_by_weight
from skltransfer.network.engines import cut_part
from skltransfer.network.fitting import (
    Examples,
    Optimisation,
    Schedule,
    TrainingState,
    estimate_statistics,
    features_of,
    logits_of,
    run_epoch,
    steps_per_epoch,
)
from skltransfer.network.freezing import resolve_freeze_depth
from skltransfer.network.heads import Head, Standardizer, convex_head, log_softmax, random_head
from skltransfer.network.training import Program, join, program_for

_ROWS_PREDICTED_TOGETHER = 256


class FineTunedClassifier(ClassifierMixin, BackboneEstimator):
    """TODO."""

    _parameter_constraints: dict = {
        **BackboneEstimator._parameter_constraints,
        "freeze_depth": "no_validation",
        "head_units": [Interval(Integral, 1, None, closed="left"), list, tuple],
        "head_activation": [str],
        "head_dropout": [Interval(Real, 0, 1, closed="left")],
        "head_init": [StrOptions({"convex", "random"})],
        "epochs": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "head_learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "schedule": [StrOptions({"cosine", "constant"})],
        "batch_norm": [StrOptions({"frozen", "train", "adapt"})],
        "augment": "no_validation",
        "n_views": [Interval(Integral, 1, None, closed="left"), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "tta": ["boolean"],
    }

    def __init__(
        self,
        backbone="efficientnet_lite0",
        *,
        weights="imagenet",
        freeze_depth=-1,
        head_units=(),
        head_activation="relu",
        head_dropout=0.2,
        head_init="convex",
        epochs=10,
        batch_size=32,
        learning_rate=3e-4,
        head_learning_rate=None,
        layer_decay=1.0,
        weight_decay=1e-4,
        schedule="cosine",
        batch_norm="frozen",
        augment=None,
        n_views=None,
        label_smoothing=0.0,
        class_weight=None,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=3,
        warm_start=False,
        tta=False,
        image_shape=None,
        pixel_range=None,
        input_size=None,
        resize="stretch",
        precision="float32",
        engine="auto",
        cache="memory",
        on_error="raise",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.freeze_depth = freeze_depth
        self.head_units = head_units
        self.head_activation = head_activation
        self.head_dropout = head_dropout
        self.head_init = head_init
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.batch_norm = batch_norm
        self.augment = augment
        self.n_views = n_views
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.tta = tta
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.input_size = input_size
        self.resize = resize
        self.precision = precision
        self.engine = engine
        self.cache = cache
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """TODO."""
        with self._unchanged_on_failure():
            X, labels, weights = self._start_fit(X, y, sample_weight)
            rows = self._merged(self._reading.source(self, X), labels, weights)
            self._train(self._reading.source(self, X), rows)
        return self

    def predict(self, X):
        """TODO."""
        scores = self._logits(X)
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, X):
        """TODO."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X):
        """TODO."""
        return log_softmax(self._logits(X).astype(np.float64))

    def decision_function(self, X):
        """TODO."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    # fit, step by step ---------------------------------------------------------------------

    def _start_fit(self, X, y, sample_weight):
        """Check y and the weights, drop rows of weight 0, choose backbone and reading."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        check_classification_targets(y)
        weights = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not np.any(weights):
            raise ValueError("sample_weight is 0 for every row; at least one must be positive.")
        if not np.all(weights):
            kept = np.flatnonzero(weights)
            X, y, weights = _safe_indexing(X, kept), y[kept], weights[kept]
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._fit_backbone(X, weights)
        return X, labels, weights

    def _merged(self, source, labels: np.ndarray, weights: np.ndarray) -> WeightedRows:
        return merge_rows([source.digest(i) for i in range(len(source))], labels, weights)

    def _train(self, source, rows: WeightedRows) -> None:
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        program = self._program()
        factors = class_factors(self.class_weight, self.classes_, rows)
        held_out = self._held_out(rows, seed)
        training = self._examples(source, rows.take(~held_out), factors, seed)
        validation = None
        if held_out.any():
            validation = self._plain_examples(source, rows.take(held_out), factors)
        state = self._initial_state(program, training, seed)
        self._run_epochs(program, state, training, validation, seed)
        self._keep(program, state)

    def _program(self) -> Program:
        network = self._network()
        self._cut = resolve_freeze_depth(self.freeze_depth, network.features, network.stages)
        units = (self.head_units,) if isinstance(self.head_units, Integral) else self.head_units
        width = network.features.steps[-1].shape[-1]
        head = Head(width, tuple(units), self.head_activation, len(self.classes_))
        by_batch = self.batch_norm == "train"
        return program_for(network, self._cut, head, by_batch, self.head_dropout > 0)

    def _held_out(self, rows: WeightedRows, seed: int) -> np.ndarray:
        if not self.early_stopping:
            return np.zeros(len(rows), dtype=bool)
        rng = np.random.default_rng([seed, 1])
        return split_by_weight(rows, len(self.classes_), self.validation_fraction, rng)

    def _activations(self, source) -> np.ndarray:
        """Activations at the cut."""
        network = self._network()
        end = len(network.features.steps) - 1
        if self._cut == end:
            what, stop = ["features", (), "avg"], "features"
        else:
            stop = "input" if self._cut is None else network.features.steps[self._cut].name
            what = ["cut", stop]
        names = [self.backbone_.name, "input", stop]
        return self._run_frozen(cut_part(network, self._cut), source, what, names)

    def _plain_examples(self, source, rows: WeightedRows, factors: np.ndarray) -> Examples:
        """Rows as they are, without other views of them."""
        activations = self._activations(source.take(rows.rows))
        return self._as_examples(lambda positions, epoch: activations[positions], rows, factors)

    def _examples(self, source, rows: WeightedRows, factors: np.ndarray, seed: int) -> Examples:
        if self.augment is None:
            return self._plain_examples(source, rows, factors)
        views = Views(self.augment, self.n_views, seed)
        chosen = source.take(rows.rows)
        drawn = views.training_rows(chosen, rows.keys, self._activations)
        return self._as_examples(drawn, rows, factors)

    def _as_examples(self, activations, rows: WeightedRows, factors: np.ndarray) -> Examples:
        n_classes = len(self.classes_)
        targets = np.full((len(rows), n_classes), self.label_smoothing / n_classes, np.float32)
        targets[np.arange(len(rows)), rows.labels] += 1.0 - self.label_smoothing
        return Examples(activations, targets, rows.weights * factors[rows.labels])

    def _initial_state(self, program: Program, examples: Examples, seed: int) -> TrainingState:
        """Pretrained suffix, and a head from the convex problem or at random."""
        head = program.head
        pretrained = [np.asarray(variable) for variable in program.trained]
        state = TrainingState(
            theta=join([*pretrained, *random_head(head, seed)]),
            fixed=join(np.asarray(variable) for variable in program.fixed),
            standardizer=np.stack([np.zeros(head.n_features), np.ones(head.n_features)]).astype(
                np.float32
            ),
        )
        features = self._initial_features(program, state, examples, seed)
        standardizer = Standardizer.of(features, examples.weights)
        state.standardizer = np.stack([standardizer.mean, standardizer.scale])
        if self.head_init == "convex":
            arrays = convex_head(
                head, standardizer(features), examples.targets, examples.weights, seed
            )
            state.theta = join([*pretrained, *arrays])
        return state

    def _initial_features(self, program, state, examples: Examples, seed: int) -> np.ndarray:
        if program.norms and self.batch_norm != "frozen":
            features = estimate_statistics(program, state, examples, self.batch_size, seed)
            if self.batch_norm == "train":
                return features
        everything = np.arange(len(examples))
        if program.head_only:
            return examples.rows(everything, 0)
        return features_of(program, state, examples.rows, len(examples))

    def _run_epochs(self, program, state, training, validation, seed: int) -> None:
        how = self._optimisation(program, seed)
        n_steps = self.epochs * steps_per_epoch(len(training), self.batch_size)
        schedule = Schedule(self.learning_rate, n_steps, self.schedule)
        self.history_ = {"loss": []}
        best = None
        total = self.epochs * len(training)
        with progress_bar("fine-tuning", total, self.verbose) as advance:
            for epoch in range(self.epochs):
                loss = run_epoch(program, state, training, how, schedule, epoch, advance)
                self.history_["loss"].append(loss)
                if validation is not None:
                    best = self._validated(program, state, validation, best)
                    if best.stale >= self.n_iter_no_change:
                        break
        if self.batch_norm == "train" and program.norms:
            estimate_statistics(program, state, training, self.batch_size, seed)
        self.n_iter_ = len(self.history_["loss"])

    def _optimisation(self, program: Program, seed: int) -> Optimisation:
        above = program.stage_of_weights()
        n_head = sum(int(np.prod(shape)) for shape in program.head.shapes)
        head_rate = (self.head_learning_rate or self.learning_rate) / self.learning_rate
        rates = np.concatenate(
            [np.float32(self.layer_decay) ** (above + 1), np.full(n_head, head_rate)]
        )
        decays = [
            np.full(int(np.prod(shape)), self.weight_decay if len(shape) > 1 else 0.0)
            for shape in program.shapes
        ]
        return Optimisation(
            self.batch_size, rates.astype(np.float32), join(decays), self.head_dropout, seed
        )

    def _keep(self, program: Program, state: TrainingState) -> None:
        """Store what was learned as plain arrays."""
        state = state.as_arrays()
        self._learned = state.theta
        self._fixed = state.fixed
        self._standardizer = state.standardizer
        self.n_trainable_params_ = len(state.theta)

    # prediction ----------------------------------------------------------------------------

    def _logits(self, X) -> np.ndarray:
        check_is_fitted(self)
        source = self._reading.source(self, X)
        program = self._program()
        state = TrainingState(self._learned, self._fixed, self._standardizer)
        blocks = []
        for start in range(0, len(source), _ROWS_PREDICTED_TOGETHER):
            rows = np.arange(start, min(start + _ROWS_PREDICTED_TOGETHER, len(source)))
            blocks.append(self._logits_of_rows(program, state, source.take(rows)))
        return np.concatenate(blocks)

    def _logits_of_rows(self, program: Program, state: TrainingState, source) -> np.ndarray:
        return logits_of(program, state, self._activations(source))[0]
