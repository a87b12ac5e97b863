"""The version of the numbers that this package computes."""

from __future__ import annotations

NUMERICS_VERSION = 4
"""Increase it with every change that makes the same input give other numbers, even in the last bit.
Cached rows are stored under keys that contain it, so that rows of an older version are not used.
The decoding of files has its own version: ``DECODING_VERSION``."""
