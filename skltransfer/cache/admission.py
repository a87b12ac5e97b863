"""Which rows are kept: rows are admitted while there is room, and rarely evict others.

Epochs and folds scan the same rows, the working set, again and again. If the working set is only
one percent larger than the cache, a cache that evicts the least recently used row never has the row
that is needed next. In this cache, therefore, stored rows stay, and further rows are refused, with
two exceptions:

- A row of a new namespace, such as that of another network or freeze point, evicts rows that were
  last used before the namespace was created.
- A row that is put for the third time evicts rows that have not been used since it was put for the
  first time. When rows are scanned repeatedly, in any order, a whole scan lies between these two
  times. That scan has used the whole working set, so no row of the working set is evicted.

A row is evicted together with its segment, a file of many rows. The least recently used segments
are evicted first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.segments import ENTRY_BYTES, Segment, SegmentUse, segments_under

if TYPE_CHECKING:
    from skltransfer.cache.namespaces import Namespace

_CLOCK_SECONDS = 0.25
"""The resolution of recorded times of use. If two times are closer, their order may be wrong."""

_MOST_REFUSALS = 200_000


class Admission:
    """Keeps all namespaces in a folder together within a budget of bytes.

    Processes decide independently. Together they may exceed the budget by the rows that they are
    writing at that moment.
    """

    def __init__(self, folder: str, budget: int) -> None:
        self._folder = folder
        self.budget = budget
        self.n_refused = 0
        self._refusals: dict[bytes, tuple[float, int]] = {}

    def admit(
        self, namespace: Namespace, keys: Sequence[bytes], sizes: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Make room for rows of the given `sizes` in bytes; return which of them may be stored."""
        costs = sizes + ENTRY_BYTES
        segments = list(segments_under(self._folder))
        room = self.budget - sum(segment.n_bytes for segment in segments)
        admitted = np.ones(len(keys), bool)
        if costs.sum() <= room:
            return admitted
        created = namespace.created()
        oldest = deque(sorted(segments))
        for position, (key, cost) in enumerate(zip(keys, costs.tolist(), strict=True)):
            if room < cost:
                since = max(created, self._first_refused(namespace, key))
                room += _evict(oldest, cost - room, since)
            admitted[position] = room >= cost
            if admitted[position]:
                room -= cost
            else:
                self._refuse(namespace, key)
        return admitted

    def _first_refused(self, namespace: Namespace, key: bytes) -> float:
        """Return the time at which a row was first put, if it has been refused twice; else 0.0."""
        first, times = self._refusals.get(_name(namespace, key), (0.0, 0))
        return first if times >= 2 else 0.0

    def _refuse(self, namespace: Namespace, key: bytes) -> None:
        self.n_refused += 1
        if len(self._refusals) >= _MOST_REFUSALS:
            self._refusals.clear()
        first, times = self._refusals.get(_name(namespace, key), (time.time(), 0))
        self._refusals[_name(namespace, key)] = (first, times + 1)


def _name(namespace: Namespace, key: bytes) -> bytes:
    return namespace.folder.encode() + key


def _evict(oldest: deque[SegmentUse], needed: int, since: float) -> int:
    """Remove the least recently used segments, to free `needed` bytes; none if that is impossible.

    Only segments that have not been used since the time `since` may be removed.

    Returns
    -------
    int
        Bytes freed.
    """
    n_victims = freed = 0
    for segment in oldest:
        if freed >= needed or segment.last_used + _CLOCK_SECONDS > since:
            break
        n_victims += 1
        freed += segment.n_bytes
    if freed < needed:
        return 0
    for _ in range(n_victims):
        Segment(oldest.popleft().index_path).remove()
    return freed
