"""The table of kinds of X: what each row of it says, and how it is read as `fit` reads it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skltransfer.inputs.images.encoding import EncodedImages
from skltransfer.inputs.images.kind import ImageInput
from skltransfer.inputs.rows.encoding import TabularSource


@dataclass
class Kind:
    """One kind of X, and what becomes of it.

    Attributes
    ----------
    X : object
        Handed over; a function of a folder where files are needed, which is the current folder
        and the user's home.
    levels : list of ndarray
        Grey levels expected of every row, of shape (h, w), (h, w, 1) or (h, w, 3).
    settings : dict
        Parameters of the estimator that are not the defaults.
    atol : float
        Largest difference of a grey level: rounding in float32, unless the kind is lossy.
    warning : str or None
        Pattern of the one warning.
    error, message : type, str
        Of kinds that are refused.
    """

    X: Any
    levels: list[np.ndarray] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    atol: float = 1e-4
    warning: str | None = None
    error: type[Exception] = ValueError
    message: str = ""


class Reader(TransformerMixin, BaseEstimator):
    """An estimator that only reads, so that no network is needed."""

    def __init__(self, image_shape=None, pixel_range=None, on_error="raise"):
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.on_error = on_error
        self.input_size = None
        self.resize = "stretch"


def opened(X, **settings):
    """X as a source of images read at 8 x 8, as `transform` reads it after `fit`."""
    reader = Reader(**settings)
    encoding, _ = ImageInput((8, 8)).fit(reader, X, None, lambda size: True)
    return encoding.source(reader, X)


def read(X, sizes=None, **settings):
    """The images of X, each of a size of its own if `sizes` are given."""
    source = opened(X, **settings)
    assert sizes is None or len(sizes) == len(source)
    sized = [of_size(source, size) for size in sizes] if sizes else [source] * len(source)
    return [loaded(one, row) for row, one in enumerate(sized)]


def of_size(source, size):
    """The same rows as images of another size."""
    if isinstance(source, EncodedImages):
        return EncodedImages(source.images, replace(source.preprocessing, size=size))
    return TabularSource(source.rows, source.layout, size)


def loaded(source, row):
    """The image of one row."""
    size = source.preprocessing.size if isinstance(source, EncodedImages) else source.size
    out = np.full((1, *size, 3), np.nan, np.float32)
    source.load([row], (out,))
    return out[0]


def as_rgb(levels):
    """Grey levels in three channels; grey is repeated."""
    levels = np.asarray(levels, dtype=np.float64)
    levels = levels if levels.ndim == 3 else levels[..., np.newaxis]
    return np.broadcast_to(levels, (*levels.shape[:2], 3))


def over_white(levels):
    """Grey levels with alpha as the last channel, laid over white."""
    levels = np.asarray(levels, dtype=np.float64)
    alpha = levels[..., -1:] / 255
    return as_rgb(levels[..., :-1] * alpha + 255 * (1 - alpha))


def where_white(levels, transparent):
    """Grey levels, white where transparent."""
    return np.where(transparent[..., np.newaxis], 255.0, as_rgb(levels))


class Table(dict):
    """Kinds by their names, each of which is given once."""

    def accept(self, name, X, levels, atol=1e-4, warning=None, **settings):
        """Add an X of one row or of as many as `levels` is a list of."""
        levels = levels if isinstance(levels, list) else [levels]
        assert name not in self
        self[name] = Kind(X, [as_rgb(row) for row in levels], settings, atol, warning)

    def refuse(self, name, X, error, message, **settings):
        assert name not in self
        self[name] = Kind(X, [], settings, error=error, message=message)
