"""Who may compute which row now: claims that die with their owner.

A claim is a lock on one byte of a file, far beyond its end, at a place given by the row's name.
The kernel drops such locks when a process ends, however it ends. They belong to processes, so a
table tells the threads of one process apart. Nobody ever blocks on a lock.

Without POSIX locks (Windows, some network file systems, a folder that cannot be written to)
processes do not see each other's claims and may compute the same row, with the same result.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}


class Claims:
    """The claims of this process.

    Parameters
    ----------
    path : str
        The lock file; made when it is first needed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._owners: dict[int, int] = {}
        self._table = threading.Lock()

    def take(self, places: Iterable[int]) -> list[bool]:
        """Claim what is free; return which places are now this thread's and were not before."""
        with self._table:
            self._open()
            return [self._take(place) for place in places]

    def release(self, places: Iterable[int]) -> None:
        """Give claims back."""
        with self._table:
            for place in places:
                del self._owners[place]
                self._unlock(place)

    def is_free(self, place: int) -> bool:
        """Whether nobody holds a claim."""
        with self._table:
            self._open()
            if not self._take(place):
                return False
            del self._owners[place]
            self._unlock(place)
            return True

    def held_by_this_thread(self) -> bool:
        """Whether the calling thread holds any claim."""
        with self._table:
            return threading.get_ident() in self._owners.values()

    def _take(self, place: int) -> bool:
        if place in self._owners or not self._lock(place):
            return False
        self._owners[place] = threading.get_ident()
        return True

    def _open(self) -> None:
        """Open the lock file, anew when somebody has deleted it."""
        if fcntl is None or self._is_current():
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

    def _lock(self, place: int) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            return error.errno not in _HELD_BY_ANOTHER  # else there are no locks here
        return True

    def _unlock(self, place: int) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)


class Claim:
    """Rows that the owner may compute now; a context manager that gives them back.

    Attributes
    ----------
    mine : ndarray of bool
        Which of the keys asked for are the owner's to compute. The others are stored already,
        or somebody else computes them.
    """

    def __init__(self, mine: np.ndarray, give_back: Callable[[], None]) -> None:
        self.mine = mine
        self._give_back = give_back
        self._is_held = True
        self._releasing = threading.Lock()

    def release(self) -> None:
        """Give back what was claimed; again is harmless, from any thread."""
        with self._releasing:
            was_held, self._is_held = self._is_held, False
        if was_held:
            self._give_back()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __del__(self) -> None:
        # Its owner was interrupted before it could enter: nobody shall wait for that.
        self.release()
