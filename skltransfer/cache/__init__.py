"""The activation cache: rows of numbers, keyed by what they are computed from.

A *namespace* is a digest of everything that a row depends on except its input (weights, freeze
point, engine, rows of a block, input size, precision); a *key* is the digest of that input. The
cache knows neither networks nor estimators, only NumPy.

It guarantees:

- A row comes back bit for bit as it was put, or not at all. Every row carries a checksum over its
  bytes, its key and its namespace; a row that is torn, truncated or flipped counts as absent.
- A cache never fails and never blocks. A full disk, a read-only directory or a killed process costs
  speed, and causes at most one warning.
- A row that does not fit is refused; stored rows stay (see `admission`).

Why not LMDB? py-lmdb 3.0 read as fast, but it trusts its memory map. After the file had been
truncated, the process died of SIGBUS (244 times of 248). A check when opening the file would help
there, but not against a flipped bit in a tree page (6 deaths in 1900 trials), nor against a file
that shrinks while it is in use. Rows of 5 KB also took 60 % more room. Here nothing is mapped: if a
file is too short, a read only returns too few bytes.

Rows are dense (all of one shape) or ragged (each of its own length, such as texts and sounds). A
batch of ragged rows is a 1-D array of dtype object.

Modules: `layouts` (dtypes and shapes of rows), `batches` (rows to be stored), `segments` (files),
`checksums` (of rows), `reading` (rows from files), `namespaces` (which rows exist), `admission`
(which rows are kept), `store` (namespaces under one budget), `row_locks` (who computes which row),
`work` (what was computed), `capacity` (how much room there is), `session` (the location of
"memory"), `activation_cache` and `null_cache` (the whole cache, and one that stores nothing),
`info` (their report), `opening` (one cache for each folder), `inspection` (for users).
"""

from __future__ import annotations

from skltransfer.cache.activation_cache import ActivationCache
from skltransfer.cache.info import CacheInfo
from skltransfer.cache.null_cache import NullCache
from skltransfer.cache.opening import open_cache
from skltransfer.cache.row_locks import RowLock
from skltransfer.cache.store import CacheWarning

__all__ = [
    "ActivationCache",
    "CacheInfo",
    "CacheWarning",
    "NullCache",
    "RowLock",
    "open_cache",
]
