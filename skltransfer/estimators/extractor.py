"""Frozen networks as a transformer: images in, rows of features out."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from skltransfer._numerics import NUMERICS_VERSION
from skltransfer._warnings import warn_unreadable
from skltransfer.estimators.base import BackboneEstimator, with_checked_parameters
from skltransfer.frozen.layer_features import feature_function
from skltransfer.inputs.sizes import as_ints, check_size
from skltransfer.network.runtime import network_of
from skltransfer.progress import progress_bar

if TYPE_CHECKING:
    from skltransfer._types import (
        Images,
        ImageShape,
        OnError,
        Path,
        PixelRange,
        Pooling,
        Resize,
        Seed,
        Size,
        Weights,
    )
    from skltransfer.backbones.types import Backbone
    from skltransfer.inputs._input import Source
    from skltransfer.inputs.errors import ReadError


class PretrainedFeatureExtractor(TransformerMixin, BackboneEstimator):
    """Transformer that computes features of images with a frozen pretrained network.

    Each image runs through the network `backbone` up to `layer`, and `pooling` reduces the feature
    map there to a row of features. A linear model can learn from these rows, in a
    :class:`~sklearn.pipeline.Pipeline` or separately. `fit` learns no weights. It only decides how
    X is read, and later calls read X in the same way. With a backbone for texts or sounds, X holds
    texts or sounds instead of images.

    X may be

    - an array of images: (n, height, width, channels), or (n, height, width) for grey images;
    - a list, a 1-D object array, a Series or a one-column frame (pandas or polars) of paths,
      encoded bytes, PIL images or arrays of different sizes. Files are opened only when they are
      needed, so the memory in use depends on `batch_size` and not on the number of files;
    - rows of flattened images (n, n_features), with `image_shape`;
    - other rows of numbers (n, n_features). They are standardised and written into small images, so
      that every image network accepts them, which is rarely useful.

    Grey images are repeated over three channels, and transparent images are laid over white.

    Most users need five of the parameters: `backbone` (which network), `input_size` (a larger size
    shows the network more detail, and costs time), `resize` (whether images are stretched, cropped
    or padded), `on_error` (what happens to broken files) and `verbose` (whether progress is shown).
    The others are for special cases, or have defaults that were chosen by measurement.

    Parameters
    ----------
    backbone : str, Path, keras.Model or handle, default="efficientnet_lite0"
        The network: a name from ``list_backbones()``, the path of a ``.keras`` file, a Keras model
        that takes images and has one output, or the handle that ``register_backbone`` returned. In
        a parameter grid, pass a handle rather than a model, because a search copies models. The
        default network is part of the package. Keras downloads the weights of its own networks on
        first use.
    weights : "imagenet", None, str or Path, default="imagenet"
        "imagenet" uses the pretrained weights or, for your own model, the weights that the model
        has. None draws random weights from `random_state`. A path names a file that fits the
        network and holds only weights (``.weights.h5``, or the ``.h5`` that Keras downloads).
    layer : str, list of str or None, default=None
        Name of the layer whose output becomes the features, or a list of names; the features of
        several layers are concatenated. None is the last layer before the classification top, if
        there is one. ``freeze_points(backbone)`` shows the layers at which stages end.
    pooling : {"avg", "max", "flatten", "cls", "last", "avg_std"} or None, default=None
        How a feature map (height, width, channels) becomes a row: "avg" and "max" take the mean or
        the maximum of each channel, "flatten" concatenates all values, and "avg_std" (sounds)
        concatenates the mean and the standard deviation of each channel. For a sequence of tokens,
        "cls" takes the first token, and "last" takes the last token (for networks such as GPT-2).
        None is the backbone's own pooling: "avg" for images and texts, "avg_std" for sounds.
    max_tokens : int or None, default=None
        For texts: the maximum number of tokens that are read, including the special tokens that the
        backbone adds. Longer texts are cut, with one warning that counts them. None is the
        backbone's own limit, usually 256.
    sample_rate : int or None, default=None
        For sounds: the sample rate, in Hz, of arrays that come without one. Files and pairs
        (rate, array) have their own, which takes precedence. None refuses arrays without a rate.
    max_seconds : float or None, default=None
        For sounds: how many seconds of each sound are read. Longer sounds are cut, with one warning
        that counts them. None is 60.
    image_shape : (height, width), (height, width, channels) or None, default=None
        Shape in pixels of the images that the rows of a 2-D X contain. Other kinds of X are not
        affected.
    pixel_range : (low, high) or None, default=None
        The values in arrays that mean black and white. None applies a rule: 0 and 1 for bool, 0 and
        65535 for uint16, 0 and 255 for other integers. For floats, the largest value that `fit`
        sees decides. If it is at most 1.1, the values are 0 and 1, and anything above 1 is clipped,
        with a warning. If it is from 2 to 255, the values are 0 and 255. Any other largest value
        raises an error. Files, bytes and PIL images define their own range.
    input_size : (height, width) or None, default=None
        Size in pixels at which the network sees an image. None is the size it was trained at; for
        rows of plain numbers, the smallest size that holds them.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How an image of another shape is resized to `input_size`: "stretch" ignores the aspect
        ratio, "crop" cuts out the middle, and "pad" keeps the whole image between black bars. The
        filter is bilinear with antialiasing.
    batch_size : int, default=32
        Maximum number of decoded images in memory. Values below 96 (on a GPU, below 384) have the
        effect of 96 (384). This does not affect results.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Dtype in which layers compute; weights and features are float32. The 16-bit dtypes are
        faster only on CPUs and GPUs that support them in hardware. They change features by up to a
        few percent of the largest feature. If you change this parameter, the change takes effect in
        the next `fit`.
    engine : {"auto", "openvino", "tensorflow", "jax", "torch"}, default="auto"
        Engine that computes the features. "auto" uses OpenVINO if it is installed (the extra
        ``openvino``) and supports the network, and if Keras runs on TensorFlow without a GPU.
        Otherwise, it uses the backend of Keras. If you name a backend and Keras runs on another
        one, `fit` raises an error; to choose the backend of Keras, set the environment variable
        ``KERAS_BACKEND`` before Keras is imported. Features of different engines differ by about
        1e-6 of the largest feature. See also `engine_`.
    cache : "memory", str, Path or None, default="memory"
        Where features are cached, keyed by the content of the image, so that no features are
        computed twice. "memory" has a limited size, and this process shares it with the workers it
        starts. A directory is shared by all processes and runs. None disables the cache. This does
        not affect results.
    on_error : {"raise", "nan"}, default="raise"
        What happens to paths, bytes and PIL images that cannot be read. "raise" raises a
        ``ValueError``; "nan" returns a row of NaN, with one warning that lists such rows. Arrays
        with numbers that are not finite always raise an error, except rows of plain numbers under
        scikit-learn's ``assume_finite``.
    n_jobs : int or None, default=None
        Number of threads that decode images. None and -1 use all cores or, in a joblib worker, the
        worker's share of them. The network chooses its own number of threads. `n_jobs` does not
        affect results.
    random_state : int, RandomState instance or None, default=None
        Seed of the random weights of ``weights=None``. Pass an int to get the same weights in every
        fit.
    verbose : int, default=0
        1 or more shows a progress bar on standard error.

    Attributes
    ----------
    backbone_ : BackboneSpec
        The network, with its weights, as plain data.
    engine_ : {"openvino", "tensorflow", "jax", "torch"}
        Engine that computes the features. A fitted extractor that is loaded where this engine is
        missing, or where Keras runs on another backend, warns once and uses the backend that Keras
        runs on there.
    features_digest_ : str
        Digest of everything that features depend on besides the row, in hexadecimal digits: the
        network with its weights, the layers, the pooling, the preprocessing and the dtype.
        Extractors with the same digest compute the same features on any machine, up to differences
        of 1e-5 of the largest feature.
    layers_ : tuple of str
        Names of the layers whose outputs are the features.
    n_features_in_ : int
        Number of columns of a 2-D X; height * width * channels for an array of images; 1 for paths,
        bytes, PIL images and lists. In later calls, only a 2-D X must have the same number.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of the frame seen in `fit`; defined only if all of them are strings.

    See Also
    --------
    FineTunedClassifier : Also trains the last stages of a network.
    register_backbone : Gives your own Keras model a name.
    sklearn.preprocessing.StandardScaler : Often useful between features and a linear model.

    Notes
    -----
    A row of features depends only on its image and the fitted parameters. Its bits do not depend on
    the other rows, on their order, on `batch_size`, `n_jobs` or `cache`, on the process or, except
    with PyTorch, on the number of threads. An image has the same features as an array and as a
    lossless file. With another backend, backend version or processor, the last bits differ.

    Estimators that use the same network share it within a process, so a clone costs nothing. A
    pickle contains no Keras object. In place of bundled weights, it contains only their name and
    fingerprint.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import PretrainedFeatureExtractor
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    >>> extractor = PretrainedFeatureExtractor(input_size=(64, 64))
    >>> extractor.fit_transform(images).shape
    (3, 1280)

    The same images as flattened rows, the usual input of scikit-learn, and an early layer:

    >>> extractor = PretrainedFeatureExtractor(
    ...     image_shape=(20, 30, 3), input_size=(64, 64), layer="block2b_add"
    ... )
    >>> extractor.fit_transform(images.reshape(3, -1)).shape
    (3, 24)
    >>> extractor.get_feature_names_out()[:2]
    array(['block2b_add_0', 'block2b_add_1'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BackboneEstimator._parameter_constraints,
        "layer": [str, list, tuple, None],
    }

    def __init__(
        self,
        backbone: Backbone = "efficientnet_lite0",
        *,
        weights: Weights = "imagenet",
        layer: str | Sequence[str] | None = None,
        pooling: Pooling | None = None,
        max_tokens: int | None = None,
        sample_rate: int | None = None,
        max_seconds: float | None = None,
        image_shape: ImageShape | None = None,
        pixel_range: PixelRange | None = None,
        input_size: Size | None = None,
        resize: Resize = "stretch",
        batch_size: int = 32,
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
        self.max_tokens = max_tokens
        self.sample_rate = sample_rate
        self.max_seconds = max_seconds
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.input_size = input_size
        self.resize = resize
        self.batch_size = batch_size
        self.precision = precision
        self.engine = engine
        self.cache = cache
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @with_checked_parameters
    def fit(self, X: Images, y: Any = None) -> Self:
        """Decide how X is read; the network is not trained.

        No image is decoded; files are only checked for existence.

        Parameters
        ----------
        X : array-like
            Images or rows of numbers, as described in the class.
        y : None
            Ignored.

        Returns
        -------
        PretrainedFeatureExtractor
            The fitted extractor.

        Raises
        ------
        ValueError, TypeError
            If a parameter or a row of X is invalid. The extractor then stays as it was.
        """
        with self._unchanged_on_failure():
            requested = _layer_names(self.layer)
            self._begin(X)
            self._choose_layers(requested)
            self._choose_engine()
        return self

    def _choose_layers(self, requested: tuple[str, ...]) -> None:
        network = self._network()
        usual = (network.features.steps[-1].name,)
        self.layers_ = requested or usual
        self._feature_prefixes = requested or (self.backbone_.name,)
        self._widths = tuple(network.n_features_of(name, self._pooling) for name in self.layers_)
        self._n_features_out = sum(self._widths)

    def transform(self, X: Images) -> Any:
        """Compute the features of every row.

        Parameters
        ----------
        X : array-like
            Images of any size and kind, or rows of numbers of the width seen in fit.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), dtype float32
            Features as the backbone computes them, not standardised. With ``on_error="nan"``, the
            rows of unreadable images are NaN. After ``set_output(transform="pandas")`` or
            ``"polars"``, the result is a data frame.

        Raises
        ------
        ValueError, TypeError
            If a row is invalid; the message names the row.
        """
        check_is_fitted(self)
        source = self._encoding.source(self, X)
        with progress_bar(
            f"transform, {self.backbone_.name}", len(source), self.verbose
        ) as advance:
            rows, failures = self._features(source, advance)
        if failures:
            warn_unreadable(failures, len(source))
        return rows

    def _features(
        self, source: Source, advance: Callable[[int], None]
    ) -> tuple[np.ndarray, dict[int, ReadError]]:
        """Return features, and the rows that could not be read.

        Fine-tuned estimators with a fully frozen backbone look up the same cached features.
        """
        layers, pooling = self._computed()
        if not layers:
            return self._prefix().features(source, advance)
        return self._prefix().layer_features(source, layers, pooling, self._n_features_out, advance)

    def _computed(self) -> tuple[tuple[str, ...], str]:
        network = self._network()
        usual = (network.features.steps[-1].name,), network.pooling
        is_usual = (self.layers_, self._pooling) == usual
        return super()._computed() if is_usual else (self.layers_, self._pooling)

    @property
    def features_digest_(self) -> str:
        """Digest of everything that features depend on besides the row, in hexadecimal digits.

        It covers the network with its weights, the layers, the pooling, the preprocessing and the
        dtype. Extractors with the same digest compute the same features on any machine, with any
        engine and any version of the package, up to differences of 1e-5 of the largest feature.
        """
        check_is_fitted(self)
        what = [self.layers_, self._pooling, self._precision, NUMERICS_VERSION]
        described = [self.backbone_.fingerprint, *what, self._encoding.recipe()]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def get_feature_names_out(
        self, input_features: Sequence[str] | np.ndarray | None = None
    ) -> np.ndarray:
        """Return the names of the features: the name of the backbone or of a layer, and a number.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Checked against `feature_names_in_`, but not used otherwise.

        Returns
        -------
        ndarray of str objects
            ``"efficientnet_lite0_0"`` and so on; with `layer`, ``"block5c_add_0"``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        names = [
            f"{prefix}_{index}"
            for prefix, width in zip(self._feature_prefixes, self._widths, strict=True)
            for index in range(width)
        ]
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def check_layers(extractor: PretrainedFeatureExtractor) -> None:
    """Refuse layers or an input size that do not suit the backbone, without reading X.

    Raises
    ------
    UnknownLayerError
        If the backbone has no such layer.
    ValueError, TypeError
        If `layer`, `input_size` or `backbone` is invalid in another way.
    """
    names = _layer_names(extractor.layer)
    check_size("input_size", extractor.input_size)
    spec = extractor._resolve_spec()
    size = spec.input.size and as_ints(extractor.input_size or spec.input.size)
    network = network_of(spec, size)
    for name in names:
        network.position_of(name)


def features_of_rows(extractor: PretrainedFeatureExtractor) -> Callable[[Any], Any]:
    """Return the function from a tensor of the network's rows to features."""
    check_is_fitted(extractor)
    network, (layers, pooling) = extractor._network(), extractor._computed()
    return feature_function(network, layers, pooling)


def features_of_source(extractor: PretrainedFeatureExtractor, source: Source) -> np.ndarray:
    """Return features of temporary rows, without caching them."""
    passing = copy.copy(extractor)
    passing.cache = None
    return passing._features(source, lambda n_rows: None)[0]


def features_and_errors(
    extractor: PretrainedFeatureExtractor, source: Source
) -> tuple[np.ndarray, dict[int, ReadError]]:
    """Return features, and the rows that could not be read; do not warn."""
    return extractor._features(source, lambda n_rows: None)


def features_namespace_of(extractor: PretrainedFeatureExtractor) -> bytes:
    """Return the namespace in which a cache keeps the features."""
    prefix = extractor._prefix()
    return prefix.namespace(prefix.described(*extractor._computed()))


def numerics_of(extractor: PretrainedFeatureExtractor) -> str:
    """Return a digest of what the last bits of features depend on."""
    return extractor._prefix().numerics()


def _layer_names(layer: str | Sequence[str] | None) -> tuple[str, ...]:
    """Check the parameter `layer`; an empty tuple stands for the end of the features."""
    names = (layer,) if isinstance(layer, str) else tuple(() if layer is None else layer)
    if layer is not None and not names:
        raise ValueError(
            "layer=[] names no layer. Give a name, a list of names, or None for the end of the "
            "network."
        )
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"layer={layer!r} must be a str, a list of str, or None.")
    if len(set(names)) < len(names):
        raise ValueError(f"layer={layer!r} names a layer twice; name each once.")
    return names
