"""The cache as the rest of the package uses it: rows, aliases, locks and counts.

An *alias* is a short value that is stored under a key. For example, the digest of an image's pixels
is stored under the digest of the image's file.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.batches import DenseBatch, batch_of
from skltransfer.cache.info import CacheInfo
from skltransfer.cache.reading import DenseOutput, output_of
from skltransfer.cache.row_locks import LockOwner, RowLock, RowLocks
from skltransfer.cache.segments import LONGEST_KEY
from skltransfer.cache.store import Store, WarnOnce
from skltransfer.cache.work import WorkCounter

ROWS_FOLDER = "rows"
_ALIASES_FOLDER, _LOCKS_FILE, _WORK_FOLDER = "aliases", "locks", "work"

_LONGEST_VALUE = 32
_ALIASES_SHARE = 20
"""Aliases get 1/20 of the budget, which is enough: an alias takes 97 bytes, but even the smallest
rows take a few thousand."""

_MOST_ALIASES_IN_MEMORY = 100_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class ActivationCache:
    """Rows of numbers keyed by content, shared by threads and processes.

    `open_cache` creates it. In all methods, `keys` are digests of the inputs of rows, of 16 to 32
    bytes each, and `namespace` is a digest of everything else that these rows depend on.

    Parameters
    ----------
    folder : str
        Folder of the cache's files, created when first needed.
    budget : int
        Number of bytes that rows and aliases may take together.
    """

    keeps_rows = True

    def __init__(self, folder: str, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        warn_once = WarnOnce()
        for_aliases = budget // _ALIASES_SHARE
        self._rows = Store(os.path.join(folder, ROWS_FOLDER), budget - for_aliases, warn_once)
        self._aliases = Store(os.path.join(folder, _ALIASES_FOLDER), for_aliases, warn_once)
        self._work = WorkCounter(os.path.join(folder, _WORK_FOLDER))
        self._locks = RowLocks(os.path.join(folder, _LOCKS_FILE))
        self._known_aliases: dict[bytes, dict[bytes, bytes]] = {}  # kept, as no alias changes
        self._reset_counts()

    def gather(
        self, namespace: bytes, keys: Sequence[bytes], out: NDArray[np.generic]
    ) -> NDArray[np.bool_]:
        """Fill `out` with the rows that are stored.

        Parameters
        ----------
        namespace : bytes
            Digest of what rows depend on.
        keys : sequence of bytes
            Digests of the inputs of rows.
        out : ndarray of shape (n_keys, ...)
            For dense rows, a C-contiguous array. Only rows that were put with the same dtype and
            row shape are found. Where a row is not found, the content is undefined.

            For ragged rows, an array of shape (n_keys,) and dtype object. It receives a new array
            for each row that is found, and None for each row that is not. Rows that were put as
            dense rows are not found.

        Returns
        -------
        ndarray of shape (n_keys,), dtype bool
            Which rows were found.
        """
        _check(keys, len(out))
        found = self._rows.read(namespace, keys, output_of(out))
        n_found = int(np.count_nonzero(found))
        with self._counting:
            self._hits += n_found
            self._misses += len(found) - n_found
        return found

    def contains(self, namespace: bytes, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which rows are stored; damage to a row is noticed only when the row is read.

        Returns
        -------
        ndarray of shape (n_keys,), dtype bool
        """
        return self._rows.stored(namespace, keys)

    def put(self, namespace: bytes, keys: Sequence[bytes], rows: NDArray[np.generic]) -> None:
        """Store the rows that are not stored yet, if there is room for them.

        A lack of room or permissions raises no error, but causes a single CacheWarning.

        Parameters
        ----------
        namespace : bytes
            Digest of what rows depend on.
        keys : sequence of bytes
            Digests of the inputs of rows.
        rows : ndarray of shape (n_keys, ...)
            Of any numeric dtype. Ragged rows are an array of shape (n_keys,) and dtype object,
            whose arrays differ only in the length of their first axis.

        Raises
        ------
        TypeError
            If rows hold something other than numbers, or ragged rows differ in more than the length
            of their first axis.
        """
        _check(keys, len(rows))
        if not len(rows):
            return
        batch = batch_of(rows)
        self._rows.warn_if_too_large(int(batch.sizes.max()))
        self._rows.put(namespace, keys, batch)

    def lock(self, namespace: bytes, keys: Sequence[bytes]) -> RowLock:
        """Lock the rows that the calling thread is to compute now.

        These are the rows that are not stored yet, and that no other thread or process has locked.
        Lock a few hundred keys at a time, because the time that locking takes grows with the square
        of their number (512 take 3 ms, 3000 take 90 ms).

        Returns
        -------
        RowLock
            A context manager; its attribute `mine` is a mask of the locked rows. They stay locked
            until the ``with`` block is left or the process ends.
        """
        owner = LockOwner()
        lock = RowLock(np.zeros(len(keys), bool), partial(self._locks.release, owner))
        try:
            slots = [_lock_slot(namespace, key) for key in keys]
            acquired = np.array(self._locks.acquire(owner, slots), bool)
            stored = acquired & self.contains(namespace, keys)
            self._locks.release(owner, list(compress(slots, stored)))
            lock.mine = acquired & ~stored
        except BaseException:
            lock.release()  # immediately, because a traceback may keep the lock alive
            raise
        return lock

    def wait(self, namespace: bytes, keys: Sequence[bytes]) -> None:
        """Wait until each row is stored, or is no longer locked by any thread or process.

        Raises
        ------
        RuntimeError
            If the calling thread holds locks, because two threads could then wait for each other
            forever.
        """
        if self._locks.held_by_this_thread():
            raise RuntimeError("release your own locks before you wait for those of others")
        for key in keys:
            pause = _FIRST_PAUSE
            slot = _lock_slot(namespace, key)
            while not self.contains(namespace, [key])[0] and not self._locks.is_free(slot):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def alias(self, namespace: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Remember a short value for each key, such as the digest of what a file decodes to.

        Namespace and key must determine the value, because a second value for a key is ignored.

        Parameters
        ----------
        namespace : bytes
            Digest of what values depend on besides the keys.
        keys : sequence of bytes
            Digests of inputs.
        values : sequence of bytes
            One for each key, of at most 32 bytes.
        """
        rows = np.zeros((len(keys), 1 + _LONGEST_VALUE), np.uint8)
        for row, value in zip(rows, values, strict=True):
            if len(value) > _LONGEST_VALUE:
                raise ValueError(f"a value has {len(value)} bytes; {_LONGEST_VALUE} are allowed")
            row[0] = len(value)
            row[1 : 1 + len(value)] = np.frombuffer(value, np.uint8)
        _check(keys, len(rows))
        self._aliases.put(namespace, keys, DenseBatch(rows))

    def lookup(self, namespace: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value that `alias` stored for each key; None where there is none."""
        if sum(map(len, self._known_aliases.values())) > _MOST_ALIASES_IN_MEMORY:
            self._known_aliases = {}
        known = self._known_aliases.setdefault(namespace, {})
        unknown = [key for key in keys if key not in known]
        if unknown:
            known.update(self._read_aliases(namespace, unknown))
        return [known.get(key) for key in keys]

    def _read_aliases(
        self, namespace: bytes, keys: Sequence[bytes]
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = np.empty((len(keys), 1 + _LONGEST_VALUE), np.uint8)
        _check(keys, len(rows))
        found = self._aliases.read(namespace, keys, DenseOutput(rows))
        for key, row in compress(zip(keys, rows, strict=True), found):
            packed = row.tobytes()
            yield key, packed[1 : 1 + packed[0]]

    def count_work(self, segment: str, rows: int) -> None:
        """Count rows that ran through a segment (consecutive layers) of the network."""
        self._work.add(segment, rows)

    def has_room_to_spare(self, n_bytes: int) -> bool:
        """Return whether half of the budget stays free after storing `n_bytes` more."""
        return self._rows.n_bytes + n_bytes <= self._budget // 2

    def info(self) -> CacheInfo:
        """Return what the cache holds and has done."""
        return CacheInfo(
            location=self._folder,
            hits=self._hits,
            misses=self._misses,
            refused=self._rows.n_refused,
            entries=self._rows.n_entries,
            bytes=self._rows.n_bytes + self._aliases.n_bytes,
            budget=self._budget,
            rows_computed=self._work.total(),
        )

    def clear(self) -> None:
        """Delete all rows and aliases, and set all counts to zero."""
        self._known_aliases = {}
        self._rows.clear()
        self._aliases.clear()
        self._work.clear()
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._hits = self._misses = 0
        self._counting = threading.Lock()

    def after_fork(self) -> None:
        """In a forked child process, forget the locks and counts of the parent."""
        self._rows.forget()
        self._aliases.forget()
        self._work.forget()
        self._locks.close()
        self._locks = RowLocks(os.path.join(self._folder, _LOCKS_FILE))
        self._reset_counts()


def _check(keys: Sequence[bytes], n_rows: int) -> None:
    """Refuse arguments that can only be a mistake of the caller."""
    if len(keys) != n_rows:
        raise ValueError(f"got {len(keys)} keys for {n_rows} rows")
    if max(map(len, keys), default=0) > LONGEST_KEY:
        raise ValueError(f"a key is longer than {LONGEST_KEY} bytes; use a digest")


def _lock_slot(namespace: bytes, key: bytes) -> int:
    """Return the position, in the lock file, of the byte whose lock stands for a row.

    There are 2**62 positions, so two rows hardly ever share one.
    """
    namespace_digest = hashlib.blake2b(namespace).digest()
    digest = hashlib.blake2b(key, digest_size=8, key=namespace_digest).digest()
    return int.from_bytes(digest, "little") >> 2
