"""The version of the numbers that this package computes."""

from __future__ import annotations

NUMERICS_VERSION = 3
"""Increase it with every change after which the same input gives other numbers, even in the last
bit. It is part of the keys of cached rows, so that rows of an older version are not used. Decoding
of files has its own version: ``DECODING_VERSION``."""
