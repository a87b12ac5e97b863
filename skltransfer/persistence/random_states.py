"""``numpy.random.RandomState`` objects, saved as their state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_KEY_SHAPE = (624,)
_FIELDS = ("key", "pos", "has_gauss", "gauss")


def from_random_state(random_state: np.random.RandomState) -> dict[str, Any]:
    """Return the state of the Mersenne Twister, the generator of nearly every RandomState."""
    state = random_state.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise TypeError(f"it holds a RandomState on {state['bit_generator']}, not on MT19937")
    return dict(zip(_FIELDS, (*state["state"].values(), *_normal(state)), strict=True))


def to_random_state(fields: object) -> np.random.RandomState:
    """Return a generator that continues from this state."""
    if not isinstance(fields, dict) or tuple(fields) != _FIELDS or not _possible(**fields):
        raise ValueError("it holds an invalid random_state.")
    state = {"key": fields["key"], "pos": fields["pos"]}
    generator = np.random.RandomState()
    generator.set_state({**fields, "bit_generator": "MT19937", "state": state})
    return generator


def _normal(state: dict[str, Any]) -> tuple[int, float]:
    """Return whether the generator has drawn a normal number in advance, and that number."""
    return int(state["has_gauss"]), float(state["gauss"])


def _possible(key: object, pos: object, has_gauss: object, gauss: object) -> bool:
    return (
        isinstance(key, np.ndarray)
        and (key.dtype, key.shape) == (np.dtype(np.uint32), _KEY_SHAPE)
        and type(pos) is int
        and 0 <= pos <= _KEY_SHAPE[0]
        and type(has_gauss) is int
        and has_gauss in (0, 1)
        and type(gauss) is float
        and math.isfinite(gauss)
    )
