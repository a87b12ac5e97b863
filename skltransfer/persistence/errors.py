"""Why a file is not opened."""

from __future__ import annotations


class Explained(ValueError):
    """A reason that can befall a file which `save` wrote; its message tells what to do."""
