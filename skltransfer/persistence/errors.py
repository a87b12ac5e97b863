"""Reasons why a file is not loaded."""

from __future__ import annotations


class Explained(ValueError):
    """A reason that may concern even a file written by `save`; its message says what to do."""
