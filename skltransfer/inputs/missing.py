"""Missing and masked values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_missing(item: Any) -> bool:
    """Return whether an item is None, NaN, pandas' NA or NaT."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float) and math.isnan(item)


def check_not_masked(values: Any, name: str) -> None:
    """Refuse a masked array, whose mask NumPy would drop without a word.

    Parameters
    ----------
    values : object
        What the user passed.
    name : str
        The parameter, for the message.

    Raises
    ------
    ValueError
        If some values are masked.
    """
    if np.ma.is_masked(values):
        n_masked = np.ma.getmaskarray(values).sum()
        raise ValueError(
            f"{name} is a masked array with {n_masked} masked values, whose mask would be ignored. "
            f"Fill them, as in {name}.filled(0), or leave their rows out."
        )
