"""Fine-tuning as a regressor: train the head first, then the head and the last stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array, check_consistent_length

from skltransfer.estimators.base import with_checked_parameters
from skltransfer.estimators.columns_of_values import check_column
from skltransfer.estimators.fine_tuned import FineTunedBase
from skltransfer.inputs.missing import is_missing
from skltransfer.tasks.regression import LOSSES, Regression

if TYPE_CHECKING:
    from skltransfer._types import (
        Auto,
        BatchNorm,
        FreezeDepth,
        HeadInit,
        Images,
        ImageShape,
        Numbers,
        OnError,
        Path,
        PixelRange,
        Pooling,
        RegressionLoss,
        Resize,
        SampleWeight,
        Schedule,
        Seed,
        Size,
        Tabular,
        Weights,
    )
    from skltransfer.adaptation.target_rows import TargetRows
    from skltransfer.backbones.types import Augment, Backbone
    from skltransfer.tasks._task import Floats


class FineTunedRegressor(RegressorMixin, FineTunedBase):
    """Regressor that fine-tunes the last stages of a pretrained network.

    `fit` has two phases, as in "linear probing then fine-tuning" [1]_. First, it fits the *head*,
    which is the regressor on top of the network. In this phase, the head is a ridge regression on
    the standardised features of the pretrained network, with the penalty that has the smallest
    leave-one-out error [4]_. Then the optimiser AdamW [2]_ trains the head together with the layers
    that `freeze_depth` leaves unfrozen. The frozen layers (the *frozen part*) run only once for
    each image, however many epochs, folds and search candidates there are, because their outputs
    (the *activations*) are cached by the content of the image.

    The first fit standardises y by its weighted mean and standard deviation, so that the learning
    rate suits any unit. Later calls of `partial_fit`, and of `fit` with ``warm_start=True``, keep
    this mean and this standard deviation. Predictions are in the units of y.

    X may be anything that :class:`PretrainedFeatureExtractor` takes: arrays of images; lists or
    frame columns of paths, bytes, PIL images and arrays; flattened images with `image_shape`; texts
    or sounds, with a backbone for them; and rows of plain numbers. The network sees rows of plain
    numbers as small images, in which most of a linear relation is lost. The head therefore reads
    the standardised numbers as well.

    Most users need five of the parameters: `freeze_depth` (how much of the network stays as it is),
    `epochs` (how long to train), `augment` (random views of the images), `random_state` (an int
    makes the result repeatable) and `verbose` (whether progress is shown). The others are for
    special cases, or have defaults that were chosen by measurement.

    Parameters
    ----------
    backbone : str, Path, keras.Model or handle, default="efficientnet_lite0"
        The network: a name from ``list_backbones()``, the path of a ``.keras`` file, a Keras model
        that takes images and has one output, or the handle that ``register_backbone`` returned.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        The training loss. It is computed on the standardised y and, if there are several targets,
        averaged over them. "huber" is half the squared error for errors of up to one standard
        deviation, and linear for larger errors [5]_, so single wrong values in y have less
        influence. Whatever the loss, the head starts from least squares.
    weights : "imagenet", None, str or Path, default="imagenet"
        "imagenet" uses the pretrained weights or, for your own model, the weights that the model
        has. None draws random weights from `random_state`. A path names a file that holds weights
        and no network.
    layer : str or None, default=None
        Name of the layer at which the network ends; later layers are neither computed nor trained.
        None is the last layer before the classification top, if there is one.
    pooling : {"avg", "max", "flatten", "cls", "last", "avg_std"} or None, default=None
        How the output of `layer` becomes one row of features: "avg" and "max" take the mean or the
        maximum of each channel, "flatten" concatenates all values, and "avg_std" (sounds)
        concatenates the mean and the standard deviation of each channel. For a sequence of tokens,
        "cls" takes the first token, and "last" takes the last token (for networks such as GPT-2).
        None is the backbone's own pooling: "avg" for images and texts, "avg_std" for sounds.
    freeze_depth : int, float or str, default=-1
        How much of the backbone stays frozen. The backbone consists of consecutive stages, which
        ``freeze_points(backbone)`` lists. "all" freezes them all and trains only the head. A
        non-negative int k freezes the first k stages, so 0 trains everything; ``-k`` trains the
        last k stages. A float strictly between 0 and 1 freezes that fraction of the layers with
        weights, rounded down to a layer at which the network can be split. "auto" trains several
        copies of the network, called *members*, and averages their outputs. The first member trains
        only the head, the second also trains the last quarter of the stages, and the third also
        trains the last half; for the bundled network, these are the depths "all", -2 and -4. In the
        average, the first member has weight 1, and each of the others has weight 1.5. `members_`
        lists the members. Networks with few stages have fewer members. For rows of plain numbers,
        "auto" trains only the head. Any other string is the name of the last frozen layer.
    head_units : int or tuple of int, default=()
        Widths of the hidden layers in the head; () is a linear head.
    head_activation : str, default="relu"
        Name of a Keras activation, such as "relu", "gelu" or "tanh", applied after every hidden
        layer.
    head_dropout : float, default=0.2
        Dropout rate in [0, 1) before each layer of the head.
    head_init : {"convex", "random"}, default="convex"
        "convex" starts from the solution of the regression on the pretrained features. Hidden
        layers pass this solution on as far as their widths allow; a width of twice the number of
        outputs is enough. "random" starts hidden layers at random and the last layer at zero.
    epochs : int, default=10
        Maximum number of passes over the training set. With 0, the head stays at its starting
        point.
    batch_size : int, default=32
        Number of rows in a training step. If there are fewer rows, a step takes all of them.
    learning_rate : float or "auto", default=0.0003
        Peak learning rate of AdamW. "auto" is 0.0003 if only the head is trained, or if the network
        ends in tokens or a vector. If stages are trained and the network ends in a feature map,
        "auto" is 0.001, reduced in proportion if training has fewer than 60 steps.
    head_learning_rate : float or None, default=None
        Peak learning rate of the head; None is `learning_rate`.
    layer_decay : float or "auto", default=1.0
        Factor in (0, 1] by which the learning rate falls from each stage to the stage before it:
        the last stage trains at ``learning_rate * layer_decay``, the one before it at
        ``learning_rate * layer_decay**2``, and so on. "auto" is 0.7 if more than a quarter of the
        stages is trained, else 1.
    weight_decay : float, default=0.0001
        AdamW's weight decay. It applies to kernels, but not to biases and normalisation weights.
    schedule : {"cosine", "constant"}, default="cosine"
        Learning-rate schedule: "cosine" warms up over a tenth of the steps and then follows a
        cosine to zero; "constant" is flat.
    batch_norm : {"frozen", "train", "adapt"}, default="frozen"
        How BatchNorm layers behave above the freeze point (the last frozen layer). "frozen" keeps
        their stored statistics. "adapt" replaces the stored statistics, before training, by those
        of the training images [3]_. "train" normalises by the statistics of each batch and, after
        training, stores the statistics of the training images. BatchNorm layers in the frozen part
        never change.
    augment : str, keras.Layer or None, default=None
        Random variants of the rows to train on, called *views*. For images, "flip" mirrors left to
        right; "dihedral" applies the eight symmetries of a square; "standard" crops at random,
        mirrors and recolours; a Keras layer gets images with values of 0 to 255. For sounds,
        "shift" moves the sound in time, "gain" changes its loudness, "masks" silences some
        frequency bands and a short time, and "standard" does all three. The view of a row depends
        on `random_state`, the epoch and the content of the row.
    n_views : int or None, default=None
        Number of fixed views of each image, including the image itself; if fewer distinct views
        exist, all of those are used. The activations of fixed views are cached, so the frozen part
        runs once for each view. None draws a new view in every epoch, so the frozen part runs in
        every epoch.
    early_stopping : bool, default=False
        Whether to hold out a random `validation_fraction` of the rows, stop when the loss on these
        rows has not improved for `n_iter_no_change` epochs, and keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the rows to hold out, in (0, 1), measured in sample weight. Rows with the same
        image are either all held out or all trained on.
    n_iter_no_change : int, default=3
        Number of epochs without improvement after which training stops.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit, with a new optimiser. You may
        change `freeze_depth` in between; all members then start from the weights of the member that
        had trained the most layers. The number of targets and the head must stay the same.
    adaptation : {"statistics"} or None, default=None
        How `fit` adapts to `X_target`. These rows come from the domain where the regressor will
        work, and need no y. "statistics" moves the means and variances that standardise the head's
        features towards those of `X_target`, and does the same with the statistics of BatchNorm
        layers above the freeze point [3]_. In this mixture, n distinct target rows have the share
        ``n / (n + 64)``, and the labelled rows have the rest. If the distribution of y differs
        between the two domains, the adapted predictions lose this difference too.
    tta : bool, default=False
        Whether predictions are averaged over views of each row (test-time augmentation). These are
        two views if `augment` is "flip", and eight if it is "dihedral" (four if height and width
        differ). For any other `augment`, they are `n_views` views, or four if `n_views` is None.
        You can change `tta` after `fit`.
    tabular : transformer or None, default=None
        Transformer for the columns of a frame that the backbone does not read, such as
        ``make_column_transformer(...)``. It must return numbers. The head reads them, standardised,
        in addition to the pooled features. `fit` fits a clone of the transformer on the distinct
        rows, without sample weights. The transformer should transform each row independently of the
        other rows. None is for X without such columns.
    input_column : str, int or None, default=None
        With `tabular`, the name of the column that the backbone reads. None takes the only column
        that holds neither numbers nor times nor categories.
    max_tokens : int or None, default=None
        For texts: the maximum number of tokens that are read, including the special tokens that the
        backbone adds. Longer texts are cut, with one warning that counts them. None is the
        backbone's own limit, usually 256.
    sample_rate : int or None, default=None
        For sounds: the sample rate, in Hz, of arrays that come without one. Files and pairs (rate,
        array) have their own, which takes precedence. None refuses arrays without a rate.
    max_seconds : float or None, default=None
        For sounds: how many seconds of each sound are read. Longer sounds are cut, with one warning
        that counts them. None is 60.
    image_shape : (height, width), (height, width, channels) or None, default=None
        Shape in pixels of the images that the rows of a 2-D X contain.
    pixel_range : (low, high) or None, default=None
        The values in arrays that mean black and white; None decides by the rule described in
        :class:`PretrainedFeatureExtractor`.
    input_size : (height, width) or None, default=None
        Size in pixels at which the network sees an image; None is the size it was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How images of another shape are resized to `input_size`: "stretch" ignores the aspect ratio,
        "crop" cuts out the middle, and "pad" keeps the whole image between black bars.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Dtype in which the frozen part computes; trained layers always use float32. The 16-bit
        dtypes are faster only on CPUs and GPUs that support them in hardware. They change
        activations by up to a few percent of the largest activation. If you change this parameter,
        the change takes effect in the next `fit`.
    engine : {"auto", "openvino", "tensorflow", "jax", "torch"}, default="auto"
        Engine that computes the frozen part. "auto" uses OpenVINO if it is installed (the extra
        ``openvino``) and supports the network, and if Keras runs on TensorFlow without a GPU.
        Otherwise, it uses the backend of Keras. If you name a backend and Keras runs on another
        one, `fit` raises an error; to choose the backend of Keras, set the environment variable
        ``KERAS_BACKEND`` before Keras is imported. Trained layers always run on the backend of
        Keras. See also `engine_`.
    cache : "memory", str, Path or None, default="memory"
        Where activations are cached: in memory that this process shares with the workers it starts
        ("memory"), in a directory, or nowhere (None). This does not affect results.
    on_error : {"raise", "nan"}, default="raise"
        What happens to paths, bytes and PIL images that cannot be read. "raise" raises a
        ``ValueError``. With "nan", `fit` leaves such rows out and lists them in `failed_rows_`, and
        `predict` returns NaN for them. Each of these methods gives one warning.
    n_jobs : int or None, default=None
        Number of threads that decode images. None and -1 use all cores or, in a joblib worker, the
        worker's share of them.
    random_state : int, RandomState instance or None, default=None
        Seed of random weights, of the order of rows, of dropout, of views and of the split for
        early stopping. Pass an int to get the same weights in every fit.
    verbose : int, default=0
        1 or more reports on standard error how long the fit will take, and shows a progress bar.

    Attributes
    ----------
    n_iter_ : int
        Number of epochs trained.
    history_ : dict of str to list of float
        One value for each epoch: "loss" and, with early stopping, "val_loss" and "val_r2" (R²).
        Losses are computed on the standardised y, so with "squared_error" predicting the mean has a
        loss of 1.
    n_trainable_params_ : int
        Number of trained weights of all members together, including their heads.
    members_ : Table of Member
        A table with a row for each member, which says how the member was trained: its
        `freeze_depth`, `learning_rate`, `layer_decay` and `label_smoothing`, with the values that
        "auto" stood for.
    tabular_ : transformer or None
        The fitted clone of `tabular`; None if `tabular` is None.
    backbone_ : BackboneSpec
        The pretrained network, as plain data.
    engine_ : {"openvino", "tensorflow", "jax", "torch"}
        Engine that computes the frozen part. A fitted regressor that is loaded where this engine is
        missing, or where Keras runs on another backend, warns once and uses the backend that Keras
        runs on there.
    failed_rows_ : ndarray of int
        Positions in X of the rows that `fit` could not read and left out.
    n_features_in_ : int
        Number of columns of a 2-D X; height * width * channels for an array of images; 1 for paths,
        bytes, PIL images and lists.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of the frame seen in `fit`; defined only if all of them are strings.

    See Also
    --------
    FineTunedClassifier : Predicts classes.
    PretrainedFeatureExtractor : Computes features for a model of your own.
    freeze_points : Lists the stages at which a backbone can be frozen.

    Notes
    -----
    The result depends only on the weighted set of (image, y) pairs: the order of rows does not
    matter, and two copies of a row have the same effect as one row with weight 2. An image may
    occur with several values of y, such as the ratings of several people. With the same
    `random_state` and the same number of threads, the weights are bit-identical. With another
    number of threads, the backend sums gradients in another order, and predictions differ by at
    most about 1e-3 standard deviations.

    References
    ----------
    .. [1] Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
       Out-of-Distribution", ICLR 2022.
    .. [2] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [3] Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2017.
    .. [4] Allen, "The Relationship between Variable Selection and Data Agumentation and a Method
       for Prediction", Technometrics, 1974.
    .. [5] Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics,
       1964.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import FineTunedRegressor
    >>> rng = np.random.default_rng(0)
    >>> brightness = np.arange(16) * 10
    >>> images = rng.integers(0, 100, (16, 32, 32, 3)) + brightness[:, None, None, None]
    >>> regressor = FineTunedRegressor(input_size=(64, 64), epochs=2, random_state=0)
    >>> regressor.fit(images.astype(np.uint8), brightness).predict(images[[0]]).shape
    (1,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FineTunedBase._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    _reads_numbers: ClassVar[bool] = True

    _task: Regression

    def __init__(
        self,
        backbone: Backbone = "efficientnet_lite0",
        *,
        loss: RegressionLoss = "squared_error",
        weights: Weights = "imagenet",
        layer: str | None = None,
        pooling: Pooling | None = None,
        freeze_depth: FreezeDepth = -1,
        head_units: int | Sequence[int] = (),
        head_activation: str = "relu",
        head_dropout: float = 0.2,
        head_init: HeadInit = "convex",
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float | Auto = 3e-4,
        head_learning_rate: float | None = None,
        layer_decay: float | Auto = 1.0,
        weight_decay: float = 1e-4,
        schedule: Schedule = "cosine",
        batch_norm: BatchNorm = "frozen",
        augment: Augment | None = None,
        n_views: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        warm_start: bool = False,
        adaptation: Literal["statistics"] | None = None,
        tta: bool = False,
        tabular: Tabular | None = None,
        input_column: str | int | None = None,
        max_tokens: int | None = None,
        sample_rate: int | None = None,
        max_seconds: float | None = None,
        image_shape: ImageShape | None = None,
        pixel_range: PixelRange | None = None,
        input_size: Size | None = None,
        resize: Resize = "stretch",
        precision: str = "float32",
        engine: str = "auto",
        cache: Path | None = "memory",
        on_error: OnError = "raise",
        n_jobs: int | None = None,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.loss = loss
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.adaptation = adaptation
        self.tta = tta
        self.tabular = tabular
        self.input_column = input_column
        self.max_tokens = max_tokens
        self.sample_rate = sample_rate
        self.max_seconds = max_seconds
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

    @with_checked_parameters
    def fit(
        self,
        X: Images,
        y: Numbers,
        sample_weight: SampleWeight = None,
        X_target: Images | TargetRows = None,
    ) -> Self:
        """Train the head, then the head and the layers that are not frozen.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, as described in the class.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Finite numbers, in any unit.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals that many copies of the row; 0 leaves the
            row out.
        X_target : array-like or TargetRows, default=None
            Rows of the target domain, without y, which `adaptation` uses. If `X_target` is exactly
            as long as X, pass ``TargetRows(rows)``. `fit` refuses plain rows of this length,
            because cross-validation may have cut them: it cuts every argument that is as long as X
            to the rows of the fold. With ``adaptation=None``, `X_target` is ignored, with a
            warning.

        Returns
        -------
        FineTunedRegressor
            The fitted regressor.

        Raises
        ------
        ValueError, TypeError
            If a parameter, a row of X, y or a weight is invalid. The regressor then stays as it
            was.
        """
        with self._unchanged_on_failure():
            numbers, weights = self._checked(X, y, sample_weight)
            before = self._task if self.warm_start and hasattr(self, "_states") else None
            task = self._task_for(numbers, before)
            self._fit(X, numbers, weights, lambda seen: replace(task, weight_seen=0.0), X_target)
        return self

    def partial_fit(self, X: Images, y: Numbers, sample_weight: SampleWeight = None) -> Self:
        """Train one more epoch, at a constant learning rate.

        The first call decides how X is read, how y is standardised, and where the head starts. The
        rows of this call should therefore be as varied as the rows of later calls.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, as described in the class.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Finite numbers, with as many targets as in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        FineTunedRegressor
            The regressor after one more epoch.

        Raises
        ------
        ValueError, TypeError
            If a parameter, a row of X, y or a weight is invalid. The regressor then stays as it
            was.
        """
        self._validate_params()
        with self._unchanged_on_failure():
            numbers, weights = self._checked(X, y, sample_weight)
            before = self._task if hasattr(self, "_states") else None
            weight_seen = 0.0 if before is None else before.weight_seen
            task = self._task_for(numbers, before)
            self._fit_once(X, numbers, weights, lambda seen: task, weight_seen)
        return self

    def predict(self, X: Images) -> np.ndarray:
        """Predict the numbers of every row.

        Parameters
        ----------
        X : array-like
            Images of any size and kind, or rows of numbers of the width seen in fit.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets), dtype float64
            Predictions in the units and the shape of y in fit. With ``on_error="nan"``, rows that
            could not be read are NaN.
        """
        return self._predicted(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[Floats, Floats]:
        """Check y and the weights; at least one weight must be positive."""
        self._check_parameters(X, y)
        numbers = _checked_numbers(y)
        check_consistent_length(X, numbers)
        return numbers, self._checked_weights(X, sample_weight)

    def _task_for(self, y: Floats, before: Regression | None) -> Regression:
        """Return the regression task for `y`; it continues from `before` if that is not None."""
        n_targets = 1 if y.ndim == 1 else y.shape[1]
        if before is None:
            return Regression(n_targets, y.ndim == 1, self.loss)
        if n_targets != before.n_targets:
            raise ValueError(
                f"y has {n_targets} targets, but the first fit had {before.n_targets}, and the "
                "outputs of the head cannot change. Fit a new regressor, or pass the same number."
            )
        return replace(before, is_flat=y.ndim == 1, loss_name=self.loss)


def _checked_numbers(y: Any) -> Floats:
    """Return finite numbers, of shape (n,) or (n, n_targets)."""
    check_column(y, "y")
    _check_are_numbers(y)
    numbers: Floats = check_array(
        y, dtype=np.float64, ensure_2d=False, ensure_all_finite=False, input_name="y"
    )
    faulty = np.flatnonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1))
    if len(faulty):
        raise ValueError(
            f"y has no finite number in row {faulty[0]}: it is {numbers[faulty[0]]}. This holds "
            f"for {len(faulty)} of {len(numbers)} rows. Leave them out of X and y."
        )
    return numbers


def _check_are_numbers(y: Any) -> None:
    """Refuse missing values, and texts and times, which NumPy would convert to numbers."""
    if issparse(y):
        return
    values = np.asarray(y)
    if values.dtype.kind in "USmM":
        raise ValueError(
            f"y holds {'text' if values.dtype.kind in 'US' else 'dates or times'}, but "
            "FineTunedRegressor learns numbers. Convert it, or use FineTunedClassifier for classes."
        )
    rows = values if values.dtype == object else ()
    missing = [row for row, value in enumerate(rows) if any(map(is_missing, np.ravel(value)))]
    if missing:
        raise ValueError(
            f"y has no number in row {missing[0]}: it is {values[missing[0]]!r}. This holds for "
            f"{len(missing)} of {len(values)} rows. Leave them out of X and y."
        )
