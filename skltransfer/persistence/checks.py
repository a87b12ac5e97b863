"""Predicates of which the tables of records and states are made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from numbers import Integral, Real

import numpy as np

Check = Callable[[object], bool]

_LARGEST_INT = 1 << 53


def is_int(value) -> bool:
    """A number that is at least 0; no bool."""
    return (
        isinstance(value, Integral)
        and not isinstance(value, (bool, np.bool_))
        and 0 <= value <= _LARGEST_INT
    )


def is_positive(value) -> bool:
    """A number that is at least 1; no bool."""
    return is_int(value) and value > 0


def is_number(value) -> bool:
    """A number, NaN and the infinite among them; no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value) -> bool:
    """A number that is a finite float, or an int of that size; no bool."""
    return is_number(value) and abs(value) <= sys.float_info.max  # NaN is not


def is_bool(value) -> bool:
    """True or False."""
    return isinstance(value, (bool, np.bool_))


def is_str(value) -> bool:
    """Some text."""
    return type(value) is str


def is_json(value) -> bool:
    """Data in JSON's types, tuples among them."""
    if type(value) in (list, tuple):
        return all(map(is_json, value))
    if type(value) is dict:
        return all(is_str(key) and is_json(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def one_of(*allowed) -> Check:
    """One of a few strings."""
    return lambda value: is_str(value) and value in allowed


def optional(check: Check) -> Check:
    """Also None."""
    return lambda value: value is None or check(value)


def sequence_of(check: Check, *lengths: int) -> Check:
    """A tuple or list, of one of `lengths` where some are given."""
    return lambda value: (
        type(value) in (tuple, list)
        and (not lengths or len(value) in lengths)
        and all(map(check, value))
    )


def instance_of(kind: type) -> Check:
    """Of exactly this class."""
    return lambda value: type(value) is kind


def array_of(kinds: str, n_dimensions: int) -> Check:
    """An array whose dtype is of one of `kinds`, NumPy's letters."""
    return lambda value: (
        type(value) is np.ndarray and value.dtype.kind in kinds and value.ndim == n_dimensions
    )


def is_range(value) -> bool:
    """Two finite numbers, the second of which is larger."""
    return sequence_of(is_finite, 2)(value) and value[0] < value[1]
