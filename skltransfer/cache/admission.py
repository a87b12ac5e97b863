"""What is kept: rows are admitted while there is room, and give way only to rows that earn it.

Epochs and folds scan the same rows in circles. A cache that drops the least recently used row
never hits once the working set is one percent too large, so here what is kept stays, and the rest
is turned away. Two things are worth a place that is taken:

- rows of a new group, in place of what was last used before the group was born;
- rows that are asked to be kept for the third time, in place of what was not used since the first.
  In a scan in circles, in whatever order, a whole round lies between the first and the third time,
  and it has used all that belongs to the working set: nothing of it gives way.

Whole segments give way, the least recently used first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from skltransfer.cache.namespaces import Group
from skltransfer.cache.segments import ENTRY_BYTES, Kept, Segment, segments_under

_CLOCK_SECONDS = 0.25
"""How much two times of use may be apart and yet be in the wrong order."""

_MOST_REMEMBERED = 200_000


class Admission:
    """Keeps the groups under a folder within a budget of bytes.

    Processes decide without asking each other, so that they may together exceed the budget by
    the rows that are being put at that moment.
    """

    def __init__(self, folder: str, budget: int) -> None:
        self._folder = folder
        self.budget = budget
        self.n_refused = 0
        self._turned_away: dict[bytes, tuple[float, int]] = {}

    def admit(self, group: Group, keys: Sequence[bytes], row_bytes: int) -> np.ndarray:
        """Say which rows may be kept, and make room for them."""
        cost = row_bytes + ENTRY_BYTES
        kept = list(segments_under(self._folder))
        room = self.budget - sum(segment.n_bytes for segment in kept)
        admitted = np.ones(len(keys), bool)
        if cost * len(keys) <= room:
            return admitted
        born = group.born()
        oldest = deque(sorted(kept))
        for position, key in enumerate(keys):
            if room < cost:
                since = max(born, self._first_asked(group, key))
                room += _make_room(oldest, cost - room, since)
            admitted[position] = room >= cost
            if admitted[position]:
                room -= cost
            else:
                self._turn_away(group, key)
        return admitted

    def _first_asked(self, group: Group, key: bytes) -> float:
        """When a row that was turned away twice came first; for others the beginning of time."""
        first, times = self._turned_away.get(_name(group, key), (0.0, 0))
        return first if times >= 2 else 0.0

    def _turn_away(self, group: Group, key: bytes) -> None:
        self.n_refused += 1
        if len(self._turned_away) >= _MOST_REMEMBERED:
            self._turned_away.clear()
        first, times = self._turned_away.get(_name(group, key), (time.time(), 0))
        self._turned_away[_name(group, key)] = (first, times + 1)


def _name(group: Group, key: bytes) -> bytes:
    return group.folder.encode() + key


def _make_room(oldest: deque[Kept], needed: int, since: float) -> int:
    """Remove the least recently used segments, if those unused `since` free enough bytes.

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
