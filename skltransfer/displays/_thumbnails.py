"""Thumbnails of images: upright, in their original proportions, and no larger than needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from skltransfer.displays._checks import unwrapped
from skltransfer.displays._drawing import Extent
from skltransfer.displays._spectrograms import Spectrograms, as_bytes
from skltransfer.estimators.base import encoding_of
from skltransfer.estimators.taking_apart import read_by, source_in
from skltransfer.inputs.images.arrays import decide_pixel_range
from skltransfer.inputs.images.encoding import ImageEncoding
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.recognition import looks_like_images
from skltransfer.inputs.images.taking import read_images
from skltransfer.inputs.sounds.encoding import SoundEncoding

if TYPE_CHECKING:
    from skltransfer._types import Images, PixelRange
    from skltransfer.inputs.images.sources import ImageSource


@dataclass(frozen=True)
class Thumbnails:
    """Images; an image is read only when it is shown.

    Attributes
    ----------
    source : ImageSource
        The images.
    pixel_range : tuple of float
        The values that mean black and white in arrays.
    is_explicit : bool
        Whether the user set the range. If so, it also applies to files of more than 8 bits.
    """

    source: ImageSource
    pixel_range: tuple[float, float] | None
    is_explicit: bool = False

    @classmethod
    def of(
        cls,
        X: Images,
        image_shape: Sequence[int] | None = None,
        pixel_range: PixelRange | None = None,
    ) -> Thumbnails:
        """Return the images of X, with the rule of `fit` for the pixel range.

        Parameters
        ----------
        X : array-like
            Images as the estimators take them.
        image_shape : tuple of int, default=None
            How rows of a 2-D X are read as images.
        pixel_range : tuple of float, default=None
            The values that mean black and white; None decides by the rule of `fit`.
        """
        source = _source(X, image_shape)
        chosen = decide_pixel_range(source.range_summary(), pixel_range)
        return cls(source, chosen, pixel_range is not None)

    @classmethod
    def as_read_by(cls, estimator: Any, X: Images) -> Thumbnails | Spectrograms:
        """Return the images of X as a fitted estimator reads them, or spectrograms of sounds."""
        reader = _reader_in(estimator)
        encoding = encoding_of(reader)
        if isinstance(encoding, SoundEncoding):
            return Spectrograms(source_in(reader, X), encoding)
        X = read_by(reader, X)
        if not isinstance(encoding, ImageEncoding):
            return cls.of(X)
        rule = encoding.preprocessing
        return cls(_source(X, encoding.image_shape), rule.pixel_range, rule.is_explicit)

    def shown(self, rows: Iterable[int], side: int) -> list[np.ndarray]:
        """Return the images of the given rows only, at most `side` pixels wide and high.

        Returns
        -------
        list of ndarray of shape (h, w, 3), dtype uint8
        """
        rule = ImagePreprocessing((side, side), "within", self.pixel_range, self.is_explicit)
        return [as_bytes(self.source.load(int(row), rule)) for row in rows]

    def extents(self, rows: Iterable[int]) -> list[Extent]:
        """Return nothing: images have no length in seconds."""
        return []


def _reader_in(estimator: Any) -> Any:
    """Return the estimator that reads X: the first step of a pipeline, or the estimator itself."""
    found = unwrapped(estimator)
    while isinstance(found, Pipeline):
        found = found[0]
    return found


def _source(X: Images, image_shape: Sequence[int] | None) -> ImageSource:
    if image_shape is None and not looks_like_images(X) and getattr(X, "ndim", 0) == 2:
        raise ValueError(
            f"X of shape {X.shape} holds rows of numbers, which cannot be shown as images. If they "
            "are flattened images, pass image_shape=(height, width) or (height, width, channels), "
            "to the estimator or here."
        )
    return read_images(X, image_shape=image_shape)
