"""Rows of plain numbers as the input of an image network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from skltransfer._fields import ImageSize
from skltransfer._warnings import warn_user
from skltransfer.inputs._input import Array, Moments, Rows, RowSpec, Size, TensorSpec
from skltransfer.inputs.images.preprocessing import DECODING_VERSION, decoder_fingerprint
from skltransfer.inputs.images.recognition import looks_like_images
from skltransfer.inputs.moments import standardized
from skltransfer.inputs.rows.layout import (
    TabularToImage,
    looks_flattened,
    looks_like_features,
    square_shape,
)

if TYPE_CHECKING:
    from keras import KerasTensor
    from sklearn.base import BaseEstimator

    from skltransfer.inputs.exported_input import ExportedInput

_SIDE_GROWS_TO = (32, 64, 96, 128)


class TabularSource:
    """Rows of numbers, each laid out as an image.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Finite float64 numbers.
    layout : TabularToImage
        Decided in fit.
    size : tuple of int
        Height and width of the images.
    """

    is_at_hand = True

    def __init__(self, rows: NDArray[np.float64], layout: TabularToImage, size: Size) -> None:
        self.rows = rows
        self.layout = layout
        self.size = size

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> NDArray[np.float32]:
        """The standardised numbers themselves, see `columns_of`."""
        numbers = standardized(self.rows, self.layout.mean, self.layout.scale)
        return numbers.astype(np.float32)

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Write the images of the given rows into `out`."""
        out[0][: len(rows)] = self.layout.images(self.rows[list(rows)], self.size)

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of the given rows."""
        return type(self)(self.rows[np.asarray(rows)], self.layout, self.size)

    def digest(self, row: int) -> bytes:
        """Return the digest of a row and of its layout."""
        digest = self._layout_digest.copy()
        digest.update(np.ascontiguousarray(self.rows[row]).tobytes())
        return digest.digest()

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return True: numbers in memory do not change."""
        return True

    @cached_property
    def _layout_digest(self) -> hashlib._Hash:
        return hashlib.sha256(self.layout.mean.tobytes() + self.layout.scale.tobytes())


@dataclass(frozen=True)
class TabularEncoding:
    """Rows of plain numbers, standardised and laid out as images.

    Attributes
    ----------
    size : tuple of int
        Height and width of the images.
    layout : TabularToImage
        Moments of the columns.
    """

    size: ImageSize
    layout: TabularToImage

    is_learned = True
    refuses_views = (
        "augment is for images, but X holds rows of numbers. Leave augment=None, or set "
        "image_shape=(h, w, c) if the rows are flattened images."
    )

    @property
    def column_moments(self) -> Moments:
        """Mean and scale of the columns, see `moments_of`."""
        return self.layout.mean, self.layout.scale

    @property
    def row_spec(self) -> RowSpec:
        """Tensors of a row: one image."""
        return (TensorSpec((*self.size, 3)),)

    def recipe(self) -> list[object]:
        """The size; the layout is part of each row's digest."""
        return [list(self.size), "stretch", None, DECODING_VERSION]

    def cache_key_fields(self) -> list[object]:
        """The recipe, and the libraries that determine the bits of a resized image."""
        return [*self.recipe(), decoder_fingerprint()]

    def source(
        self, estimator: BaseEstimator, X: object, chosen: NDArray[np.intp] | None = None
    ) -> TabularSource:
        """Return the source of X, or of its `chosen` rows, after checking X against `fit`."""
        if looks_like_images(X):
            raise ValueError(
                f"X holds images, but this {type(estimator).__name__} was fitted on rows of "
                f"{estimator.n_features_in_} numbers. Fit it on images, or set "
                "image_shape=(h, w, c) and fit it again on the rows, which then are read as images."
            )
        rows = numeric_rows(estimator, X, reset=False)
        return TabularSource(rows if chosen is None else rows[chosen], self.layout, self.size)

    def exported_input(
        self, estimator: object, image_size: tuple[int, int] | None
    ) -> ExportedInput:
        """Refuse: exported models take images and texts."""
        raise ValueError(
            "This estimator was fitted on rows of numbers, and exported models take images or "
            "texts. If the rows are flattened images, set image_shape=(h, w, c) and fit again; "
            "to_keras() gives a model of rows."
        )

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Return an input for rows of numbers, and the images made from them."""
        from skltransfer.inputs.rows.keras_input import tabular_input

        return tabular_input(self.layout, self.size)


def fit_tabular(
    estimator: BaseEstimator,
    X: object,
    native_size: Size,
    accepts: Callable[[Size], bool],
    weights: NDArray[np.float64] | None,
) -> tuple[TabularEncoding, TabularSource]:
    """Decide how rows of numbers are laid out; see `InputKind.fit`."""
    rows = numeric_rows(estimator, X, reset=True)
    if weights is not None:
        rows, weights = rows[weights > 0], weights[weights > 0]
    _warn_of_wide_rows(rows)
    layout = TabularToImage.of(rows, weights)
    height, width = estimator.input_size or _smallest_size(layout, native_size, accepts)
    encoding = TabularEncoding((int(height), int(width)), layout)
    return encoding, TabularSource(rows, layout, encoding.size)


def numeric_rows(
    estimator: BaseEstimator, X: object, *, reset: bool, convert: bool = True
) -> NDArray[np.float64]:
    """Return finite rows of numbers, validated by scikit-learn; as float64 if `convert`."""
    dtype = np.float64 if convert else "numeric"
    rows: NDArray[np.float64] = validate_data(estimator, X, reset=reset, dtype=dtype)
    return rows


def _warn_of_wide_rows(rows: NDArray[np.float64]) -> None:
    """Warn of rows that may be flattened images or features, which should be passed differently."""
    width = rows.shape[1]
    shape = square_shape(width) or "(height, width) or (height, width, channels)"
    if looks_flattened(rows):
        warn_user(
            f"X has {width} columns of whole numbers, as flattened images have. They are read as "
            f"plain numbers, not as images; if they are images, set image_shape={shape}."
        )
    elif looks_like_features(rows):
        warn_user(
            f"X has {width} columns of numbers, as flattened images or features of a network have. "
            "They are read as plain numbers, not as images; if they are images, set "
            f"image_shape={shape}; if they are features of another network, hand them to a "
            "classifier such as LogisticRegression."
        )


def _smallest_size(
    layout: TabularToImage, native_size: Size, accepts: Callable[[Size], bool]
) -> Size:
    """Return the smallest square that holds the row and for which the backbone can be built."""
    side = layout.image_side(min(native_size))
    for candidate in (side, *(s for s in _SIDE_GROWS_TO if s > side)):
        if accepts((candidate, candidate)):
            return candidate, candidate
    return native_size
