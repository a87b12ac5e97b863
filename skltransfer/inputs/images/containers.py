"""Containers of images that are refused, with advice on what to pass instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skltransfer.inputs.columns import as_column, check_not_empty
from skltransfer.inputs.images.recognition import (
    is_image_like,
    looks_like_images,
)
from skltransfer.inputs.missing import check_not_masked
from skltransfer.inputs.streams import check_no_stream, check_no_streams

_FRAMEWORKS = {"keras", "tensorflow", "torch"}


def check_container(X: Any) -> None:
    """Refuse containers of images, open files, an X without rows, and masked values."""
    check_no_stream(X)
    if _is_container(X):
        raise TypeError(
            f"X is a {type(X).__name__}, which is neither an array nor a list of images. Pass "
            f"{_contents(X)}."
        )
    check_not_empty(X)
    _check_lists_of_polars(X)
    check_not_masked(X, "X")
    check_no_streams(as_column(X) or [])
    if not looks_like_images(X):
        _check_dicts(X)
        _check_tables_of_images(X)


def _check_lists_of_polars(X: Any) -> None:
    """Refuse a polars Series or one-column frame whose rows are lists."""
    names = list(getattr(X, "columns", ()))
    column, place = (X[names[0]], f"X[{names[0]!r}]") if len(names) == 1 else (X, "X")
    if str(getattr(column, "dtype", "")).startswith("List("):
        raise TypeError(
            f"X is a {type(X).__name__} of {column.dtype}, whose rows may differ in length. Pass "
            f"{place}.to_list()."
        )


def _check_dicts(X: Any) -> None:
    """Refuse rows that are dicts, as in Hugging Face data sets."""
    column = as_column(X)
    if not column or not isinstance(column[0], Mapping):
        return
    found = column[0]
    key = next((key for key, value in found.items() if is_image_like(value)), "image")
    raise TypeError(
        f"row 0 of X is a {type(found).__name__} with the keys {list(found)}. Pass what is in it, "
        f"as in [row[{key!r}] for row in X]."
    )


def _is_container(X: Any) -> bool:
    """Return whether X is neither array nor list, and NumPy would treat it as a single object."""
    if isinstance(X, (list, tuple)) or hasattr(X, "__array__") or issparse(X):
        return False
    is_stream = hasattr(X, "__iter__") and not hasattr(X, "__getitem__")
    return is_stream or isinstance(X, Mapping) or _is_of_a_framework(X)


def _is_of_a_framework(X: Any) -> bool:
    """Return whether X is a data set, a loader or another object of a training framework."""
    return any(cls.__module__.partition(".")[0] in _FRAMEWORKS for cls in type(X).__mro__)


def _contents(X: Any) -> str:
    """Say what to pass instead of a container."""
    if _is_of_a_framework(X):
        return "the images as one array, or the paths of their files as a list, and labels as y"
    return "what is in it, as in X['data']" if isinstance(X, Mapping) else "list(X)"


def _check_tables_of_images(X: Any) -> None:
    """Refuse several columns if one of them holds images."""
    names = list(getattr(X, "columns", ()))
    columns = [X[name] for name in names] if names else [[item] for item in _first_row(X)]
    images = [place for place, column in enumerate(columns) if looks_like_images(column)]
    if not images or not columns[1:]:
        return
    name = names[images[0]] if names else images[0]
    alone = f"X[[{name!r}]]" if names else f"[row[{name}] for row in X]"
    raise ValueError(
        f"X has {len(columns)} columns, and column {name!r} holds images. Pass that column "
        f"alone, as in {alone}, or put a PretrainedFeatureExtractor for it into a "
        "ColumnTransformer, in front of an estimator for all columns."
    )


def _first_row(X: Any) -> list[Any]:
    """Return the first row of a list of rows or of a 2-D array of objects or text; else nothing."""
    if isinstance(X, np.ndarray):
        return list(X[0]) if X.ndim == 2 and X.dtype.kind in "OSU" and len(X) else []
    nested = isinstance(X, (list, tuple)) and isinstance(X[0], (list, tuple))
    return list(X[0]) if nested else []
