"""A folder of groups under one budget. Trouble with the disk ends here, in one warning."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import warnings
from collections.abc import Sequence

import numpy as np

from skltransfer.cache.admission import Admission
from skltransfer.cache.namespaces import Group
from skltransfer.cache.segments import ENTRY_BYTES, count_entries, segments_under

_LARGEST_SEGMENT = 64 << 20
_SEGMENTS = 32
"""A budget is shared by at least so many segments, for segments are what gives way."""

_SECONDS_OF_REST = 60.0
"""For how long a disk that refused a row is left alone."""


class CacheWarning(UserWarning):
    """The activation cache cannot keep rows; results are right, but take longer.

    It comes once for a cache whose disk is full or may not be written to, that has no private
    folder, or whose rows are larger than all the room that it may take.

    Parameters
    ----------
    message : str
        What the system says, and the way out.

    See Also
    --------
    cache_info : What a cache holds, and where it is.

    Examples
    --------
    To have such a disk stop a fit (a search needs ``error_score="raise"`` too):

    >>> import warnings
    >>> from skltransfer import CacheWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", CacheWarning)
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Complaint:
    """One warning for a whole cache, whichever of its shelves the disk refuses first."""

    def __init__(self) -> None:
        self.made = False

    def refused_by_disk(self, folder: str, error: OSError) -> None:
        """Warn of what the system says."""
        self._make(
            f"The activation cache in {folder} takes no more rows: {error}.",
            "Make room or grant write access, and it goes on within a minute; or choose",
        )

    def larger_than_budget(self, folder: str, row_bytes: int, budget: int) -> None:
        """Warn of a row that would not fit if nothing else were kept."""
        self._make(
            f"The activation cache in {folder} keeps no rows of {row_bytes} bytes: all rows "
            f"together may take {budget}, a share of what was free there.",
            "Make room and start again, or choose",
        )

    def _make(self, what: str, way_out: str) -> None:
        if self.made:
            return
        self.made = True
        warnings.warn(
            f"{what} Results are not affected, but rows that are not in it are computed each time. "
            f"{way_out} another directory as cache, or cache=None.",
            CacheWarning,
            stacklevel=2,
        )


class Shelf:
    """Rows of many groups.

    Parameters
    ----------
    folder : str
        Where its files are; made when the first row is put.
    budget : int
        Bytes it may take.
    complaint : Complaint
        Told when the disk refuses rows.
    """

    def __init__(self, folder: str, budget: int, complaint: Complaint) -> None:
        self.folder = folder
        self.budget = budget
        self.complaint = complaint
        self.forget()

    def forget(self) -> None:
        """Begin anew in this process, knowing nothing of what is on the disk."""
        self._groups: dict[bytes, Group] = {}
        self._admission = Admission(self.folder, self.budget)
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self.complaint.made = False

    def stored(self, group: bytes, keys: Sequence[bytes]) -> np.ndarray:
        """Which keys are stored."""
        return self._group(group).stored(keys)

    def read(self, group: bytes, keys: Sequence[bytes], out: np.ndarray) -> np.ndarray:
        """Fill rows of `out` that are stored; return which."""
        return self._group(group).read(keys, out)

    def put(self, group: bytes, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Store rows that are new and admitted; a disk that refuses is left alone for a while."""
        if time.monotonic() < self._rests_until:
            return
        with self._lock:
            try:
                self._put(self._group(group), keys, np.ascontiguousarray(rows))
            except FileNotFoundError:
                pass  # another process is clearing the cache just now
            except OSError as error:
                self._rests_until = time.monotonic() + _SECONDS_OF_REST
                self.complaint.refused_by_disk(self.folder, error)

    def complain_without_room_for(self, row_bytes: int) -> None:
        """Warn of a budget so small that no row of this size will ever be kept."""
        if row_bytes + ENTRY_BYTES > self.budget:
            self.complaint.larger_than_budget(self.folder, row_bytes, self.budget)

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

    def _group(self, group: bytes) -> Group:
        known = self._groups.get(group)
        if known is None:
            name = hashlib.blake2b(group, digest_size=16).hexdigest()
            segment_bytes = min(_LARGEST_SEGMENT, self.budget // _SEGMENTS)
            fresh = Group(os.path.join(self.folder, name), segment_bytes)
            known = self._groups.setdefault(group, fresh)
        return known

    def _put(self, group: Group, keys: Sequence[bytes], rows: np.ndarray) -> None:
        first: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            first.setdefault(key, position)
        known = group.stored(list(first))
        new = [key for key, there in zip(first, known, strict=True) if not there]
        admitted = self._admission.admit(group, new, rows[:1].nbytes)
        chosen = [key for key, room in zip(new, admitted, strict=True) if room]
        if not chosen:
            return
        if len(chosen) < len(rows):
            rows = rows[[first[key] for key in chosen]]
        group.append(chosen, rows)


def bytes_under(folder: str) -> int:
    """Return the bytes that all groups under a folder take."""
    return sum(segment.n_bytes for segment in segments_under(folder))
