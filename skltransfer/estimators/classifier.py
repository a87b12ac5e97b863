"""Fine-tuning as a classifier: freeze the first layers, train a head, then both, gently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skltransfer.estimators.base import Number, with_checked_parameters
from skltransfer.estimators.fine_tuned import FineTunedBase
from skltransfer.inputs.missing import is_missing
from skltransfer.tasks.classification import Classification, check_class_weight

if TYPE_CHECKING:
    from skltransfer._types import (
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
        Weights,
    )
    from skltransfer.backbones.types import Augment, Backbone
    from skltransfer.tasks._task import Floats


class FineTunedClassifier(ClassifierMixin, FineTunedBase):
    """Fine-tuned network: the first layers frozen, a head trained, then both, gently.

    `fit` goes in two phases, as "linear probing then fine-tuning" [1]_. First the head: a softmax
    regression on the standardised features of the pretrained network, a convex problem with one
    solution. Then the head and the layers that `freeze_depth` leaves to learn, together, by
    AdamW [2]_ with a short warm-up and a cosine. The frozen layers run once for each image,
    whatever the number of epochs, folds and candidates of a search: their activations are kept by
    the content of the image.

    X may be anything that :class:`PretrainedFeatureExtractor` takes: arrays of images, lists or
    columns of paths, bytes, PIL images and arrays, flattened images with `image_shape`, and
    plain rows of numbers.

    Parameters
    ----------
    backbone : str, Path, keras.Model or handle, default="efficientnet_lite0"
        The network: a name from ``list_backbones()``, the path of a ``.keras`` file, a Keras
        model from images to one output, or what ``register_backbone`` returned.
    weights : "imagenet", None, str or Path, default="imagenet"
        Pretrained weights (or those that a model of your own came with), random ones, or the path
        of a weights-only file.
    layer : str or None, default=None
        Name of the layer at which the network ends: what lies behind it is neither computed nor
        trained. None is the last one before any classification top.
    pooling : {"avg", "max", "flatten", "cls"} or None, default=None
        How the output of that layer becomes one row: the mean or the largest value of each channel,
        all values one after another, or the class token of a transformer, which is the first. None
        is the backbone's own, for images the mean.
    freeze_depth : int, float or str, default=-1
        How much of the backbone stays frozen. "all": only the head learns. An int k >= 0 freezes
        the first k stages, a negative one leaves the last ``|k|`` stages to learn; 0 trains
        everything. A float strictly between 0 and 1 freezes that fraction of the layers that hold
        weights, down to the nearest possible freeze point. Any other string is the name of the last
        frozen layer. ``freeze_points(backbone)`` lists the stages.
    head_units : int or tuple of int, default=()
        Widths of hidden layers in the head; () is a linear head.
    head_activation : str, default="relu"
        Name of a Keras activation, such as "relu", "gelu" or "tanh", used behind every hidden
        layer.
    head_dropout : float, default=0.2
        Probability that an input of a layer of the head is dropped in a training step, in [0, 1).
    head_init : {"convex", "random"}, default="convex"
        "convex" starts the head from the solution on frozen features. "random" starts hidden
        layers at random and the last one at zero.
    epochs : int, default=10
        Passes over the training set, at most. 0 keeps the head's starting point.
    batch_size : int, default=32
        Rows of a training step; all of them where there are fewer.
    learning_rate : float, default=0.0003
        Peak of AdamW's learning rate.
    head_learning_rate : float or None, default=None
        The same for the head alone; None is `learning_rate`.
    layer_decay : float, default=1.0
        Factor on the learning rate for each stage further from the head, in (0, 1].
    weight_decay : float, default=0.0001
        AdamW's decay of kernels; biases and normalisations have none.
    schedule : {"cosine", "constant"}, default="cosine"
        Course of the learning rate: up over a tenth of the steps and down along a cosine, or flat.
    batch_norm : {"frozen", "train", "adapt"}, default="frozen"
        What BatchNorm above the freeze point does. "frozen" keeps its statistics; "adapt" first
        sets them to the training images' own [3]_; "train" normalises by each batch and in the end
        sets the statistics to the training images' own. Nothing is done below the freeze point.
    augment : {"flip", "dihedral", "standard"}, keras.Layer or None, default=None
        Views of images to train on: mirrored left to right; the eight symmetries of a square;
        random crops, mirrored and recoloured; or what a layer makes of images of values 0 to
        255. A view is drawn from `random_state`, content and epoch, never from the position.
    n_views : int or None, default=None
        Number of fixed views of each image, the image itself being one, and at most as many
        as differ; their activations are kept like any others, so that the frozen part runs once a
        view. None draws a new view every epoch and runs the frozen part every time.
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over the classes, in [0, 1).
    class_weight : dict, "balanced" or None, default=None
        Factors on the loss by class, 1 for classes that a dict leaves out. "balanced" gives all
        classes the same total weight. A network that comes to fit its few images takes little
        notice of them [4]_.
    early_stopping : bool, default=False
        Whether to hold out a stratified `validation_fraction`, stop when its loss has not improved
        for `n_iter_no_change` epochs, and keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of each class's weight that is held out, in (0, 1).
    n_iter_no_change : int, default=3
        Epochs without improvement after which training stops.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one, with a new optimiser. `freeze_depth`
        may change in between; the classes and the head may not.
    tta : bool, default=False
        Whether predictions are averaged over the views of `augment`: two for "flip", eight for
        "dihedral" (four where height and width differ), else `n_views` or four. It may be set
        after `fit`.
    image_shape : (height, width), (height, width, channels) or None, default=None
        How the rows of a 2-D X are read as images, in pixels.
    pixel_range : (low, high) or None, default=None
        The values in arrays that mean black and white; None decides by the rule told in
        :class:`PretrainedFeatureExtractor`.
    input_size : (height, width) or None, default=None
        Size in pixels at which the network sees an image; None is the size it was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How an image of another shape comes to `input_size`.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Number format in which frozen layers compute; what learns is always float32. The shorter
        ones pay on processors and GPUs that have such arithmetic, and change activations by up to
        some percent of the largest. It may be changed after `fit`.
    engine : {"auto", "openvino", "tensorflow", "jax", "torch"}, default="auto"
        Who computes the frozen part. "auto" takes OpenVINO where it is installed (``pip install
        'skltransfer[openvino]'``), Keras runs on TensorFlow without a GPU and OpenVINO can compute
        the network, else the backend that Keras runs on. A backend's name demands that one: the
        environment variable ``KERAS_BACKEND`` chooses it before Keras is imported. What learns is
        always computed by the backend; see `engine_`.
    cache : "memory", str, Path or None, default="memory"
        Where activations of the frozen part are kept: in memory shared by this process and the
        workers it starts, in a directory, or not at all. It changes no result.
    on_error : {"raise", "nan"}, default="raise"
        What happens to paths, bytes and PIL images that cannot be read: a ``ValueError``; or
        `fit` leaves them out and lists them in `failed_rows_`, `predict_proba` gives NaN and
        `predict` the most frequent class of fit, each with one warning.
    n_jobs : int or None, default=None
        Threads that decode images; None and -1 mean one for each core, in a worker of joblib one
        for each of its share.
    random_state : int, RandomState instance or None, default=None
        Decides random weights, the order of rows, dropout, views and the split of early stopping.
        Pass an int for the same weights in every fit.
    verbose : int, default=0
        1 or more tells on standard error how long a fit will take and shows how far it is.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    n_iter_ : int
        Number of epochs trained.
    history_ : dict of str to list of float
        One value an epoch: "loss", and with early stopping "val_loss" and "val_accuracy".
    n_trainable_params_ : int
        Number of weights that learned, the head's included.
    backbone_ : BackboneSpec
        The network that was started from, as plain data.
    engine_ : {"openvino", "tensorflow", "jax", "torch"}
        Who computes the frozen part. A fitted classifier that is loaded where that is missing, or
        where Keras runs on another backend, warns once and takes the backend there.
    failed_rows_ : ndarray of int
        Positions of the rows that `fit` could not read and left out.
    n_features_in_ : int
        Number of columns of a 2-D X; height * width * channels of an array of images; 1 for
        paths, bytes, PIL images and lists.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of the frame seen in `fit`; only where it had such names.

    See Also
    --------
    PretrainedFeatureExtractor : The features alone, for a model of your own behind them.
    freeze_points : The stages at which a backbone can be frozen.

    Notes
    -----
    The result is a function of the weighted set of (image, label) pairs: neither the order of
    rows matters, nor whether a row comes twice or with weight 2. With the same `random_state` and
    number of threads the weights are the same to the bit; with another number of threads
    the backend sums gradients in another order, and probabilities differ by about 1e-3 at most.

    References
    ----------
    .. [1] Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
       Out-of-Distribution", ICLR 2022.
    .. [2] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [3] Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2017.
    .. [4] Byrd and Lipton, "What is the Effect of Importance Weighting in Deep Learning?",
       ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import FineTunedClassifier
    >>> rng = np.random.default_rng(0)
    >>> dark = rng.integers(0, 120, (8, 32, 32, 3), dtype=np.uint8)
    >>> images, labels = np.concatenate([dark, dark + 120]), ["night"] * 8 + ["day"] * 8
    >>> classifier = FineTunedClassifier(input_size=(64, 64), epochs=2, random_state=0)
    >>> classifier.fit(images, labels).predict(images[[0, -1]])
    array(['night', 'day'], dtype='<U5')
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FineTunedBase._parameter_constraints,
        "label_smoothing": [Number(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _task: Classification

    def __init__(
        self,
        backbone: Backbone = "efficientnet_lite0",
        *,
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
        learning_rate: float = 3e-4,
        head_learning_rate: float | None = None,
        layer_decay: float = 1.0,
        weight_decay: float = 1e-4,
        schedule: Schedule = "cosine",
        batch_norm: BatchNorm = "frozen",
        augment: Augment | None = None,
        n_views: int | None = None,
        label_smoothing: float = 0.0,
        class_weight: ClassWeight = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        warm_start: bool = False,
        tta: bool = False,
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

    @with_checked_parameters
    def fit(self, X: Images, y: Labels, sample_weight: SampleWeight = None) -> Self:
        """Train the head, then the head and the layers that are not frozen.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, see the class.
        y : array-like of shape (n_samples,)
            Class labels: strings, ints or bools.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals so many copies of the row, 0 its
            absence.

        Returns
        -------
        FineTunedClassifier
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            When a parameter, a row of X, y or the weights are refused. The classifier is then as
            before.
        """
        with self._unchanged_on_failure():
            y, weights = self._checked(X, y, sample_weight)
            classes = None
            if self.warm_start and hasattr(self, "classes_"):
                classes = self.classes_
                _check_labels_known(y, weights, classes)
            self._fit(X, y, weights, lambda labels: self._task_for(labels, classes))
        return self

    def partial_fit(
        self,
        X: Images,
        y: Labels,
        classes: Labels = None,
        sample_weight: SampleWeight = None,
    ) -> Self:
        """Train one epoch at a constant learning rate, going on from the last call.

        The first call decides how X is read and where the head starts from. A class that it lacks
        starts as unlikely as if one average row of it had been there.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, see the class.
        y : array-like of shape (n_samples,)
            Class labels, all of them among the classes of the first call.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; required in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        FineTunedClassifier
            The classifier after one more epoch.

        Raises
        ------
        ValueError
            When `classes` is missing, a label is new, or ``class_weight="balanced"``, which
            needs all labels at once.
        """
        self._validate_params()
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once and is not available in "
                "partial_fit. Pass a dict of weights, or sample_weight."
            )
        with self._unchanged_on_failure():
            y, weights = self._checked(X, y, sample_weight)
            before = getattr(self, "_task", None)
            given = _Labels(before)
            _check_partial_fit_first_call(given, classes)
            _check_labels_known(y, weights, given.classes_)
            totals = None if before is None else before.totals
            weight_seen = 0.0 if before is None else before.weight_seen
            self._fit_once(
                X,
                y,
                weights,
                lambda labels: replace(self._task_for(labels, given.classes_), totals=totals),
                weight_seen,
            )
        return self

    def predict(self, X: Images) -> np.ndarray:
        """Predict the class of every row.

        Parameters
        ----------
        X : array-like
            Images of any size and kind, or rows of numbers of the width seen in fit.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels. With ``on_error="nan"`` an unreadable image gets the class that was most
            frequent in fit.
        """
        scores = self._predicted(X)
        is_unread = np.isnan(scores[:, 0])
        best = np.where(is_unread, self._task.most_frequent, scores.argmax(axis=1))
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Images) -> np.ndarray:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float64
            In the order of `classes_`; NaN for what could not be read with ``on_error="nan"``.
        """
        return np.asarray(np.exp(self._predicted(X)))

    def predict_log_proba(self, X: Images) -> np.ndarray:
        """Predict the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float64
            In the order of `classes_`.
        """
        return self._predicted(X)

    def decision_function(self, X: Images) -> np.ndarray:
        """Confidence scores of the classes.

        Parameters
        ----------
        X : array-like
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), dtype float64
            Logarithms of probabilities; for two classes the log-odds of the second.
        """
        scores = self._predicted(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels, sorted."""
        return self._task.classes

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[NDArray[np.generic], Floats]:
        """Labels and weights of the rows, some of which are positive."""
        self._check_parameters(X, y)
        check_class_weight(self.class_weight)
        given, y = y, column_or_1d(y, warn=True)
        _check_labels_there(given if isinstance(given, (list, tuple)) else y)
        check_consistent_length(X, y)
        check_classification_targets(y)
        return y, self._checked_weights(X, sample_weight)

    def _task_for(
        self, y: NDArray[np.generic], classes: NDArray[np.generic] | None
    ) -> Classification:
        """The task of telling the `classes`, or those that y holds."""
        known = np.unique(y) if classes is None else classes
        return Classification(known, self.class_weight, self.label_smoothing)

    def _lost_with(self, y: NDArray[np.generic], y_read: NDArray[np.generic]) -> list[Any]:
        found: list[Any] = np.setdiff1d(y, y_read).tolist()
        return found


class _Labels:
    """The classes of the first call of `partial_fit`, as scikit-learn's check asks for them."""

    def __init__(self, task: Classification | None) -> None:
        if task is not None:
            self.classes_ = task.classes


def _check_labels_there(y: NDArray[np.generic] | list[Any] | tuple[Any, ...]) -> None:
    """Refuse None, NaN and NA in a list, of which NumPy makes text, or among objects."""
    labels = y if isinstance(y, (list, tuple)) or y.dtype == object else ()
    missing = [row for row, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise ValueError(
            f"y has no label in row {missing[0]}: it is {labels[missing[0]]!r}. Of {len(y)} rows "
            f"{len(missing)} have none. Leave them out of X and y."
        )


def _check_labels_known(
    y: NDArray[np.generic], weights: Floats, classes: NDArray[np.generic]
) -> None:
    new = np.setdiff1d(y[weights > 0], classes)
    if len(new):
        raise ValueError(
            f"y contains {new.tolist()}, which are not among the classes of the first fit "
            f"{classes.tolist()}. Fit a new classifier, or pass all classes at first."
        )
