"""Stored images seen upright, a few rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.orientation import oriented

if TYPE_CHECKING:
    from skltransfer.inputs.images.stored import Box, StoredImage


class UprightImage:
    """A stored image with its orientation undone.

    Rows are converted a few at a time, so that a large image is not in memory several times.

    Parameters
    ----------
    stored : StoredImage
        The decoded image. It is never changed.

    Attributes
    ----------
    shape : tuple of two int
        Height and width of the upright image.

    Raises
    ------
    Unreadable
        When there are no pixels.
    """

    def __init__(self, stored: StoredImage) -> None:
        if 0 in stored.size:
            raise Unreadable("it has no pixels. Leave the row out.")
        self._stored = stored
        self.shape = stored.size if stored.orientation >= 5 else stored.size[::-1]

    def rows(self, top: int, bottom: int) -> NDArray[np.generic]:
        """Return rows of the upright image, with channels as `arrays.to_rgb` takes them."""
        return oriented(self._stored.pixels(self._box(top, bottom)), self._stored.orientation)

    def _box(self, top: int, bottom: int) -> Box:
        """Return the box of the stored image that holds the given rows of the upright image."""
        width, height = self._stored.size
        if self._stored.orientation in (3, 4, 7, 8):
            top, bottom = self.shape[0] - bottom, self.shape[0] - top
        if self._stored.orientation >= 5:
            return (top, 0, bottom, height)
        return (0, top, width, bottom)
