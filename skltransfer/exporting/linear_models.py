"""scikit-learn's scalers and linear models as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skltransfer.backend.rescaling import rescaled

if TYPE_CHECKING:
    from keras import KerasTensor

Step = Callable[["KerasTensor"], "KerasTensor"]


def scaler_step(scaler: Any) -> Step:
    """Return a fitted StandardScaler as a function of tensors.

    Raises
    ------
    ValueError
        If `scaler` is another transformer.
    """
    if not isinstance(scaler, StandardScaler):
        raise ValueError(
            f"A {type(scaler).__name__} between the extractor and the linear model cannot be "
            "exported. Allowed is StandardScaler."
        )
    width = scaler.n_features_in_
    mean = np.zeros(width) if scaler.mean_ is None else scaler.mean_
    scale = np.ones(width) if scaler.scale_ is None else scaler.scale_
    return lambda x: rescaled(x, 1 / scale, -mean / scale)


def linear_step(model: Any) -> tuple[Step, str]:
    """Return a fitted linear model as a function of tensors, and a method's name.

    The name is that of the model's method that the function computes.

    Raises
    ------
    ValueError
        If the model is not linear, or its probabilities are not those of logistic regression.
    """
    if not hasattr(model, "coef_") or not hasattr(model, "intercept_"):
        raise ValueError(
            f"A {type(model).__name__} cannot be exported. Allowed after an extractor are linear "
            "models, such as LogisticRegression, LinearSVC and Ridge."
        )
    if not hasattr(model, "predict_proba"):
        is_classifier = hasattr(model, "decision_function")
        return _scores(model), "decision_function" if is_classifier else "predict"
    if not isinstance(model, LogisticRegression):
        raise ValueError(
            f"The probabilities of a {type(model).__name__} cannot be exported. Use "
            "LogisticRegression or LogisticRegressionCV."
        )
    return _probabilities(model), "predict_proba"


def _scores(model: Any) -> Step:
    from keras import ops

    kernel = np.atleast_2d(model.coef_).T.astype(np.float32)
    bias = np.broadcast_to(model.intercept_, kernel.shape[1]).astype(np.float32)
    return lambda x: ops.add(ops.matmul(x, kernel), bias)


def _probabilities(model: Any) -> Step:
    from keras import ops

    scores = _scores(model)

    def of_two(x: KerasTensor) -> KerasTensor:
        second = ops.sigmoid(scores(x))
        return ops.concatenate([1 - second, second], axis=1)

    return of_two if len(model.classes_) == 2 else lambda x: ops.softmax(scores(x))
