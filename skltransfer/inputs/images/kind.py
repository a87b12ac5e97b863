"""The input of image networks: images, and rows of numbers turned into images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from skltransfer._fields import ImageSize
from skltransfer.inputs._input import (
    Encoding,
    Rows,
    RowSpec,
    Size,
    Source,
    TensorSpec,
    ViewFamily,
    trial_rows,
)
from skltransfer.inputs.images.arrays import check_pixel_range
from skltransfer.inputs.images.containers import check_container
from skltransfer.inputs.images.encoding import fit_images
from skltransfer.inputs.images.recognition import looks_like_images
from skltransfer.inputs.images.resizing import resize
from skltransfer.inputs.images.views import VIEWS
from skltransfer.inputs.rows.encoding import fit_tabular
from skltransfer.inputs.sizes import check_size

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.utils import Tags

_WHITE = 255.0
_PLAIN_SIDE = 16


@dataclass(frozen=True)
class ImageInput:
    """Images of three channels.

    Attributes
    ----------
    size : tuple of int
        Height and width that the backbone was trained at.
    """

    size: ImageSize

    name: ClassVar[str] = "image"
    pooling: ClassVar[str] = "avg"
    poolings: ClassVar[frozenset[str]] = frozenset({"avg", "max", "flatten", "cls"})
    parameters: ClassVar[frozenset[str]] = frozenset(
        {"image_shape", "pixel_range", "input_size", "resize", "augment", "n_views", "tta"}
    )
    views: ClassVar[Mapping[str, ViewFamily]] = VIEWS
    takes_layers: ClassVar[bool] = True
    baseline: ClassVar[str] = "pixels"

    def identity(self) -> list[object]:
        """Return nothing: the size is chosen in fit and is not part of a network's identity."""
        return []

    def row_spec(self, size: Size) -> RowSpec:
        """Tensors of a row: one RGB image."""
        return (TensorSpec((*size, 3)),)

    def trial_rows(self, size: Size) -> Rows:
        """Images of noise, from black to white."""
        return (trial_rows((*size, 3), 0.0, _WHITE),)

    def plain_rows(self, rows: Rows) -> NDArray[np.float32]:
        """Return the pixels of images resized to 16 x 16; more pixels would only slow an SVC."""
        size = _PLAIN_SIDE, _PLAIN_SIDE
        return np.stack([resize(np.asarray(image), size).ravel() for image in rows[0]])

    def adapt_tags(self, tags: Tags) -> None:
        """Change nothing: rows of numbers are accepted too."""

    def fit(
        self,
        estimator: BaseEstimator,
        X: object,
        weights: NDArray[np.float64] | None,
        accepts: Callable[[Size], bool],
    ) -> tuple[Encoding, Source]:
        """Decide whether X holds images or plain numbers, and how it is read."""
        check_size("input_size", estimator.input_size)
        check_size("image_shape", estimator.image_shape, (2, 3))
        if estimator.pixel_range is not None:
            check_pixel_range(estimator.pixel_range)
        check_container(X)
        if estimator.image_shape is None and not looks_like_images(X):
            return fit_tabular(estimator, X, self.size, accepts, weights)
        return fit_images(estimator, X, self.size, weights)

    def check(self, X: object) -> None:
        """Refuse containers of images, an X without rows, and masked values."""
        check_container(X)
