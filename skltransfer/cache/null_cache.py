"""The cache of those who want none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skltransfer.cache.info import CacheInfo
from skltransfer.cache.row_locks import Claim
from skltransfer.cache.work import WorkCounter


class NullCache:
    """Keeps nothing: the ``cache=None`` of the estimators. Work is counted in this process."""

    keeps_rows = False

    def __init__(self) -> None:
        self._work = WorkCounter(None)

    def gather(self, group: bytes, keys: Sequence[bytes], out: np.ndarray) -> np.ndarray:
        """Find nothing."""
        return np.zeros(len(keys), bool)

    def contains(self, group: bytes, keys: Sequence[bytes]) -> np.ndarray:
        """Find nothing."""
        return np.zeros(len(keys), bool)

    def put(self, group: bytes, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Keep nothing."""

    def claim(self, group: bytes, keys: Sequence[bytes]) -> Claim:
        """Leave all rows to the caller."""
        return Claim(np.ones(len(keys), bool), lambda: None)

    def wait(self, group: bytes, keys: Sequence[bytes]) -> None:
        """Wait for nobody."""

    def link(self, group: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Keep nothing."""

    def resolve(self, group: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Find nothing."""
        return [None] * len(keys)

    def count_work(self, segment: str, rows: int) -> None:
        """Count rows that ran through a segment of the network."""
        self._work.add(segment, rows)

    def has_room_to_spare(self, n_bytes: int) -> bool:
        """Have no room."""
        return False

    def info(self) -> CacheInfo:
        """Return the work that was counted."""
        return CacheInfo(location=None, rows_computed=self._work.total())

    def clear(self) -> None:
        """Count from zero."""
        self._work.clear()

    def after_fork(self) -> None:
        """Count from zero in a child."""
        self._work.forget()
