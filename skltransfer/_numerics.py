"""The version of the numbers that this package computes."""

from __future__ import annotations

NUMERICS_VERSION = 1
"""Incremented by every change after which the same input gives other numbers, even in the last
bit. It is part of the cache keys, so rows of an older version are never used. The decoding of files
has its own version, ``DECODING_VERSION``.
"""
