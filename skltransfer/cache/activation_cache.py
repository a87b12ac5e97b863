"""The cache as its users see it: rows, links, claims and counts."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import compress

import numpy as np

from skltransfer.cache.info import CacheInfo
from skltransfer.cache.row_locks import Claim, Claims, Holder
from skltransfer.cache.segments import LONGEST_KEY
from skltransfer.cache.store import Complaint, Shelf
from skltransfer.cache.work import WorkCounter

ROWS_FOLDER = "rows"

_LONGEST_VALUE = 32
_LINKS_SHARE = 20
"""Of the budget: a link takes 97 bytes, and the smallest rows, pooled features, some thousand."""

_MOST_RESOLVED = 100_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class ActivationCache:
    """Rows of numbers by content, shared by threads and processes.

    Get one from `open_cache`. In all methods `group` is a digest of what a row depends on but the
    picture, and `keys` are digests of pictures, of 16 to 32 bytes.

    Parameters
    ----------
    folder : str
        Where its files are; made when they are first needed.
    budget : int
        Bytes that rows and links may take together.
    """

    keeps_rows = True

    def __init__(self, folder: str, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        complaint = Complaint()
        for_links = budget // _LINKS_SHARE
        self._rows = Shelf(os.path.join(folder, ROWS_FOLDER), budget - for_links, complaint)
        self._links = Shelf(os.path.join(folder, "links"), for_links, complaint)
        self._work = WorkCounter(os.path.join(folder, "work"))
        self._claims = Claims(os.path.join(folder, "claims"))
        self._resolved: dict[bytes, dict[bytes, bytes]] = {}  # links never change
        self._reset_counts()

    def gather(self, group: bytes, keys: Sequence[bytes], out: np.ndarray) -> np.ndarray:
        """Fill in the rows that are stored.

        Parameters
        ----------
        group : bytes
            Digest of what rows depend on.
        keys : sequence of bytes
            Digests of pictures.
        out : ndarray of shape (n_keys, ...)
            C-contiguous. Its dtype and the shape of its rows are those that were put; rows of
            another kind are not found. Rows that are not found hold anything afterwards.

        Returns
        -------
        ndarray of shape (n_keys,), dtype bool
            Which rows were found.
        """
        _check(keys, out)
        if not out.flags.c_contiguous:
            raise ValueError("out must be C-contiguous; gather into a new array and copy.")
        found = self._rows.read(group, keys, out)
        n_found = int(np.count_nonzero(found))
        with self._counting:
            self._hits += n_found
            self._misses += len(found) - n_found
        return found

    def contains(self, group: bytes, keys: Sequence[bytes]) -> np.ndarray:
        """Which rows are stored; whether they are intact shows only when they are read.

        Returns
        -------
        ndarray of shape (n_keys,), dtype bool
        """
        return self._rows.stored(group, keys)

    def put(self, group: bytes, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Store rows that are not stored yet, as far as they fit.

        Never fails for want of room or rights: then a CacheWarning tells it, once.

        Parameters
        ----------
        group : bytes
            Digest of what rows depend on.
        keys : sequence of bytes
            Digests of pictures.
        rows : ndarray of shape (n_keys, ...)
            Of any numeric dtype.
        """
        _check(keys, rows)
        self._rows.complain_without_room_for(rows[:1].nbytes)
        self._rows.put(group, keys, rows)

    def claim(self, group: bytes, keys: Sequence[bytes]) -> Claim:
        """Ask which rows the calling thread may compute now.

        Rows that are stored, and rows that another thread or process has claimed, are not among
        them. Claim in blocks: the time for n keys grows with n² (512 take 3 ms, 3000 take 90).

        Returns
        -------
        Claim
            A context manager; its attribute `mine` is a mask. It holds until it is left, or the
            process dies.
        """
        holder = Holder()
        claim = Claim(np.zeros(len(keys), bool), partial(self._claims.release, holder))
        try:
            places = [_place(group, key) for key in keys]
            free = np.array(self._claims.take(holder, places), bool)
            stored = free & self.contains(group, keys)
            self._claims.release(holder, _chosen(places, stored))
            claim.mine = free & ~stored
        except BaseException:
            claim.release()  # at once: a traceback may keep it alive
            raise
        return claim

    def wait(self, group: bytes, keys: Sequence[bytes]) -> None:
        """Return when each row is stored, or claimed by nobody.

        Raises
        ------
        RuntimeError
            The calling thread holds claims: two that wait for each other would wait for ever.
        """
        if self._claims.held_by_this_thread():
            raise RuntimeError("leave your own claims before you wait for those of others")
        for key in keys:
            pause = _FIRST_PAUSE
            while not self.contains(group, [key])[0] and not self._claims.is_free(
                _place(group, key)
            ):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def link(self, group: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Remember a short value for each key, such as the digest of what a file decodes to.

        The value must follow from group and key: linking a key again changes nothing.

        Parameters
        ----------
        group : bytes
            What values depend on but the keys.
        keys : sequence of bytes
            Digests.
        values : sequence of bytes
            At most 32 bytes each.
        """
        rows = np.zeros((len(keys), 1 + _LONGEST_VALUE), np.uint8)
        for row, value in zip(rows, values, strict=True):
            if len(value) > _LONGEST_VALUE:
                raise ValueError(f"a value has {len(value)} bytes; {_LONGEST_VALUE} are allowed")
            row[0] = len(value)
            row[1 : 1 + len(value)] = np.frombuffer(value, np.uint8)
        _check(keys, rows)
        self._links.put(group, keys, rows)

    def resolve(self, group: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values that were linked to keys; None for those that were not."""
        if sum(map(len, self._resolved.values())) > _MOST_RESOLVED:
            self._resolved = {}
        known = self._resolved.setdefault(group, {})
        unknown = [key for key in keys if key not in known]
        if unknown:
            known.update(self._read_links(group, unknown))
        return [known.get(key) for key in keys]

    def _read_links(self, group: bytes, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        rows = np.empty((len(keys), 1 + _LONGEST_VALUE), np.uint8)
        _check(keys, rows)
        found = self._links.read(group, keys, rows)
        for key, row in compress(zip(keys, rows, strict=True), found):
            packed = row.tobytes()
            yield key, packed[1 : 1 + packed[0]]

    def count_work(self, segment: str, rows: int) -> None:
        """Count rows that ran through a segment of the network."""
        self._work.add(segment, rows)

    def has_room_to_spare(self, n_bytes: int) -> bool:
        """Whether half of the budget stays free when `n_bytes` more are kept."""
        return self._rows.n_bytes + n_bytes <= self._budget // 2

    def info(self) -> CacheInfo:
        """Return what the cache holds and has done."""
        return CacheInfo(
            location=self._folder,
            hits=self._hits,
            misses=self._misses,
            refused=self._rows.n_refused,
            entries=self._rows.n_entries,
            bytes=self._rows.n_bytes + self._links.n_bytes,
            budget=self._budget,
            rows_computed=self._work.total(),
        )

    def clear(self) -> None:
        """Delete all rows and links, and count from zero."""
        self._resolved = {}
        self._rows.clear()
        self._links.clear()
        self._work.clear()
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._hits = self._misses = 0
        self._counting = threading.Lock()

    def after_fork(self) -> None:
        """Forget, in a child, what belongs to its parent: locks, claims and counts."""
        self._rows.forget()
        self._links.forget()
        self._work.forget()
        self._claims.close()
        self._claims = Claims(os.path.join(self._folder, "claims"))
        self._reset_counts()


def _check(keys: Sequence[bytes], rows: np.ndarray) -> None:
    """Refuse what can only be a mistake of the caller."""
    if len(keys) != len(rows):
        raise ValueError(f"{len(keys)} keys do not name {len(rows)} rows")
    if rows.dtype.kind not in "biufc":
        raise TypeError(f"rows of dtype {rows.dtype} cannot be kept; numbers can")
    if max(map(len, keys), default=0) > LONGEST_KEY:
        raise ValueError(f"a key is longer than {LONGEST_KEY} bytes; use a digest")


def _place(group: bytes, key: bytes) -> int:
    """Return the byte whose lock stands for a row; two rows share one once in 2**62."""
    digest = hashlib.blake2b(key, digest_size=8, key=hashlib.blake2b(group).digest()).digest()
    return int.from_bytes(digest, "little") >> 2


def _chosen(places: list[int], mask: np.ndarray) -> list[int]:
    return [place for place, chosen in zip(places, mask.tolist(), strict=True) if chosen]
