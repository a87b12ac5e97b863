"""The cache that stores nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.batches import is_ragged
from skltransfer.cache.info import CacheInfo
from skltransfer.cache.row_locks import RowLock
from skltransfer.cache.work import WorkCounter


class NullCache:
    """Stores nothing; used for ``cache=None``. Computed rows are counted, in this process only."""

    keeps_rows = False

    def __init__(self) -> None:
        self._work = WorkCounter(None)

    def gather(
        self, namespace: bytes, keys: Sequence[bytes], out: NDArray[np.generic]
    ) -> NDArray[np.bool_]:
        """Find nothing."""
        if is_ragged(out):
            out.fill(None)
        return np.zeros(len(keys), bool)

    def contains(self, namespace: bytes, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Find nothing."""
        return np.zeros(len(keys), bool)

    def put(self, namespace: bytes, keys: Sequence[bytes], rows: NDArray[np.generic]) -> None:
        """Store nothing."""

    def lock(self, namespace: bytes, keys: Sequence[bytes]) -> RowLock:
        """Lock nothing, so that the caller computes all rows."""
        return RowLock(np.ones(len(keys), bool), lambda: None)

    def wait(self, namespace: bytes, keys: Sequence[bytes]) -> None:
        """Return at once."""

    def alias(self, namespace: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store nothing."""

    def lookup(self, namespace: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Find nothing."""
        return [None] * len(keys)

    def count_work(self, segment: str, rows: int) -> None:
        """Count rows that ran through a segment (consecutive layers) of the network."""
        self._work.add(segment, rows)

    def has_room_to_spare(self, n_bytes: int) -> bool:
        """Return False."""
        return False

    def info(self) -> CacheInfo:
        """Return the work that was counted."""
        return CacheInfo(location=None, rows_computed=self._work.total())

    def clear(self) -> None:
        """Set all counts to zero."""
        self._work.clear()

    def after_fork(self) -> None:
        """Set all counts to zero in a forked child process."""
        self._work.forget()
