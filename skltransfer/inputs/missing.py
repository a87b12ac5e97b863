"""Missing values."""

from __future__ import annotations

import math
from typing import Any


def is_missing(item: Any) -> bool:
    """Return whether an item is None, NaN, pandas' NA or NaT."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float) and math.isnan(item)
