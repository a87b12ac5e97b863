"""The classifiers of a comparison: a head on features, and baselines without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skltransfer.tasks.softmax_regression import log_softmax, softmax_regression
from skltransfer.training.head import Standardizer

if TYPE_CHECKING:
    from skltransfer.tasks._task import Floats, Singles

_C_OF_TEXTS = 10.0
"""The default of scikit-learn, 1, regularises rows of TF-IDF too much, because their norm is 1."""


class LinearHead(ClassifierMixin, BaseEstimator):
    """The head of ``FineTunedClassifier(freeze_depth="all", epochs=0)``, fitted on features."""

    def fit(self, X: Singles, y: NDArray[np.generic]) -> Self:
        """Fit the softmax regression from which a head starts."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        targets, weights = np.eye(len(self.classes_), dtype=np.float32)[labels], np.ones(len(X))
        self._standardizer = Standardizer.of(X, weights)
        self._solution = softmax_regression(self._standardizer(X), targets, weights)
        return self

    def predict(self, X: Singles) -> NDArray[np.generic]:
        """Return the most likely classes."""
        return np.asarray(self.classes_[self._logits(X).argmax(axis=1)])

    def predict_proba(self, X: Singles) -> Floats:
        """Return the probabilities of the classes."""
        return np.asarray(np.exp(log_softmax(self._logits(X))))

    def decision_function(self, X: Singles) -> Floats:
        """Return the logits; for two classes, their difference."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def _logits(self, X: Singles) -> Floats:
        kernel, bias = self._solution
        return self._standardizer(X).astype(np.float64) @ kernel + bias


def baselines_of(rows: Any, needs_probabilities: bool) -> dict[str, BaseEstimator]:
    """Return the baselines by name, for dense rows or for sparse counts of tokens."""
    if issparse(rows):
        linear = LogisticRegression(C=_C_OF_TEXTS, max_iter=1000)
        return {"logistic regression": make_pipeline(TfidfTransformer(sublinear_tf=True), linear)}
    found = {"logistic regression": LinearHead()}
    if not needs_probabilities:  # an SVC has them only after calibration
        found["SVC"] = make_pipeline(StandardScaler(), SVC(C=10.0))
    return found
