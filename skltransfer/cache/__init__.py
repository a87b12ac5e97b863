"""The activation cache: rows of numbers, keyed by what they are computed from.

A *row* is an array: the activations (outputs of frozen layers) of one input, that is, one image,
text or sound. A *key* is a digest (a hash) of the input. A *namespace* is a digest of everything
else that the row depends on: weights, freeze point (the last frozen layer), engine, number of rows
that run together, input size, precision. The cache knows neither networks nor estimators, only
NumPy.

It guarantees:

- A row comes back bit for bit as it was put, or not at all. Every row has a checksum over its
  bytes, its key and its namespace. A row with wrong or missing bytes counts as absent.
- A cache never fails and never blocks. A full disk, a read-only directory or a killed process costs
  speed, and causes at most one warning.
- A row that does not fit is refused; stored rows stay, with the exceptions listed in `admission`.

Why are the rows not in LMDB? py-lmdb 3.0 read as fast as this cache, but it trusts its
memory-mapped file. When this file had been truncated, the process died of SIGBUS in 244 of 248
trials. A check when opening the file would help there. It would not help against a flipped bit in a
tree page (6 deaths in 1900 trials), nor against a file that shrinks while it is in use. In LMDB,
rows of 5 KB also took 60 % more room. This cache maps no file into memory, so reading a file that
is too short only returns too few bytes.

Rows are *dense* (all of one shape) or *ragged* (each of its own length, as for texts and sounds). A
batch of ragged rows is a 1-D array of dtype object.

Modules: `layouts` (dtypes and shapes of rows), `batches` (rows to be stored), `segments` (the files
that contain rows), `checksums` (of rows), `reading` (rows from files), `namespaces` (which rows
exist), `admission` (which rows are kept), `store` (namespaces under one budget), `row_locks` (who
computes which row), `work` (how many rows were computed), `capacity` (how much room there is),
`session` (the location of "memory"), `holding` (folders that disappear with the last process that
uses them), `machine` (a name for this machine), `activation_cache` (the whole cache), `null_cache`
(a cache that stores nothing), `info` (the report of a cache), `opening` (one cache for each
folder), `inspection` (functions for users).
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
