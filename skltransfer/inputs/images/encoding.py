"""Images as the input of a network, read in the way that `fit` decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names

from skltransfer._fields import ImageShape
from skltransfer.inputs._input import Array, Rows, RowSpec, Size, TensorSpec
from skltransfer.inputs.images.arrays import check_scale, decide_pixel_range
from skltransfer.inputs.images.containers import check_container
from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE
from skltransfer.inputs.images.preprocessing import (
    DECODING_VERSION,
    ImagePreprocessing,
    decoder_fingerprint,
)
from skltransfer.inputs.images.recognition import looks_like_images
from skltransfer.inputs.images.scale import check_scale_of_files, warn_of_strange_alpha
from skltransfer.inputs.images.taking import read_images
from skltransfer.inputs.rows.encoding import numeric_rows
from skltransfer.inputs.sizes import as_ints

if TYPE_CHECKING:
    from keras import KerasTensor
    from sklearn.base import BaseEstimator

    from skltransfer.inputs.exported_input import ExportedInput
    from skltransfer.inputs.images.sources import ImageSource


class EncodedImages:
    """Stored images, and how they are read.

    Parameters
    ----------
    images : ImageSource
        The stored images.
    preprocessing : ImagePreprocessing
        How they are read.
    """

    def __init__(self, images: ImageSource, preprocessing: ImagePreprocessing) -> None:
        self.images = images
        self.preprocessing = preprocessing
        self.is_at_hand = images.is_at_hand(preprocessing)

    def __len__(self) -> int:
        return len(self.images)

    def digest(self, row: int) -> bytes:
        """Return the digest of a row as it is stored, without decoding it."""
        return self.images.digest(row)

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return whether a row is unchanged since its digest was taken; only files can change."""
        return self.images.still_has(row, digest)

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Read and resize the images of the given rows, and write them into `out`."""
        self.images.load_block(rows, self.preprocessing, out[0])

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return the images of the given rows, read in the same way."""
        return type(self)(self.images.take(rows), self.preprocessing)


@dataclass(frozen=True)
class ImageEncoding:
    """How X is turned into images, as decided in `fit`.

    Attributes
    ----------
    preprocessing : ImagePreprocessing
        Size, resizing and pixel range.
    image_shape : tuple of int or None
        Shape of the image in each row of a 2-D X; None if rows are not reshaped.
    """

    preprocessing: ImagePreprocessing
    image_shape: ImageShape | None

    is_learned = False
    refuses_views = None

    @property
    def size(self) -> Size:
        """Height and width at which the network sees an image."""
        return self.preprocessing.size

    @property
    def row_spec(self) -> RowSpec:
        """The tensors of a row: one RGB image with values from 0 to 255."""
        return (TensorSpec((*self.size, 3)),)

    def recipe(self) -> list[object]:
        """Return everything that the pixels depend on besides the stored image, in JSON types."""
        rule = self.preprocessing
        ends = [rule.pixel_range, rule.is_explicit]
        return [rule.size, rule.resize, *ends, DECODING_VERSION]

    def cache_key_fields(self) -> list[object]:
        """Return the recipe, and the libraries on which the bits of a decoded file depend."""
        return [*self.recipe(), decoder_fingerprint()]

    def source(
        self, estimator: BaseEstimator, X: object, chosen: NDArray[np.intp] | None = None
    ) -> EncodedImages:
        """Check that X is like the X of `fit`; return its images, or those of its `chosen` rows."""
        check_container(X)
        if not looks_like_images(X) and self.image_shape is None:
            raise ValueError(
                f"X holds rows of numbers, but this {type(estimator).__name__} was fitted on "
                "images. Pass images (an array of shape (n, h, w, c), paths, ...), or set "
                "image_shape=(h, w, c) and fit again."
            )
        images = _images(estimator, X, self.image_shape, reset=False)
        images = images if chosen is None else images.take(chosen)
        check_scale(images.range_summary(), self._pixel_range)
        check_scale_of_files(images.deep_values(self.preprocessing), self.preprocessing)
        return EncodedImages(images, self.preprocessing)

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Return a Keras input for images of any size, and these images at the network's size.

        Raises
        ------
        ValueError
            If `resize` is "crop" or "pad", which have no exact counterpart in Keras.
        """
        from skltransfer.inputs.images.keras_input import image_input

        if self.preprocessing.resize != "stretch":
            raise ValueError(
                f"to_keras() is not available for resize={self.preprocessing.resize!r}: Keras "
                "crops and pads to whole pixels, which would give other probabilities. Fit with "
                "resize='stretch', or predict with the estimator itself."
            )
        return image_input(self.size, self._pixel_range, clip=self.preprocessing.clips)

    def exported_input(
        self, estimator: BaseEstimator, image_size: tuple[int, int] | None
    ) -> ExportedInput:
        """Return the input of an exported model: RGB images in the pixel range found in `fit`."""
        from skltransfer.inputs.images.exported_input import image_export

        return image_export(self.preprocessing, self._pixel_range, image_size)

    @property
    def _pixel_range(self) -> tuple[float, float]:
        return self.preprocessing.pixel_range or BLACK_TO_WHITE


def fit_images(
    estimator: BaseEstimator,
    X: object,
    native_size: Size,
    weights: NDArray[np.float64] | None,
) -> tuple[ImageEncoding, EncodedImages]:
    """Decide how images are read; see `InputKind.fit`."""
    images = _images(estimator, X, estimator.image_shape, reset=True)
    images = images if weights is None else images.take(np.flatnonzero(weights))
    pixel_range = decide_pixel_range(images.range_summary(), estimator.pixel_range)
    for channels, share in images.opaque_shares(pixel_range[1]).items():
        warn_of_strange_alpha(channels, share)
    if estimator.on_error == "raise":
        images.check_paths()
    size = as_ints(estimator.input_size or native_size)
    is_explicit = estimator.pixel_range is not None
    rule = ImagePreprocessing(size, estimator.resize, pixel_range, is_explicit)
    check_scale_of_files(images.deep_values(rule), rule, is_fit=True)
    return ImageEncoding(rule, estimator.image_shape), EncodedImages(images, rule)


def _images(
    estimator: BaseEstimator, X: object, image_shape: Sequence[int] | None, *, reset: bool
) -> ImageSource:
    if image_shape is not None and not looks_like_images(X):
        rows = numeric_rows(estimator, X, reset=reset, convert=False)
        return read_images(rows, image_shape=tuple(image_shape))
    images = read_images(X)
    _check_feature_names(estimator, X, reset=reset)
    if reset:
        estimator.n_features_in_ = images.n_features
    return images
