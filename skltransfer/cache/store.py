"""A folder of namespaces under one budget. Errors of the disk become a single warning here."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import warnings
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.admission import Admission
from skltransfer.cache.namespaces import Namespace
from skltransfer.cache.segments import ENTRY_BYTES, count_entries, segments_under

if TYPE_CHECKING:
    from skltransfer.cache.batches import Batch
    from skltransfer.cache.reading import Output

_LARGEST_SEGMENT = 64 << 20
_SEGMENTS = 32
"""Segments are so small that a budget holds at least this many, because a segment is evicted as a
whole."""

_SECONDS_TO_RETRY = 60.0
"""How long nothing is written after the disk refused a row."""


class CacheWarning(UserWarning):
    """The activation cache cannot store rows; results stay the same, but take longer.

    The warning is shown once for each cache: if the disk is full or read-only, if no private folder
    can be created for the cache, or if a row is larger than the cache's budget.

    Parameters
    ----------
    message : str
        The cause, and what to do.

    See Also
    --------
    cache_info : Reports what a cache holds, and where it is.

    Examples
    --------
    To stop a fit when this happens (a search also needs ``error_score="raise"``):

    >>> import warnings
    >>> from skltransfer import CacheWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", CacheWarning)
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class WarnOnce:
    """Warns once for a whole cache, even if both of its stores (rows and aliases) have problems."""

    def __init__(self) -> None:
        self.has_warned = False

    def disk_refused(self, folder: str, error: OSError) -> None:
        """Warn of an error that the system reports."""
        self._warn(
            f"The activation cache in {folder} takes no more rows: {error}.",
            "Make room or grant write access, and the cache goes on within a minute; or choose",
        )

    def row_too_large(self, folder: str, row_bytes: int, budget: int) -> None:
        """Warn of a row that would not fit into an empty store."""
        self._warn(
            f"The activation cache in {folder} keeps no rows of {row_bytes} bytes: all rows "
            f"together may take {budget}, a share of what was free there.",
            "Make room and start again, or choose",
        )

    def _warn(self, what: str, way_out: str) -> None:
        if self.has_warned:
            return
        self.has_warned = True
        warnings.warn(
            f"{what} Results are not affected, but rows that are not in the cache are computed "
            f"each time. {way_out} another directory as cache, or cache=None.",
            CacheWarning,
            stacklevel=2,
        )


class Store:
    """Rows of many namespaces.

    Parameters
    ----------
    folder : str
        Folder of the files, created when the first row is put.
    budget : int
        Maximum number of bytes.
    warn_once : WarnOnce
        Warns when the disk refuses rows.
    """

    def __init__(self, folder: str, budget: int, warn_once: WarnOnce) -> None:
        self.folder = folder
        self.budget = budget
        self.warn_once = warn_once
        self.forget()

    def forget(self) -> None:
        """Start over in this process, without knowledge of what is on disk."""
        self._namespaces: dict[bytes, Namespace] = {}
        self._admission = Admission(self.folder, self.budget)
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self.warn_once.has_warned = False

    def stored(self, namespace: bytes, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which keys are stored."""
        return self._namespace(namespace).stored(keys)

    def read(self, namespace: bytes, keys: Sequence[bytes], out: Output) -> NDArray[np.bool_]:
        """Fill in the rows of `out` that are stored; return which rows these are."""
        return self._namespace(namespace).read(keys, out)

    def put(self, namespace: bytes, keys: Sequence[bytes], batch: Batch) -> None:
        """Store rows that are new and admitted; after an error, pause writing for a while."""
        if time.monotonic() < self._retry_at:
            return
        with self._lock:
            try:
                self._put(self._namespace(namespace), keys, batch)
            except FileNotFoundError:
                pass  # another process is clearing the cache now
            except OSError as error:
                self._retry_at = time.monotonic() + _SECONDS_TO_RETRY
                self.warn_once.disk_refused(self.folder, error)

    def warn_if_too_large(self, row_bytes: int) -> None:
        """Warn if the budget is so small that no row of this size will ever be stored."""
        if row_bytes + ENTRY_BYTES > self.budget:
            self.warn_once.row_too_large(self.folder, row_bytes, self.budget)

    @property
    def n_refused(self) -> int:
        """Number of rows that did not fit."""
        return self._admission.n_refused

    @property
    def n_bytes(self) -> int:
        """Bytes on the disk."""
        return bytes_under(self.folder)

    @property
    def n_entries(self) -> int:
        """Number of rows on the disk."""
        return count_entries(self.folder)

    def clear(self) -> None:
        """Delete all rows."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.forget()

    def _namespace(self, namespace: bytes) -> Namespace:
        known = self._namespaces.get(namespace)
        if known is None:
            name = hashlib.blake2b(namespace, digest_size=16).hexdigest()
            segment_bytes = min(_LARGEST_SEGMENT, self.budget // _SEGMENTS)
            fresh = Namespace(os.path.join(self.folder, name), segment_bytes)
            known = self._namespaces.setdefault(namespace, fresh)
        return known

    def _put(self, namespace: Namespace, keys: Sequence[bytes], batch: Batch) -> None:
        first: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            first.setdefault(key, position)
        known = namespace.stored(list(first))
        new = list(compress(first, ~known))
        if len(new) < len(batch):
            batch = batch.take([first[key] for key in new])
        admitted = self._admission.admit(namespace, new, batch.sizes)
        if not admitted.all():
            batch = batch.take(np.flatnonzero(admitted).tolist())
        if len(batch):
            namespace.append(list(compress(new, admitted)), batch)


def bytes_under(folder: str) -> int:
    """Return the bytes that all namespaces under a folder take."""
    return sum(segment.n_bytes for segment in segments_under(folder))
