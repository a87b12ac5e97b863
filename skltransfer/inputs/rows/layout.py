"""Rows of plain numbers laid out as small images, for backbones that only know images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skltransfer._fields import FiniteVector
from skltransfer.inputs.moments import column_moments, standardized

if TYPE_CHECKING:
    from skltransfer.inputs._input import Size

_SMALLEST_SIDE = 64  # at 32 pixels the bundled net distinguishes little
_SIDE_STEP = 32
CENTRE = 127.5
GREY_LEVELS_PER_DEVIATION = 51.0  # 2.5 standard deviations reach the ends of 0 to 255
_NARROWEST_IMAGE = 49
_NARROWEST_FEATURES = 256


@dataclass(frozen=True)
class TabularToImage:
    """How a row of numbers becomes an image; decided in fit.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
        Moments of the columns; a constant column has scale 1.
    """

    mean: FiniteVector
    scale: FiniteVector

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray | None = None) -> TabularToImage:
        """Return the layout with weighted moments of float64 `rows`, see `column_moments`."""
        return cls(*column_moments(rows, weights))

    @property
    def grid(self) -> int:
        """Side of the square that holds the columns line by line."""
        return math.isqrt(max(len(self.mean) - 1, 0)) + 1

    def image_side(self, native_side: int) -> int:
        """Side of the image in pixels: small, because a larger image would show no more."""
        fitting = max(_SMALLEST_SIDE, math.ceil(self.grid / _SIDE_STEP) * _SIDE_STEP)
        return min(fitting, max(native_side, _SMALLEST_SIDE))

    def images(self, rows: np.ndarray, size: Size) -> np.ndarray:
        """Return grey float32 images (n, h, w, 3); standardised zero is the middle of 0 to 255."""
        from skltransfer.inputs.images.resizing import resize

        levels = GREY_LEVELS_PER_DEVIATION * standardized(rows, self.mean, self.scale)
        grid = np.zeros((len(rows), self.grid * self.grid), np.float32)
        grid[:, : rows.shape[1]] = levels
        squares = grid.reshape(-1, self.grid, self.grid)
        height, width = size
        if self.grid > min(size):
            rgb = (np.repeat(square[..., None], 3, -1) for square in squares)
            shrunk = [resize(image, (height, width), "stretch") for image in rgb]
            return np.stack(shrunk) + np.float32(CENTRE)
        return _enlarged(squares, (height, width)) + np.float32(CENTRE)


def looks_flattened(rows: np.ndarray) -> bool:
    """Return whether integer rows are as wide as square images of 7 pixels or more."""
    width = rows.shape[1]
    return width >= _NARROWEST_IMAGE and square_shape(width) is not None and _are_whole(rows)


def looks_like_features(rows: np.ndarray) -> bool:
    """Return whether rows look like features of a network, or like flattened images of 0-1."""
    return rows.shape[1] >= _NARROWEST_FEATURES and not _are_whole(rows)


def square_shape(width: int) -> tuple[int, ...] | None:
    """Return the shape of square grey or colour images with this many numbers, or None."""
    for channels in ((), (3,)):
        side = math.isqrt(width // math.prod(channels))
        if math.prod((side, side, *channels)) == width:
            return side, side, *channels
    return None


def _are_whole(rows: np.ndarray) -> bool:
    return bool(np.all(rows == np.rint(rows)))


def _enlarged(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Repeat each cell as often as fits, starting at the top left corner."""
    factor = min(size) // grid.shape[1]
    cells = np.repeat(np.repeat(grid, factor, axis=1), factor, axis=2)
    images = np.zeros((len(grid), *size, 3), np.float32)
    images[:, : cells.shape[1], : cells.shape[2]] = cells[..., None]
    return images
