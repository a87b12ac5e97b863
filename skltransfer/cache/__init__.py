"""The activation cache: rows of numbers, kept by what they are computed from.

A *group* is a digest of all that an activation depends on but the picture (weights, cut, engine,
block, size, precision); a *key* is the digest of a picture. The cache knows neither networks nor
estimators, only NumPy.

The laws:

- A row comes back bit for bit as it was put, or not at all. Every row carries a checksum over its
  bytes, its key and its group: whatever was torn, truncated or flipped counts as absent.
- A cache never fails and never blocks: a full disk, a read-only directory or a process that was
  killed cost speed, and at most one warning.
- What does not fit is turned away; what is kept stays (see `_admission`).

Rows lie in files of our own and not in LMDB, the first choice. Measured with py-lmdb 3.0: LMDB
reads as fast, but it trusts its memory map. When the file had been truncated, the process died of
SIGBUS (244 times of 248). That can be mended at opening, but not when one bit of a tree page is
flipped (6 deaths in 1900 trials), or when a file shrinks that is in use. Rows of 5 KB also took
60 % more room. Here nothing is mapped: a row that is gone is a short read.

Modules: `_segments` (files), `_checksums` (of their rows), `_groups` (what is in them),
`_admission` (what is kept), `_shelf` (groups under one budget), `_claims` (who computes what),
`_work` (what was computed), `_capacity` (how much room there is), `_session` (where "memory" is),
`_cache` and `_null_cache` (all of it together, and nothing at all), `_info` (what they tell),
`_opening` (one cache for each folder).
"""

from __future__ import annotations

from skltransfer.cache.activation_cache import ActivationCache
from skltransfer.cache.info import CacheInfo
from skltransfer.cache.null_cache import NullCache
from skltransfer.cache.opening import open_cache
from skltransfer.cache.row_locks import Claim
from skltransfer.cache.store import CacheWarning

__all__ = [
    "ActivationCache",
    "CacheInfo",
    "CacheWarning",
    "Claim",
    "NullCache",
    "open_cache",
]
