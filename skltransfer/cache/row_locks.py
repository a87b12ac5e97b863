"""Locks on rows, so that no two threads or processes compute a row at the same time.

Every row has a *slot*: a byte position, far beyond the end of a lock file. To lock the row, a
process locks this byte. The kernel drops such a lock when the process ends, however it ends. The
kernel's locks belong to processes as a whole, so a table in memory distinguishes the threads of one
process. Acquiring a lock never blocks.

Without POSIX locks (on Windows, on some network file systems, in a read-only folder), processes do
not see each other's locks. Two of them may then compute the same row, with the same result.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}


@dataclass(eq=False)
class LockOwner:
    """The owner of some locks. A thread may use several owners at once.

    Attributes
    ----------
    slots : list of int
        All slots that it has locked. Because an interrupt may come at any time, the list may also
        contain slots that it has not locked.
    thread : int
        The thread that locked the slots.
    """

    slots: list[int] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)


class RowLocks:
    """The locks of this process.

    Even after an interrupt, `release` unlocks everything that an owner has locked.

    Parameters
    ----------
    path : str
        The lock file, created when first needed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._owners: dict[int, LockOwner] = {}
        # Reentrant, because the garbage collector, which may run while this lock is held, releases
        # the locks of abandoned owners.
        self._table = threading.RLock()

    def acquire(self, owner: LockOwner, slots: Iterable[int]) -> list[bool]:
        """Lock the slots that are free; return which of them the owner newly acquired."""
        with self._table:
            self._open()
            return [self._acquire(owner, slot) for slot in slots]

    def release(self, owner: LockOwner, slots: Iterable[int] | None = None) -> None:
        """Unlock slots of the owner, by default all of them; slots of other owners are ignored."""
        with self._table:
            for slot in list(owner.slots if slots is None else slots):
                if self._owners.get(slot) is owner:
                    self._unlock(slot)
                    del self._owners[slot]

    def is_free(self, slot: int) -> bool:
        """Whether no thread or process has locked a slot."""
        owner = LockOwner()
        with self._table, RowLock(np.ones(1, bool), partial(self.release, owner)):
            return self.acquire(owner, [slot])[0]

    def held_by_this_thread(self) -> bool:
        """Whether the calling thread holds any lock."""
        with self._table:
            return threading.get_ident() in {owner.thread for owner in self._owners.values()}

    def _acquire(self, owner: LockOwner, slot: int) -> bool:
        if slot in self._owners:
            return False
        owner.slots.append(slot)  # before locking, so that every lock that is held is recorded
        self._owners[slot] = owner
        if self._lock(slot):
            return True
        del self._owners[slot]
        return False

    def _open(self) -> None:
        """Open the lock file; create it again if it was deleted."""
        if sys.platform == "win32" or self._is_current():
            return
        self.close()
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    def _is_current(self) -> bool:
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except OSError:
            return False

    def close(self) -> None:
        """Close the lock file, which drops all locks of this process."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, slot: int) -> bool:
        if sys.platform == "win32" or self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except OSError as error:
            return error.errno not in _HELD_BY_ANOTHER  # after other errors, go on without locks
        return True

    def _unlock(self, slot: int) -> None:
        if sys.platform != "win32" and self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)


class RowLock:
    """Rows that the owner is to compute now; a context manager that unlocks them on exit.

    Attributes
    ----------
    mine : ndarray of bool
        Which of the requested keys the owner is to compute. The others are stored already, or
        another thread or process is computing them.
    """

    _release: Callable[[], None] = staticmethod(lambda: None)  # in case `__init__` did not run

    def __init__(self, mine: NDArray[np.bool_], release: Callable[[], None]) -> None:
        self.mine = mine
        self._release = release

    def release(self) -> None:
        """Unlock the rows; may be called more than once, and from any thread."""
        self._release()

    def __enter__(self) -> RowLock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __del__(self) -> None:
        # If the owner was interrupted before the ``with`` block, others must not wait forever.
        self.release()
