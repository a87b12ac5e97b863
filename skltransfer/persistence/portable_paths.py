"""Paths that can be pickled for any system; on Windows, a pickled PosixPath cannot be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class _AnyPath:
    """A path that, when unpickled, becomes a path of the system that loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        """Rebuild by calling `Path`, which chooses the class of the system."""
        return Path, (str(self.path),)


def to_portable(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state whose paths can be pickled for any system."""
    return {
        name: _AnyPath(value) if isinstance(value, Path) else value for name, value in state.items()
    }


def from_portable(state: dict[str, Any]) -> dict[str, Any]:
    """Undo `to_portable`, in a state that was copied without being pickled."""
    return {
        name: value.path if isinstance(value, _AnyPath) else value for name, value in state.items()
    }
