"""Views of a sound, made by changes to its log-mel map: shifts in time, gains and masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from skltransfer.inputs._input import Array, ViewFamily
from skltransfer.inputs.sounds.front_end import LogMel

_LONGEST_SHIFT_SECONDS = 0.1
_MOST_DECIBELS = 6.0
_WIDEST_MASK_OF_BANDS = 1 / 8
_LONGEST_MASK_SECONDS = 0.1

_Change = Callable[[LogMel, Array, np.random.Generator], Array]


def shift(rule: LogMel, values: Array, rng: np.random.Generator) -> Array:
    """Begin up to a tenth of a second earlier or later; silence fills the gap."""
    most = min(_frames(rule, _LONGEST_SHIFT_SECONDS), len(values) - 1)
    by = int(rng.integers(-most, most + 1))
    shifted = np.full_like(values, math.log(rule.floor))
    kept = values[max(0, -by) : len(values) - max(0, by)]
    shifted[max(0, by) : max(0, by) + len(kept)] = kept
    return shifted


def gain(rule: LogMel, values: Array, rng: np.random.Generator) -> Array:
    """Make the sound louder or softer by up to 6 decibels."""
    factor = 10 ** (rule.power * rng.uniform(-_MOST_DECIBELS, _MOST_DECIBELS) / 20)
    energy = np.maximum(np.exp(values.astype(np.float64)) - rule.floor, 0.0)
    return np.log(factor * energy + rule.floor).astype(np.float32)


def masks(rule: LogMel, values: Array, rng: np.random.Generator) -> Array:
    """Silence adjacent bands, and up to a tenth of a second (SpecAugment, Park et al. 2019)."""
    masked = values.copy()
    masked[:, _stretch(values.shape[1], values.shape[1] * _WIDEST_MASK_OF_BANDS, rng)] = math.log(
        rule.floor
    )
    longest = min(_frames(rule, _LONGEST_MASK_SECONDS), len(values) / 4)
    masked[_stretch(len(values), longest, rng)] = math.log(rule.floor)
    return masked


def all_three(rule: LogMel, values: Array, rng: np.random.Generator) -> Array:
    """Apply shift, gain and masks, one after another."""
    return masks(rule, gain(rule, shift(rule, values, rng), rng), rng)


def views_of(rule: LogMel) -> Mapping[str, ViewFamily]:
    """Return the views of a front end's maps, by the names that ``augment`` takes."""
    return {name: _family(name, rule, change) for name, change in _CHANGES.items()}


_CHANGES: dict[str, _Change] = {
    "shift": shift,
    "gain": gain,
    "masks": masks,
    "standard": all_three,
}


def _family(name: str, rule: LogMel, change: _Change) -> ViewFamily:
    return ViewFamily(f"sound {name}", partial(_seen, rule, change), lambda size: None)


def _seen(
    rule: LogMel, change: _Change, values: Array, number: int, rng: np.random.Generator
) -> Array:
    """Return a view of a map; view 0 is the map itself."""
    return values if number == 0 else change(rule, values, rng)


def _frames(rule: LogMel, seconds: float) -> int:
    return round(seconds * rule.sample_rate / rule.hop)


def _stretch(length: int, longest: float, rng: np.random.Generator) -> slice:
    """Return a slice of random place and length; the length is at most `longest`."""
    width = int(rng.integers(0, int(longest) + 1))
    start = int(rng.integers(0, length - width + 1))
    return slice(start, start + width)
