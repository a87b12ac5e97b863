"""Fine-tuning as a classifier: train the head first, then the head and the last stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_consistent_length

from skltransfer.estimators.base import Number, with_checked_parameters
from skltransfer.estimators.classifier_targets import (
    LabelsOfRows,
    check_factors,
    check_same_kind,
    lost_labels,
    read_labels,
)
from skltransfer.estimators.fine_tuned import FineTunedBase
from skltransfer.tasks.classification import Classification
from skltransfer.tasks.multilabel import MultiLabel
from skltransfer.training.members import AUTO

if TYPE_CHECKING:
    from skltransfer._types import (
        Adaptation,
        Auto,
        BatchNorm,
        ClassWeight,
        FreezeDepth,
        HeadInit,
        Images,
        ImageShape,
        Labels,
        OnError,
        Path,
        PixelRange,
        Pooling,
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
    from skltransfer.estimators.training_rows import TaskFor
    from skltransfer.tasks._task import Floats


class FineTunedClassifier(ClassifierMixin, FineTunedBase):
    """Classifier that fine-tunes the last stages of a pretrained network.

    By default, it trains three copies of the network, called *members*, and averages their outputs.
    The members differ in how many of the last stages they train; a stage is a group of consecutive
    layers. Members share the layers that none of them trains. ``freeze_depth=-1`` trains a single
    member, in a fraction of the time.

    `fit` has two phases, as in "linear probing then fine-tuning" [1]_. First, it fits the *head*,
    which is the classifier on top of the network. In this phase, the head is a softmax regression
    on the standardised features of the pretrained network; this is a convex problem with a single
    solution. Then the optimiser AdamW [2]_ trains the head together with the layers that
    `freeze_depth` leaves unfrozen. The frozen layers (the *frozen part*) run only once for each
    image, however many epochs, folds and search candidates there are, because their outputs (the
    *activations*) are cached by the content of the image.

    y holds one label for each row, or several (multilabel). Several labels are given as a matrix of
    0 and 1 with a column for each label. Each of these labels has its own sigmoid, and the head
    starts from one logistic regression for each label.

    X may be anything that :class:`PretrainedFeatureExtractor` takes: arrays of images; lists or
    frame columns of paths, bytes, PIL images and arrays; flattened images with `image_shape`; texts
    or sounds, with a backbone for them; and rows of plain numbers.

    Most users need five of the parameters: `freeze_depth` (how much of the network stays as it is),
    `epochs` (how long to train), `augment` (random views of the images), `random_state` (an int
    makes the result repeatable) and `verbose` (whether progress is shown). The others are for
    special cases, or have defaults that were chosen by measurement.

    Parameters
    ----------
    backbone : str, Path, keras.Model or handle, default="efficientnet_lite0"
        The network: a name from ``list_backbones()``, the path of a ``.keras`` file, a Keras model
        that takes images and has one output, or the handle that ``register_backbone`` returned.
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
    freeze_depth : int, float or str, default="auto"
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
    learning_rate : float or "auto", default="auto"
        Peak learning rate of AdamW. "auto" is 0.0003 if only the head is trained, or if the network
        ends in tokens or a vector. If stages are trained and the network ends in a feature map,
        "auto" is 0.001, reduced in proportion if training has fewer than 60 steps.
    head_learning_rate : float or None, default=None
        Peak learning rate of the head; None is `learning_rate`.
    layer_decay : float or "auto", default="auto"
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
    label_smoothing : float or "auto", default="auto"
        Share in [0, 1) of each target that is spread evenly over the classes. With several labels
        in each row, it is spread over the two values of each label. "auto" is 0.1 if stages are
        trained, else 0.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Factor on the loss for each class; classes missing from the dict have the factor 1.
        "balanced" gives all classes the same total weight. With several labels in each row, pass a
        list with a dict for each label, such as ``[{0: 1.0, 1: 5.0}, ...]``; "balanced" then gives
        the two values of each label the same total weight. These factors have little effect on a
        network that fits its few training images perfectly [4]_.
    early_stopping : bool, default=False
        Whether to hold out a `validation_fraction` of the rows, stop when the loss on these rows
        has not improved for `n_iter_no_change` epochs, and keep the weights of the best epoch. The
        held-out rows are stratified by class. With several labels in each row, they are drawn at
        random.
    validation_fraction : float, default=0.1
        Share of the rows of each class to hold out, in (0, 1), measured in sample weight.
    n_iter_no_change : int, default=3
        Number of epochs without improvement after which training stops.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit, with a new optimiser. You may
        change `freeze_depth` in between; all members then start from the weights of the member that
        had trained the most layers. The classes and the head must stay the same.
    adaptation : {"statistics", "self", "mcc"}, tuple of them or None, default=None
        How `fit` adapts to `X_target`. These rows come from the domain where the classifier will
        work, and need no labels. "statistics" moves the means and variances that standardise the
        head's features towards those of `X_target`, and does the same with the statistics of
        BatchNorm layers above the freeze point [3]_. In this mixture, n distinct target rows have
        the share ``n / (n + 64)``, and the labelled rows have the rest. "self" fits the head's last
        layer again after training, on the labelled rows and on target rows with predicted labels;
        it starts with the most certain predictions of each class and ends with all of them [5]_.
        "mcc" also fits the last layer again. It penalises divided predictions, which give a target
        row probability for several classes [6]_. If stages are trained, it does so in every
        training batch too. A tuple combines several methods. With several labels in each row, only
        "statistics" is allowed. The guide on shifted data compares these methods with labelling a
        few target rows.
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
        ``ValueError``. With "nan", `fit` leaves such rows out and lists them in `failed_rows_`. For
        such rows, `predict_proba` returns NaN, and `predict` returns the most frequent class of
        fit. Each of these methods gives one warning.
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
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; with several labels in each row, ``np.arange(n_labels)``.
    label_names_ : ndarray of object, shape (n_labels,), or None
        Names of the columns of y if it was a frame with several labels in each row, else None.
    n_iter_ : int
        Number of epochs trained.
    history_ : dict of str to list of float
        One value for each epoch: "loss" and, with early stopping, "val_loss" and "val_accuracy".
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
        Engine that computes the frozen part. A fitted classifier that is loaded where this engine
        is missing, or where Keras runs on another backend, warns once and uses the backend that
        Keras runs on there.
    failed_rows_ : ndarray of int
        Positions in X of the rows that `fit` could not read and left out.
    n_features_in_ : int
        Number of columns of a 2-D X; height * width * channels for an array of images; 1 for paths,
        bytes, PIL images and lists.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of the frame seen in `fit`; defined only if all of them are strings.

    See Also
    --------
    PretrainedFeatureExtractor : Computes features for a model of your own.
    freeze_points : Lists the stages at which a backbone can be frozen.

    Notes
    -----
    The result depends only on the weighted set of (image, label) pairs: the order of rows does not
    matter, and two copies of a row have the same effect as one row with weight 2. With the same
    `random_state` and the same number of threads, the weights are bit-identical. With another
    number of threads, the backend sums gradients in another order, and probabilities differ by at
    most about 1e-3.

    References
    ----------
    .. [1] Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
       Out-of-Distribution", ICLR 2022.
    .. [2] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [3] Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2017.
    .. [4] Byrd and Lipton, "What is the Effect of Importance Weighting in Deep Learning?",
       ICML 2019.
    .. [5] Zou et al., "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
       Self-Training", ECCV 2018.
    .. [6] Jin et al., "Minimum Class Confusion for Versatile Domain Adaptation", ECCV 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import FineTunedClassifier
    >>> rng = np.random.default_rng(0)
    >>> dark = rng.integers(0, 120, (8, 32, 32, 3), dtype=np.uint8)
    >>> images, labels = np.concatenate([dark, dark + 120]), ["night"] * 8 + ["day"] * 8
    >>> classifier = FineTunedClassifier(input_size=(64, 64), freeze_depth=-1, random_state=0)
    >>> classifier.fit(images, labels).predict(images[[0, -1]])
    array(['night', 'day'], dtype='<U5')
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FineTunedBase._parameter_constraints,
        "label_smoothing": [Number(Real, 0, 1, closed="left"), StrOptions({AUTO})],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    _task: Classification | MultiLabel

    def __init__(
        self,
        backbone: Backbone = "efficientnet_lite0",
        *,
        weights: Weights = "imagenet",
        layer: str | None = None,
        pooling: Pooling | None = None,
        freeze_depth: FreezeDepth = "auto",
        head_units: int | Sequence[int] = (),
        head_activation: str = "relu",
        head_dropout: float = 0.2,
        head_init: HeadInit = "convex",
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float | Auto = "auto",
        head_learning_rate: float | None = None,
        layer_decay: float | Auto = "auto",
        weight_decay: float = 1e-4,
        schedule: Schedule = "cosine",
        batch_norm: BatchNorm = "frozen",
        augment: Augment | None = None,
        n_views: int | None = None,
        label_smoothing: float | Auto = "auto",
        class_weight: ClassWeight = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        warm_start: bool = False,
        adaptation: Adaptation | Sequence[Adaptation] | None = None,
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
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
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
        y: Labels,
        sample_weight: SampleWeight = None,
        X_target: Images | TargetRows = None,
    ) -> Self:
        """Train the head, then the head and the layers that are not frozen.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, as described in the class.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels: strings, ints or bools. For several labels in each row, pass an array, a
            sparse matrix or a frame with a column for each label, filled with 0 and 1 or with
            bools.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals that many copies of the row; 0 leaves the
            row out.
        X_target : array-like or TargetRows, default=None
            Rows of the target domain, without labels, which `adaptation` uses. If `X_target` is
            exactly as long as X, pass ``TargetRows(rows)``. `fit` refuses plain rows of this
            length, because cross-validation may have cut them: it cuts every argument that is as
            long as X to the rows of the fold. With ``adaptation=None``, `X_target` is ignored, with
            a warning.

        Returns
        -------
        FineTunedClassifier
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            If a parameter, a row of X, y or a weight is invalid. The classifier then stays as it
            was.
        """
        with self._unchanged_on_failure():
            labels, weights = self._checked(X, y, sample_weight)
            classes = None
            if self.warm_start and hasattr(self, "_task"):
                check_same_kind(self._task, labels)
                classes = self.classes_
                labels.check_known(weights, classes)
            else:
                labels.warn(weights)
            self._fit(X, labels.values, weights, self._task_for(labels, classes), X_target)
        return self

    def partial_fit(
        self,
        X: Images,
        y: Labels,
        classes: Labels = None,
        sample_weight: SampleWeight = None,
    ) -> Self:
        """Train one more epoch, at a constant learning rate.

        The first call decides how X is read and fits the head's starting point. A class without
        rows in the first call starts with a low probability, because it is fitted to a single row
        of average features.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, as described in the class.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, which must be among the `classes` of the first call; or several labels in
            each row, as in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; required in the first call. For several labels in each
            row, pass ``np.arange(n_labels)``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        FineTunedClassifier
            The classifier after one more epoch.

        Raises
        ------
        ValueError
            If `classes` is missing, a label is new, or ``class_weight="balanced"`` is set, which
            needs all labels at once.
        """
        self._validate_params()
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once and is not available in "
                "partial_fit. Pass a dict of weights, or sample_weight."
            )
        with self._unchanged_on_failure():
            labels, weights = self._checked(X, y, sample_weight)
            before = getattr(self, "_task", None)
            if before is None:
                labels.warn(weights)
            else:
                check_same_kind(before, labels)
            given = _Known(before)
            _check_partial_fit_first_call(given, classes)
            labels.check_known(weights, given.classes_)
            totals = None if before is None else before.totals
            weight_seen = 0.0 if before is None else before.weight_seen
            task_for = self._task_for(labels, given.classes_, totals)
            self._fit_once(X, labels.values, weights, task_for, weight_seen)
        return self

    def predict(self, X: Images) -> np.ndarray:
        """Predict the class of every row.

        Parameters
        ----------
        X : array-like
            Images of any size and kind, or rows of numbers of the width seen in fit.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels. Several labels in each row are returned as 0 and 1 in the dtype that y had in
            fit; the result is a sparse matrix if y was one. With ``on_error="nan"``, an unreadable
            row gets the most frequent class of fit; with several labels, it gets the more frequent
            value of each.
        """
        outputs = self._predicted(X)  # raises if not fitted
        return self._task.predicted(outputs)

    def predict_proba(self, X: Images) -> np.ndarray:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float64
            Probabilities in the order of `classes_`. With several labels in each row, they are the
            probabilities that each label is true. With ``on_error="nan"``, rows that could not be
            read are NaN.
        """
        outputs = self._predicted(X)  # raises if not fitted
        return self._task.probabilities(outputs)

    def predict_log_proba(self, X: Images) -> np.ndarray:
        """Predict the log-probabilities of the classes.

        Parameters
        ----------
        X : array-like
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float64
            Log-probabilities in the order of `classes_`.
        """
        outputs = self._predicted(X)  # raises if not fitted
        return self._task.log_probabilities(outputs)

    def decision_function(self, X: Images) -> np.ndarray:
        """Compute confidence scores of the classes.

        Parameters
        ----------
        X : array-like
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), dtype float64
            Log-probabilities of the classes. For two classes, the log-odds of the second class;
            with several labels in each row, the log-odds of each label.
        """
        outputs = self._predicted(X)  # raises if not fitted
        return self._task.decision(outputs)

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, sorted."""
        return self._task.classes

    @property
    def label_names_(self) -> NDArray[np.object_] | None:
        """Names of the labels if y was a frame with a column for each, else None."""
        return self._task.names if isinstance(self._task, MultiLabel) else None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[LabelsOfRows, Floats]:
        """Return checked labels and weights of the rows; at least one weight is positive."""
        self._check_parameters(X, y)
        check_factors(self.class_weight)
        labels = read_labels(y)
        check_consistent_length(X, labels.values)
        weights = self._checked_weights(X, sample_weight)
        labels.check(weights)
        return labels, weights

    def _task_for(
        self,
        labels: LabelsOfRows,
        classes: NDArray[np.generic] | None,
        totals: Floats | None = None,
    ) -> TaskFor:
        """Return a function from readable labels to the task, with `classes` or else theirs."""
        factors = self.class_weight
        labels.task(labels.values, classes, factors)  # refuses factors before anything is read
        return lambda seen: replace(labels.task(seen, classes, factors), totals=totals)

    def _lost_with(self, y: NDArray[np.generic], y_read: NDArray[np.generic]) -> list[Any]:
        return lost_labels(y, y_read)


class _Known:
    """The classes of the first call of `partial_fit`, in the form that scikit-learn expects."""

    def __init__(self, task: Classification | MultiLabel | None) -> None:
        if task is not None:
            self.classes_ = task.classes
