"""Scores in a target domain, for searches whose folds come from another domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skltransfer.estimators.classifier import FineTunedClassifier
from skltransfer.estimators.fine_tuned import predictor_of
from skltransfer.estimators.taking_apart import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from skltransfer._types import Images, Labels, SampleWeight

_SHARE = 0.55
"""Share of the first row in a mixed pair. The mix should be predicted like the first row."""


def target_scorer(
    X_target: Images,
    y_target: Labels = None,
    scoring: str | Callable[..., float] = "accuracy",
    sample_weight: SampleWeight = None,
) -> Callable[..., float]:
    """Make a scorer that always scores rows of the target domain, whatever rows it is called with.

    By default, a search over ``adaptation`` scores each candidate on folds of the labelled domain.
    Such scores say nothing about the target domain. If you pass this scorer as ``scoring=``, the
    search scores every candidate on the same target rows.

    Parameters
    ----------
    X_target : array-like
        Rows of the target domain. If possible, use other rows than those that `fit` gets as
        ``X_target``.
    y_target : array-like of shape (n_samples,) or None, default=None
        Labels of these rows. They may be None only with ``scoring="mixval"``.
    scoring : str or callable, default="accuracy"
        A scorer of scikit-learn, or "mixval", which needs no labels. "mixval" takes pairs of rows
        and mixes the features that the head reads, 55 to 45. Its score is the share of pairs for
        which the mix is predicted like the first row [1]_. The estimator must be a
        :class:`FineTunedClassifier`, alone or at the end of a pipeline.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. They must be None with "mixval".

    Returns
    -------
    callable
        A scorer with the signature (estimator, X, y) that ignores X and y. It can be pickled.

    Raises
    ------
    ValueError
        If labels are missing, or if "mixval" gets labels or weights.

    See Also
    --------
    FineTunedClassifier : Adapts to a target domain.
    TargetRows : Protects rows of the target domain from cross-validation.

    Notes
    -----
    How much a score says depends on the number of its rows. With 50 labels, an accuracy of 0.8 has
    a standard error of six points. This is enough to reject an adaptation that fails, but not
    enough to choose between two good ones. "mixval" measures how far rows are from the boundary
    between classes, but not whether they are on the right side of it. No score without labels is
    safe: such a score may prefer a candidate whose accuracy is many points lower, above all if the
    target domain lacks some classes.

    The published method mixes images. "mixval" mixes features, so that it works for all kinds of
    rows.

    References
    ----------
    .. [1] Hu et al., "Mixed Samples as Probes for Unsupervised Model Selection in Domain
       Adaptation", NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import FineTunedClassifier, target_scorer
    >>> rng = np.random.default_rng(0)
    >>> dark = rng.integers(0, 120, (8, 32, 32, 3), dtype=np.uint8)
    >>> images, labels = np.concatenate([dark, dark + 120]), ["night"] * 8 + ["day"] * 8
    >>> score = target_scorer(images, labels)
    >>> classifier = FineTunedClassifier(
    ...     freeze_depth="all", input_size=(64, 64), epochs=0, random_state=0
    ... )
    >>> float(score(classifier.fit(images[:-4], labels[:-4]), images[:2], labels[:2]))
    1.0
    """
    if scoring == "mixval":
        if y_target is not None or sample_weight is not None:
            raise ValueError("scoring='mixval' uses neither y_target nor sample_weight; pass None.")
        return _MixedPairs(X_target)
    if y_target is None:
        raise ValueError(
            f"scoring={scoring!r} needs y_target. Without labels, only scoring='mixval' is "
            "available, which is less reliable."
        )
    check_consistent_length(X_target, y_target, sample_weight)
    return _OnTarget(X_target, y_target, get_scorer(scoring), sample_weight)


@dataclass(frozen=True)
class _OnTarget:
    """Scores an estimator on fixed labelled rows."""

    X: Any
    y: Any
    scorer: Callable[..., float]
    sample_weight: Any

    def __call__(self, estimator: Any, X: object = None, y: object = None) -> float:
        return float(self.scorer(estimator, self.X, self.y, sample_weight=self.sample_weight))


@dataclass(frozen=True)
class _MixedPairs:
    """Scores the share of pairs of rows whose mix is predicted like the first row."""

    X: Any

    def __call__(self, estimator: Any, X: object = None, y: object = None) -> float:
        X, classifier = self.X, estimator
        if isinstance(estimator, Pipeline):
            X, classifier = estimator[:-1].transform(X), estimator[-1]
        if not isinstance(classifier, FineTunedClassifier):
            raise TypeError(
                f"scoring='mixval' mixes the features of a FineTunedClassifier, but got "
                f"{type(classifier).__name__}. Pass labels and another scoring."
            )
        check_is_fitted(classifier)
        predictor = predictor_of(classifier)
        features = predictor.features(*rows_of(classifier, X))
        others = np.random.default_rng(0).permutation(len(features))
        mixed = _SHARE * features + (1 - _SHARE) * features[others]
        labels, of_mixed = map(predictor.outputs_of_features, (features, mixed))
        return float(np.mean(labels.argmax(axis=1) == of_mixed.argmax(axis=1)))
