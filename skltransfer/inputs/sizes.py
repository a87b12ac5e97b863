"""Image sizes that users give: checks, and conversion to Python ints."""

from __future__ import annotations

from numbers import Integral
from typing import Any

_SHAPES = {2: "(height, width)", 3: "(height, width, channels)"}


def check_size(name: str, value: Any, lengths: tuple[int, ...] = (2,)) -> None:
    """Refuse a value other than None or a tuple or list of positive ints of an allowed length."""
    if value is None:
        return
    fits = (
        isinstance(value, (tuple, list))
        and len(value) in lengths
        and all(isinstance(v, Integral) and not isinstance(v, bool) and int(v) > 0 for v in value)
    )
    if not fits:
        shapes = " or ".join(_SHAPES[n] for n in lengths)
        raise ValueError(f"{name}={value!r} must be None or positive ints {shapes}.")


def as_ints(size: Any) -> Any:
    """Return a size as a tuple of Python ints, which JSON can store; None stays None."""
    return None if size is None else tuple(map(int, size))
