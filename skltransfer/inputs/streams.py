"""Open files, uploads and coroutines among the rows: what to pass in their place."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from skltransfer.inputs.wrapped_files import is_beginning_of_a_file


def check_no_stream(X: Any) -> None:
    """Refuse an X that is an open file itself, whose rows would be its lines."""
    advice = _advice(X, "X", "[{}]")
    if advice is not None:
        raise TypeError(f"X is {advice}")


def check_no_streams(items: list[Any]) -> None:
    """Refuse rows that hold no value, but give one when they are read or awaited."""
    for row, item in enumerate(items):
        if isinstance(item, (str, bytes)):
            continue
        advice = _advice(item, "each", "[{} for each in X]")
        if advice is not None:
            raise TypeError(f"row {row} of X is {advice}")


def _advice(item: Any, name: str, pattern: str) -> str | None:
    """Say what an item is, and what to pass; return None if it is no stream."""
    kind = type(item).__name__
    if inspect.isawaitable(item):
        return f"a {kind} that was never awaited. Pass {pattern.format(f'await {name}')}."
    if callable(getattr(item, "read", None)):
        waits = "await " if inspect.iscoroutinefunction(item.read) else ""
        return f"a {kind}, an open file. Pass {pattern.format(f'{waits}{name}.read()')}."
    if _holds_a_file(item):
        return f"the bytes of a file in an array. Pass {pattern.format(f'{name}.tobytes()')}."
    return None


def _holds_a_file(item: Any) -> bool:
    """Return whether an item is an array of a file's bytes, as OpenCV's imencode gives."""
    if not isinstance(item, np.ndarray) or item.dtype != np.uint8 or item.ndim == 0:
        return False
    return item.size == len(item) and is_beginning_of_a_file(item[:16].tobytes())
