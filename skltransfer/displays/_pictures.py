"""Pictures for people to look at: upright, in their own proportions, and not larger than needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from skltransfer.displays._checks import unwrapped
from skltransfer.inputs import (
    ImageSource,
    PixelRule,
    decide_pixel_range,
    looks_like_images,
    read_images,
)
from skltransfer.inputs.reading import Reading


@dataclass(frozen=True)
class Album:
    """Pictures that are read when they are shown.

    Attributes
    ----------
    source : ImageSource
        The pictures.
    pixel_range : tuple of float
        The values that mean black and white in arrays.
    """

    source: ImageSource
    pixel_range: tuple[float, float] | None

    @classmethod
    def of(cls, X, image_shape=None, pixel_range=None) -> Album:
        """The pictures of X, read by the rule of fit.

        Parameters
        ----------
        X : array-like
            Pictures as the estimators take them.
        image_shape : tuple of int, default=None
            How rows of a 2-D X are read as pictures.
        pixel_range : tuple of float, default=None
            The values that mean black and white; None decides.
        """
        source = _source(X, image_shape)
        return cls(source, decide_pixel_range(source.range_summary(), pixel_range))

    @classmethod
    def as_read_by(cls, estimator, X) -> Album:
        """The pictures of X as a fitted estimator reads them, if it does."""
        reading = _reading_of(estimator)
        if reading is None:
            return cls.of(X)
        return cls(_source(X, reading.image_shape), reading.rule.pixel_range)

    def shown(self, rows, side: int) -> list[np.ndarray]:
        """The pictures of some rows, at most `side` pixels wide and high; others are not read.

        Returns
        -------
        list of ndarray of shape (h, w, 3), dtype uint8
        """
        rule = PixelRule((side, side), "within", self.pixel_range)
        return [as_bytes(self.source.load(int(row), rule)) for row in rows]


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Grey levels of 0 to 255 as matplotlib shows them."""
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def _reading_of(estimator) -> Reading | None:
    """How an estimator, or the first step of a pipeline, reads pictures, if it does."""
    found = unwrapped(estimator)
    while isinstance(found, Pipeline):
        found = found[0]
    return getattr(found, "_reading", None)


def _source(X, image_shape: Sequence[int] | None) -> ImageSource:
    if image_shape is None and not looks_like_images(X) and getattr(X, "ndim", 0) == 2:
        raise ValueError(
            f"X of shape {X.shape} holds rows of numbers, and there are no pictures of them to "
            "show. If they are flattened pictures, say so by image_shape=(height, width) or "
            "(height, width, channels), of the estimator or here."
        )
    return read_images(X, image_shape=image_shape)
