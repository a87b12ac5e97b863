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
from dataclasses import dataclass, field
from functools import partial

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}


@dataclass(eq=False)
class Holder:
    """Who holds claims: a thread, for one of its purposes.

    Attributes
    ----------
    places : list of int
        All that it holds, and perhaps more: an interrupt may come at any time.
    thread : int
        Whose they are.
    """

    places: list[int] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)


class Claims:
    """The claims of this process.

    Whatever is interrupted, a holder can be asked to release all that it may have got.

    Parameters
    ----------
    path : str
        The lock file; made when it is first needed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._holders: dict[int, Holder] = {}
        # A lost claim is released by the garbage collector, which may run while this is held.
        self._table = threading.RLock()

    def take(self, holder: Holder, places: Iterable[int]) -> list[bool]:
        """Claim what is free; return which places are now the holder's and were not before."""
        with self._table:
            self._open()
            return [self._take(holder, place) for place in places]

    def release(self, holder: Holder, places: Iterable[int] | None = None) -> None:
        """Give claims back, by default all; those that are not the holder's are left alone."""
        with self._table:
            for place in list(holder.places if places is None else places):
                if self._holders.get(place) is holder:
                    self._unlock(place)
                    del self._holders[place]

    def is_free(self, place: int) -> bool:
        """Whether nobody holds a claim."""
        holder = Holder()
        with self._table, Claim(np.ones(1, bool), partial(self.release, holder)):
            return self.take(holder, [place])[0]

    def held_by_this_thread(self) -> bool:
        """Whether the calling thread holds any claim."""
        with self._table:
            return threading.get_ident() in {holder.thread for holder in self._holders.values()}

    def _take(self, holder: Holder, place: int) -> bool:
        if place in self._holders:
            return False
        holder.places.append(place)  # in this order, so that nothing is held that nobody knows of
        self._holders[place] = holder
        if self._lock(place):
            return True
        del self._holders[place]
        return False

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

    _give_back: Callable[[], None] = staticmethod(lambda: None)  # until it is made

    def __init__(self, mine: np.ndarray, give_back: Callable[[], None]) -> None:
        self.mine = mine
        self._give_back = give_back

    def release(self) -> None:
        """Give back what was claimed; again is harmless, from any thread."""
        self._give_back()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __del__(self) -> None:
        # Its owner was interrupted before it could enter: nobody shall wait for that.
        self.release()
