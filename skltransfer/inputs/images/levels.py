"""What stored numbers mean: which values are black and white, as the container or the user says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE

if TYPE_CHECKING:
    from skltransfer.inputs.images.preprocessing import ImagePreprocessing

SIXTEEN_BITS = (0.0, 65535.0)


@dataclass(frozen=True)
class Levels:
    """The grey levels of an image as it is stored.

    Attributes
    ----------
    kind : str
        A name for messages, such as "32-bit floats".
    ends : tuple of two float or None
        The values of black and white that the container gives; None if it gives none.
    is_deep : bool
        Whether the numbers are anything but unsigned integers of up to 8 bits. If so, the user's
        ``pixel_range`` overrides `ends`.
    is_inverted : bool
        Whether the smaller end is white, as in TIFFs with the PhotometricInterpretation
        WhiteIsZero.
    """

    kind: str = "8 bits"
    ends: tuple[float, float] | None = BLACK_TO_WHITE
    is_deep: bool = False
    is_inverted: bool = False

    def pixel_range(self, rule: ImagePreprocessing) -> tuple[float, float]:
        """Return the values that become black and white; the first is larger if inverted.

        Raises
        ------
        Unreadable
            If neither the container nor the user gives these values.
        """
        ends = rule.pixel_range if self.is_deep and rule.is_explicit else self.ends
        if ends is None:
            raise Unreadable(
                f"it holds {self.kind}, which do not say what is black and what is white. Say "
                "in fit which values are black and white, as in pixel_range=(0, 4095)."
            )
        return ends[::-1] if self.is_inverted else ends


def unsigned(bits: int, *, is_inverted: bool = False) -> Levels:
    """Return the levels of unsigned integers that use all their bits."""
    return Levels(f"{bits} bits", (0.0, float(2**bits - 1)), bits > 8, is_inverted)


def by_values(kind: str, array: NDArray[np.generic], *, is_inverted: bool = False) -> Levels:
    """Return the levels of 32-bit integers or floats whose container says nothing.

    Integers that are plainly 16-bit grey levels, and floats that are plainly 0 to 255, are read as
    such. For other values, the user has to give ``pixel_range``.
    """
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        plain, ends = low >= 0 and (high == 0 or 1 < high <= 255), BLACK_TO_WHITE
    else:
        plain, ends = low >= 0 and (high == 0 or 255 < high <= 65535), SIXTEEN_BITS
    kind = kind if plain else f"{kind} from {low:g} to {high:g}"
    return Levels(kind, ends if plain else None, True, is_inverted)
