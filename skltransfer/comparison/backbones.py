"""Cross-validation of backbones, layers and input sizes, against a baseline without a network."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skltransfer._tables import Table, column
from skltransfer.comparison.learning_curve import Scores, folds_of, learning_curve, sizes_of
from skltransfer.comparison.probes import LinearHead, baselines_of
from skltransfer.comparison.verdict import Contestant, verdict
from skltransfer.estimators.base import plain_rows_of
from skltransfer.estimators.extractor import PretrainedFeatureExtractor, check_layers
from skltransfer.network.layers import UnknownLayerError

if TYPE_CHECKING:
    from skltransfer._types import Images, Labels, Seed, Size

CurveOf: TypeAlias = "partial[list[Scores]]"


def _size_told(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[0]} x {size[1]}"


@dataclass(frozen=True)
class ComparedScore:
    """One row of the table of `compare_backbones`.

    Attributes
    ----------
    backbone : str
        Name of the network, or of the baseline.
    layer : str or None
        Layer at which the network ends; None is its last layer.
    input_size : tuple of int or None
        Height and width in pixels; None is the size the network was trained at.
    n_labels : int
        Number of training rows.
    score : float
        Mean over the folds.
    error : float
        Standard error of the mean.
    seconds : float
        Time to compute the features; close to 0 if they are cached.
    """

    backbone: str = column("backbone", right=False)
    layer: str | None = column("layer", lambda name: name or "", right=False)
    input_size: tuple[int, int] | None = column("input size", _size_told)
    n_labels: int = column("labels")
    score: float = column("score", "{:.3f}".format)
    error: float = column("error", "{:.3f}".format)
    seconds: float = column("seconds", "{:.1f}".format)


class Comparison(Bunch):
    """The `verdict`, a str, and the `table`; the repr and notebooks show both."""

    def __repr__(self) -> str:
        """Return the verdict and the table."""
        return f"{self.verdict}\n\n{self.table!r}"

    def _repr_html_(self) -> str:
        """Return the same in HTML, for notebooks."""
        return f"<p>{html.escape(self.verdict)}</p>{self.table._repr_html_()}"


def compare_backbones(
    X: Images,
    y: Labels,
    backbones: Sequence[Any] = ("efficientnet_lite0",),
    layers: Sequence[str | None] = (None,),
    input_sizes: Sequence[Size | None] = (None,),
    cv: Any = 5,
    scoring: Any = None,
    n_labels: Sequence[int | None] = (50, 100, 200, None),
    baseline: Any = "auto",
    groups: Any = None,
    n_jobs: int | None = None,
    random_state: Seed = 0,
    **settings: Any,
) -> Bunch:
    """Compare frozen networks by cross-validation, and report whether transfer learning pays.

    Each combination of `backbones`, `layers` and `input_sizes` is a candidate. Its features are
    computed once and cached. In every fold, and for every number in `n_labels`, a softmax
    regression is fitted on these features. This regression is the head of
    ``FineTunedClassifier(freeze_depth="all", epochs=0)``. A baseline without a network is fitted on
    the same rows.

    Parameters
    ----------
    X : array-like
        Rows as :class:`PretrainedFeatureExtractor` takes them, such as paths.
    y : array-like of shape (n_samples,)
        Class labels.
    backbones : list, default=("efficientnet_lite0",)
        Networks, each a value of the estimators' parameter `backbone`.
    layers : list of str or None, default=(None,)
        Names of layers at which the networks end. Every layer is tried with every network, so each
        network must have all of them. None is the last layer before the classification top, if
        there is one.
    input_sizes : list of (height, width) or None, default=(None,)
        Sizes in pixels at which the networks see images; None is the size a network was trained at.
    cv : int, splitter or iterable, default=5
        An int is the number of shuffled, stratified folds. Other values that scikit-learn accepts
        as `cv` are allowed too.
    scoring : str, callable or None, default=None
        One scorer of scikit-learn; None is accuracy.
    n_labels : list of int or None, default=(50, 100, 200, None)
        Numbers of labelled rows to train on. The rows are drawn, with stratification, from the
        training rows of each fold. None is all training rows, which are always tried. Numbers below
        the number of classes are left out, and so are numbers that reach the number of training
        rows.
    baseline : "auto", classifier or None, default="auto"
        What a network has to beat. With "auto", this depends on the kind of rows. For images, the
        baselines are a softmax regression and an SVC on the pixels of the images, which are
        resized to 16 x 16. For texts, the baseline is a logistic regression on TF-IDF of the
        network's tokens. For sounds, the baselines are a softmax regression and an SVC on the mean
        and standard deviation of each log-mel band. The SVC is left out if `scoring` needs
        probabilities. A classifier that you pass gets the rows of X unchanged; if these are paths,
        for example, it must read the files itself. None compares only networks.
    groups : array-like of shape (n_samples,), default=None
        Group of each row, such as the patient. No group has rows in both the training part and the
        test part of a fold.
    n_jobs : int or None, default=None
        Number of workers that fit the heads. This does not affect results.
    random_state : int, RandomState instance or None, default=0
        Seed of the folds, of the choice of training rows, and of random weights.
    **settings
        Further parameters of :class:`PretrainedFeatureExtractor`, such as ``pixel_range``,
        ``weights``, ``pooling`` or ``cache``.

    Returns
    -------
    Bunch
        `verdict` is a str that says whether transfer pays, whether more labels would help, whether
        an earlier layer is better and, if several networks were compared, how the best candidate
        of the other networks scores. `table` is a tuple of rows with the attributes ``backbone``,
        ``layer``, ``input_size``, ``n_labels``, ``score``, ``error`` and ``seconds``. The best
        candidate comes first and the baselines come last. ``pandas.DataFrame(list(table))``
        converts the table to a frame. Each ``error`` is the standard error of the ``score``,
        corrected for the overlap of training parts [1]_.

    Raises
    ------
    ValueError, TypeError
        If a parameter, a row of X or y is invalid.

    See Also
    --------
    list_backbones : The networks that can be passed by name.
    freeze_points : The layers at which stages end.

    Notes
    -----
    The verdict calls a difference clear if it exceeds twice its standard error. The score of the
    best of many candidates is optimistic, so test the candidate that you choose on rows that are
    not in X.

    References
    ----------
    .. [1] Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import compare_backbones
    >>> rng = np.random.default_rng(0)
    >>> dark = rng.integers(0, 120, (8, 32, 32, 3), dtype=np.uint8)
    >>> images, labels = np.concatenate([dark, dark + 120]), ["night"] * 8 + ["day"] * 8
    >>> found = compare_backbones(images, labels, input_sizes=[(64, 64)], cv=2)
    >>> found.verdict.startswith("Transfer does not pay here")
    True
    """
    y = _checked_labels(X, y)
    _check_settings(settings)
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    places = list(product(*map(_listed, (backbones, layers, input_sizes))))
    if not places:
        raise ValueError("backbones, layers and input_sizes must each hold at least one value.")
    scorer = check_scoring(LinearHead(), scoring=scoring)
    folds = folds_of(y, cv, groups, seed)
    sizes = sizes_of(folds, _checked_numbers(n_labels), len(np.unique(y)))
    curve = partial(
        learning_curve, y=y, folds=folds, sizes=[*sizes, None], scorer=scorer, n_jobs=n_jobs
    )
    extractors = [
        PretrainedFeatureExtractor(
            backbone, layer=layer, input_size=size, random_state=seed, **settings
        )
        for backbone, layer, size in places
    ]
    _check_layers(extractors, one_backbone=len(_listed(backbones)) == 1)
    candidates = []
    for extractor, (_, layer, size) in zip(extractors, places, strict=True):
        features, seconds = _features(extractor, X)
        name = extractor.backbone_.name
        scores = curve(LinearHead(), features)
        candidates.append(Contestant(name, layer, size, scores, seconds))
    needs_probabilities = getattr(scorer, "_response_method", None) == "predict_proba"
    rivals = _baselines(baseline, extractors[-1], X, curve, needs_probabilities)
    ordered, rivals = _best_first(candidates), _best_first(rivals)
    n_train = round(float(np.mean([len(fold.train) for fold in folds])))
    table = Table(_rows([*ordered, *rivals], [*sizes, n_train]))
    return Comparison(table=table, verdict=verdict(ordered, rivals, sizes))


def _check_layers(extractors: Iterable[PretrainedFeatureExtractor], *, one_backbone: bool) -> None:
    """Before anything is computed, refuse a layer or a size that a backbone does not have."""
    for extractor in extractors:
        if extractor.layer is None and extractor.input_size is None:
            continue
        try:
            check_layers(extractor)
        except UnknownLayerError as error:
            if one_backbone:
                raise
            raise ValueError(
                f"{error} Every layer is tried with every backbone; to compare layers of different "
                "names, call compare_backbones once for each backbone."
            ) from error


def _features(extractor: PretrainedFeatureExtractor, X: Any) -> tuple[NDArray[np.float32], float]:
    """Compute the features of a candidate; return them and the time that this took."""
    began = time.perf_counter()
    features = np.asarray(extractor.set_output(transform="default").fit_transform(X))
    return features, time.perf_counter() - began


def _baselines(
    baseline: Any,
    extractor: PretrainedFeatureExtractor,
    X: Any,
    curve: CurveOf,
    needs_probabilities: bool,
) -> list[Contestant]:
    """Cross-validate the baselines."""
    if baseline is None:
        return []
    if isinstance(baseline, BaseEstimator):
        return [Contestant(type(baseline).__name__, None, None, curve(baseline, X), 0.0)]
    if baseline != "auto":
        raise ValueError(
            f"baseline={baseline!r} is neither 'auto', nor None, nor a classifier such as SVC()."
        )
    began = time.perf_counter()
    rows, kind = plain_rows_of(extractor, X), extractor.backbone_.input.baseline
    seconds = time.perf_counter() - began
    return [
        Contestant(f"{kind}, {name}", None, None, curve(classifier, rows), seconds)
        for name, classifier in baselines_of(rows, needs_probabilities).items()
    ]


def _best_first(contestants: list[Contestant]) -> list[Contestant]:
    return sorted(contestants, key=lambda one: -one.full.mean)


def _rows(contestants: Iterable[Contestant], sizes: Sequence[int]) -> Iterable[ComparedScore]:
    for one in contestants:
        what = one.backbone, one.layer, one.input_size
        for size, scores in zip(sizes, one.curve, strict=True):
            yield ComparedScore(*what, size, scores.mean, scores.error, one.seconds)


def _listed(values: Any) -> list[Any]:
    """Return `values` as a list; a single network or name becomes a list of one."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def _checked_labels(X: Any, y: Any) -> NDArray[np.generic]:
    labels: NDArray[np.generic] = column_or_1d(y)
    check_consistent_length(X, labels)
    check_classification_targets(labels)
    if type_of_target(labels) not in ("binary", "multiclass"):
        raise ValueError(
            "compare_backbones needs one class label for each row. For other targets, "
            "cross-validate a pipeline of PretrainedFeatureExtractor and an estimator."
        )
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"y has a single class, {labels.tolist()[0]!r}; there is nothing to tell apart. Pass "
            "rows of two classes or more."
        )
    return labels


def _check_settings(settings: dict[str, Any]) -> None:
    known = PretrainedFeatureExtractor().get_params(deep=False)
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TypeError(
            f"compare_backbones() got {unknown[0]!r}, which is not a parameter of "
            "PretrainedFeatureExtractor."
        )
    for name in ("layer", "input_size"):
        if name in settings:
            raise TypeError(f"compare_backbones() takes {name}s, a list, instead of {name}.")
    if settings.get("on_error", "raise") != "raise":
        raise ValueError(
            "on_error='nan' leaves rows without features, which cannot be compared. Leave such "
            "rows out of X and y."
        )


def _checked_numbers(n_labels: Any) -> list[int | None]:
    numbers = _listed(n_labels)
    for number in numbers:
        is_number = (
            isinstance(number, Integral) and not isinstance(number, bool) and int(number) > 0
        )
        if number is not None and not is_number:
            raise ValueError(
                f"n_labels={n_labels!r} has {number!r}; give positive ints, or None for all rows."
            )
    return numbers
