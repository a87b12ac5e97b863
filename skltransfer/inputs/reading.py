"""How X is read: decided in fit, stored, and repeated in every later call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import _check_feature_names, validate_data

from skltransfer._sizes import as_ints
from skltransfer._warnings import warn_user
from skltransfer.inputs import (
    PixelRule,
    check_pixel_range,
    check_scale,
    decide_pixel_range,
    looks_like_images,
    read_images,
    refuse_empty,
)
from skltransfer.inputs.images.recognition import as_column, is_image_like
from skltransfer.inputs.rows import (
    RowLayout,
    RowSource,
    looks_flattened,
    looks_like_features,
    square_shape,
)

_SIDE_OF_ROWS_GROWS_TO = (32, 64, 96, 128)
_FRAMEWORKS = {"keras", "tensorflow", "torch"}


@dataclass(frozen=True)
class Reading:
    """The fitted rule from X to pictures.

    Attributes
    ----------
    rule : PixelRule
        Size, resizing and value range of pictures.
    layout : RowLayout or None
        How rows of plain numbers become pictures; None for images.
    image_shape : tuple of int or None
        How rows of a 2-D X are read as images.
    """

    rule: PixelRule
    layout: RowLayout | None
    image_shape: tuple[int, ...] | None

    def source(self, estimator, X, chosen: np.ndarray | None = None):
        """X, or the `chosen` rows of it, as a source of pictures, checked against what fit saw."""
        refuse_what_hides(X)
        if self.layout is not None:
            _refuse_images(estimator, X)
            rows = _numeric_rows(estimator, X, reset=False)
            return RowSource(rows if chosen is None else rows[chosen], self.layout)
        if not looks_like_images(X) and self.image_shape is None:
            raise ValueError(
                f"X holds rows of numbers, but this {type(estimator).__name__} was fitted on "
                "images. Pass images (an array of shape (n, h, w, c), paths, ...), or set "
                "image_shape=(h, w, c) and fit again."
            )
        images = _images(estimator, X, self.image_shape, reset=False)
        images = images if chosen is None else images.take(chosen)
        self.check(images)
        return images

    def check(self, source) -> None:
        """Warn of pictures on another scale, or refuse them."""
        if self.layout is None:
            check_scale(source.range_summary(), self.rule.pixel_range)


def fit_reading(
    estimator,
    X,
    native_size: tuple[int, int],
    accepts: Callable,
    weights: np.ndarray | None = None,
) -> tuple[Reading, Any]:
    """Decide how X is read, and set `n_features_in_` and `feature_names_in_`.

    Parameters
    ----------
    estimator : estimator
        Gives `image_shape`, `pixel_range`, `input_size` and `resize`.
    X : array-like
        Training data.
    native_size : tuple of int
        (height, width) the backbone was trained at.
    accepts : callable
        Whether the backbone can be built for pictures of (height, width).
    weights : ndarray of shape (n,), default=None
        Weights of the rows, for the moments of plain numbers. Nothing is decided by rows of
        weight 0.

    Returns
    -------
    reading : Reading
        The rule.
    source : ImageSource or RowSource
        The rows of X by which it was decided.
    """
    if estimator.pixel_range is not None:
        check_pixel_range(estimator.pixel_range)
    refuse_what_hides(X)
    if estimator.image_shape is None and not looks_like_images(X):
        return _fit_rows(estimator, X, native_size, accepts, weights)
    images = _images(estimator, X, estimator.image_shape, reset=True)
    images = images if weights is None else images.take(np.flatnonzero(weights))
    pixel_range = decide_pixel_range(images.range_summary(), estimator.pixel_range)
    if estimator.on_error == "raise":
        images.check_paths()
    size = as_ints(estimator.input_size or native_size)
    rule = PixelRule(size, estimator.resize, pixel_range)
    return Reading(rule, None, estimator.image_shape), images


def _images(estimator, X, image_shape, *, reset: bool):
    if image_shape is not None and not looks_like_images(X):
        X = _numeric_rows(estimator, X, reset=reset, convert=False)
        return read_images(X, image_shape=tuple(image_shape))
    images = read_images(X)
    _check_feature_names(estimator, X, reset=reset)
    if reset:
        estimator.n_features_in_ = images.n_features
    return images


def _numeric_rows(estimator, X, *, reset: bool, convert: bool = True) -> np.ndarray:
    """Finite rows of numbers, judged by scikit-learn; of their own dtype unless converted."""
    return validate_data(estimator, X, reset=reset, dtype=np.float64 if convert else "numeric")


def _fit_rows(estimator, X, native_size, accepts: Callable, weights) -> tuple[Reading, RowSource]:
    rows = _numeric_rows(estimator, X, reset=True)
    if weights is not None:
        rows, weights = rows[weights > 0], weights[weights > 0]
    _warn_of_wide_rows(rows)
    layout = RowLayout.of(rows, weights)
    size = estimator.input_size or _smallest_size(layout, native_size, accepts)
    rule = PixelRule(as_ints(size), "stretch", None)
    return Reading(rule, layout, None), RowSource(rows, layout)


def _warn_of_wide_rows(rows: np.ndarray) -> None:
    """Warn of rows that may be flattened pictures, or features, for which there are better ways."""
    width = rows.shape[1]
    shape = square_shape(width) or "(height, width) or (height, width, channels)"
    if looks_flattened(rows):
        warn_user(
            f"X has {width} columns of whole numbers, as flattened images have. They are read as "
            f"plain numbers, not as pictures; if they are pictures, set image_shape={shape}."
        )
    elif looks_like_features(rows):
        warn_user(
            f"X has {width} columns of numbers, as flattened images or features of a network have. "
            "They are read as plain numbers, not as pictures; if they are pictures, set "
            f"image_shape={shape}; if they are features of another network, hand them to a "
            "classifier such as LogisticRegression."
        )


def _smallest_size(layout: RowLayout, native_size, accepts: Callable) -> tuple[int, int]:
    """The smallest square that holds the row and that the backbone can be built for."""
    side = layout.picture_side(min(native_size))
    for candidate in (side, *(s for s in _SIDE_OF_ROWS_GROWS_TO if s > side)):
        if accepts((candidate, candidate)):
            return candidate, candidate
    return native_size


def refuse_what_hides(X) -> None:
    """Refuse what holds pictures within it, an X of no rows, and masked values."""
    if _is_container(X):
        raise TypeError(
            f"X is a {type(X).__name__}, which is no array and no list of pictures. Pass "
            f"{_contents(X)}."
        )
    refuse_empty(X)
    _refuse_lists_of_polars(X)
    if np.ma.is_masked(X):
        raise ValueError(
            f"X is a masked array with {np.ma.count_masked(X)} masked values, whose mask would be "
            "ignored. Fill them, as in X.filled(0), or leave their rows out."
        )
    if not looks_like_images(X):
        _refuse_dicts(X)
        _refuse_tables_of_pictures(X)


def _refuse_lists_of_polars(X) -> None:
    """Refuse a Series or a one-column frame of polars whose rows are lists."""
    names = list(getattr(X, "columns", ()))
    column, place = (X[names[0]], f"X[{names[0]!r}]") if len(names) == 1 else (X, "X")
    if str(getattr(column, "dtype", "")).startswith("List("):
        raise TypeError(
            f"X is a {type(X).__name__} of {column.dtype}, whose rows may differ in length. Pass "
            f"{place}.to_list()."
        )


def _refuse_dicts(X) -> None:
    """Refuse rows that are dicts, as data sets of Hugging Face have them."""
    column = as_column(X)
    if not column or not isinstance(column[0], Mapping):
        return
    found = column[0]
    key = next((key for key, value in found.items() if is_image_like(value)), "image")
    raise TypeError(
        f"row 0 of X is a {type(found).__name__} with the keys {list(found)}. Pass what is in it, "
        f"as in [row[{key!r}] for row in X]."
    )


def _is_container(X) -> bool:
    """Whether X is neither array nor list, and NumPy would take it for one single object."""
    if isinstance(X, (list, tuple)) or hasattr(X, "__array__") or issparse(X):  # or a dict
        return False
    is_stream = hasattr(X, "__iter__") and not hasattr(X, "__getitem__")
    return is_stream or isinstance(X, Mapping) or _is_of_a_framework(X)


def _is_of_a_framework(X) -> bool:
    """Whether X is a data set, a loader or another object of what trains networks."""
    return any(cls.__module__.partition(".")[0] in _FRAMEWORKS for cls in type(X).__mro__)


def _contents(X) -> str:
    """Say what to pass in place of a container."""
    if _is_of_a_framework(X):
        return "the pictures as one array, or the paths of their files as a list, and labels as y"
    return "what is in it, as in X['data']" if isinstance(X, Mapping) else "list(X)"


def _refuse_tables_of_pictures(X) -> None:
    """Refuse several columns of which one holds pictures."""
    names = list(getattr(X, "columns", ()))
    columns = [X[name] for name in names] if names else [[item] for item in _first_row(X)]
    pictures = [place for place, column in enumerate(columns) if looks_like_images(column)]
    if not pictures or not columns[1:]:
        return
    name = names[pictures[0]] if names else pictures[0]
    alone = f"X[[{name!r}]]" if names else f"[row[{name}] for row in X]"
    raise ValueError(
        f"X has {len(columns)} columns, and column {name!r} holds pictures. Pass that column "
        f"alone, as in {alone}, or through a ColumnTransformer."
    )


def _first_row(X) -> list:
    """Return the row by which lists of rows and 2-D arrays of objects or text are judged."""
    if isinstance(X, np.ndarray):
        return list(X[0]) if X.ndim == 2 and X.dtype.kind in "OSU" and len(X) else []
    nested = isinstance(X, (list, tuple)) and isinstance(X[0], (list, tuple))
    return list(X[0]) if nested else []


def _refuse_images(estimator, X) -> None:
    if looks_like_images(X):
        raise ValueError(
            f"X holds images, but this {type(estimator).__name__} was fitted on rows of "
            f"{estimator.n_features_in_} numbers. Fit it on images, or set image_shape=(h, w, c) "
            "and fit it again on the rows, which then are read as images."
        )
