"""The version of the numbers that this package computes."""

from __future__ import annotations

NUMERICS_VERSION = 2
"""Raised by every change after which the same input gives other numbers, be it in the last bit.
It is part of the names under which the cache keeps rows, so that no row of an older version is
served. How files are decoded has a version of its own: ``DECODING_VERSION``."""
