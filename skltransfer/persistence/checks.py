"""Predicates for values in a file, and how they are derived from annotations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from numbers import Real
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

Check: TypeAlias = Callable[[Any], bool]

_LARGEST_INT = 1 << 53
_DTYPES = {
    "b": np.bool_,
    "i": np.signedinteger,
    "u": np.unsignedinteger,
    "f": np.floating,
    "U": np.str_,
    "O": np.object_,
}


def checks_of(annotated: type) -> dict[str, Check]:
    """Return the check of each field of a class, derived from the annotations."""
    hints = get_type_hints(annotated, include_extras=True)
    return {name: check_of(hint) for name, hint in hints.items()}


def check_of(hint: Any) -> Check:
    """Return the check for an annotation; ints must be at least 0."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Annotated:
        checks = [check_of(parts[0]), *parts[1:]]
        return lambda value: all(check(value) for check in checks)
    if kind in (Union, UnionType):
        choices = [check_of(part) for part in parts]
        return lambda value: any(check(value) for check in choices)
    if kind is Literal:
        return one_of(*parts)
    if kind is np.ndarray:
        (scalar,) = get_args(parts[1]) if parts else (np.generic,)
        return _is_array(scalar)
    if kind is tuple:
        return _is_tuple(parts)
    if kind is list:
        item = check_of(*parts)
        return lambda value: type(value) is list and all(map(item, value))
    if kind is dict:
        is_key, is_value = map(check_of, parts)
        return lambda value: (
            type(value) is dict
            and all(is_key(key) and is_value(item) for key, item in value.items())
        )
    return instance_of(dict if kind is Mapping else kind)


def _is_tuple(parts: tuple[Any, ...]) -> Check:
    """Return the check for tuples with these types of items; "..." repeats the preceding type."""
    checks = [check_of(part) for part in parts if part is not ...]

    def is_tuple(value: Any) -> bool:
        if type(value) is not tuple:
            return False
        if ... in parts:
            return all(map(checks[0], value))
        return len(value) == len(checks) and all(
            check(item) for check, item in zip(checks, value, strict=True)
        )

    return is_tuple


def _is_array(scalar: type[np.generic]) -> Check:
    """Return the check for arrays of a scalar type, whatever its number of bits."""
    kinds = {
        letter
        for letter, kind in _DTYPES.items()
        if issubclass(kind, scalar) or issubclass(scalar, kind)
    }
    arrays = (np.ndarray, np.memmap)  # memmap: from joblib.load(path, mmap_mode="r")
    return lambda value: type(value) in arrays and value.dtype.kind in kinds


def is_int(value: Any) -> bool:
    """Return whether the value is an int of at least 0, and not a bool."""
    is_integer = isinstance(value, (int, np.integer)) and not is_bool(value)
    return is_integer and bool(0 <= value <= _LARGEST_INT)


def is_number(value: Any) -> bool:
    """Return whether the value is a number, including NaN and infinity, and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Return whether the value is a finite float or an int in that range, and not a bool."""
    return is_number(value) and abs(value) <= sys.float_info.max  # False for NaN


def is_bool(value: Any) -> bool:
    """Return whether the value is a bool."""
    return isinstance(value, (bool, np.bool_))


def is_str(value: Any) -> bool:
    """Return whether the value is a str."""
    return type(value) is str


def is_json(value: Any) -> bool:
    """Return whether the value is data in JSON types, including tuples."""
    if type(value) in (list, tuple):
        return all(map(is_json, value))
    if type(value) is dict:
        return all(is_str(key) and is_json(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def one_of(*allowed: str) -> Check:
    """Return the check for one of the given strings."""
    return lambda value: is_str(value) and value in allowed


def instance_of(kind: type) -> Check:
    """Return the check for instances of exactly this class."""
    return lambda value: type(value) is kind


_PLAIN: dict[Any, Check] = {
    bool: is_bool,
    float: is_number,
    int: is_int,
    str: is_str,
    Any: lambda value: True,
    object: lambda value: True,
    NoneType: lambda value: value is None,
}
