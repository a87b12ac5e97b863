"""Rows of a target domain, and the checks of `fit` on them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sklearn.utils.validation import _num_samples

from skltransfer._similar import did_you_mean
from skltransfer._warnings import warn_user

METHODS = ("statistics", "self", "mcc")
"""The values of `adaptation`, in the order in which they are applied."""


class TargetRows:
    """Rows of a target domain, protected from cross-validation.

    scikit-learn's searches and cross-validation reduce every argument of `fit` that is as long as X
    to the rows of the fold. They would do the same to an ``X_target`` that happens to be as long as
    X, so `fit` refuses such an ``X_target``. A `TargetRows` has neither a length nor a shape, so
    scikit-learn always passes it on whole.

    Parameters
    ----------
    X : array-like
        The rows in any form that `fit` takes: an array, or a list or column of paths, texts and so
        on.

    Attributes
    ----------
    X : array-like
        The rows.

    See Also
    --------
    FineTunedClassifier : Takes target rows as ``fit(X, y, X_target=...)``.

    Examples
    --------
    >>> from skltransfer import TargetRows
    >>> TargetRows(["a.jpg", "b.jpg"])
    TargetRows(['a.jpg', 'b.jpg'])
    """

    def __init__(self, X: Any) -> None:
        self.X = X

    def __repr__(self) -> str:
        """Show the rows."""
        return f"TargetRows({self.X!r})"


def methods_of(adaptation: Any) -> tuple[str, ...]:
    """Return the names in the parameter `adaptation`, in the order of `METHODS`; none for None."""
    if adaptation is None:
        return ()
    names = [adaptation] if isinstance(adaptation, str) else adaptation
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"adaptation={adaptation!r} must be None, one of {METHODS}, or a tuple of them."
        )
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        hint = did_you_mean(unknown[0], [*METHODS], at_most=1) if unknown else ""
        raise ValueError(
            f"adaptation={adaptation!r} must be None, one of {METHODS}, or a tuple of them.{hint}"
        )
    return tuple(method for method in METHODS if method in names)


def check_settings(methods: Collection[str], batch_norm: str, goes_on: bool) -> None:
    """Refuse settings that contradict the adaptation."""
    if not methods:
        return
    if goes_on:
        raise ValueError(
            "warm_start=True continues from weights that an earlier fit may have adapted, but "
            "adaptation must start from weights trained on the labelled rows alone. Set "
            "warm_start=False, or adaptation=None."
        )
    if batch_norm == "train" or (batch_norm == "adapt" and "statistics" in methods):
        raise ValueError(
            f"batch_norm={batch_norm!r} takes BatchNorm's statistics from the labelled rows alone, "
            "which contradicts this adaptation. Set batch_norm='frozen'; "
            "adaptation='statistics' gives each domain statistics of its own."
        )


def check_allowed(methods: Collection[str], allowed: Collection[str]) -> None:
    """Refuse methods that are not available for the kind of target."""
    refused = [method for method in methods if method not in allowed]
    if refused:
        raise ValueError(
            f"adaptation={refused[0]!r} needs one class label for each row, but y holds other "
            "targets. For these, only 'statistics' is available."
        )


def checked_target(methods: Collection[str], X_target: Any, n_rows: int) -> Any:
    """Return the rows of the target domain; None without adaptation.

    Raises
    ------
    ValueError
        If the rows are missing, or if scikit-learn may have cut them to a fold.
    """
    if X_target is None:
        if methods:
            raise ValueError(
                f"adaptation={'+'.join(methods)!r} needs rows of the target domain: pass them as "
                "fit(X, y, X_target=rows), or set adaptation=None."
            )
        return None
    if not methods:
        warn_user(
            "X_target is ignored, because adaptation=None. Set adaptation='statistics', 'self' or "
            "'mcc' to use it, or leave it out."
        )
        return None
    if isinstance(X_target, TargetRows):
        return X_target.X
    if _num_samples(X_target) == n_rows:
        raise ValueError(
            f"X_target has {n_rows} rows, exactly as many as X. If an argument is as long as X, "
            "scikit-learn's cross-validation keeps only the rows of a fold in it, so some target "
            "rows may be missing. Wrap X_target: fit(X, y, X_target=TargetRows(rows))."
        )
    return X_target
