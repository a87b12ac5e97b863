"""The rule by which a file counts as unchanged since it was read."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, TypeAlias

Identity: TypeAlias = tuple[str, int, int, int, int, int]

_SETTLED_NS = 2_000_000_000
"""A file that was changed less than this before it was read may change again without a new time
stamp, because the coarsest file systems count in steps of two seconds."""

MOST_FILES = 200_000


def identity_of(path: str | os.PathLike[str], status: os.stat_result) -> Identity:
    """Return what identifies an unchanged file: path, device, inode, size and both times.

    The time of the last status change is included, because a copy may be given the modification
    time of another file.
    """
    # Inodes are all 0 on some file systems, so the path counts too.
    name = os.fsdecode(path)
    name = name if name.startswith(os.sep) else os.path.abspath(name)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (name, status.st_dev, status.st_ino, status.st_size, *times)


class FileDigests:
    """Digests of files, remembered while size, times and inode stay the same.

    As in git's index, an entry is made only if the file was last modified well before it was read.
    Otherwise a later change within the resolution of time stamps would be missed.

    Parameters
    ----------
    new_hash : callable, default=hashlib.sha256
        Returns the initial hash.
    capacity : int, default=200000
        Maximum number of files to remember; the oldest entries are dropped.
    """

    def __init__(
        self, new_hash: Callable[[], hashlib._Hash] = hashlib.sha256, capacity: int = MOST_FILES
    ) -> None:
        self._new_hash = new_hash
        self._capacity = capacity
        self._known: dict[Identity, bytes] = {}
        self._lock = threading.Lock()

    def digest(
        self,
        path: str | os.PathLike[str],
        opened: Callable[[], AbstractContextManager[BinaryIO]],
        identity: Identity | None,
    ) -> bytes:
        """Return the digest of a file's bytes, reading them only where needed.

        Parameters
        ----------
        path : str or path-like
            The file; ``~`` stands for the home directory.
        opened : callable
            Opens the file.
        identity : tuple or None
            The current result of `identity_of`; None if it cannot be determined.
        """
        known = None if identity is None else self._known.get(identity)
        if known is not None:
            return known
        with opened() as file:
            read_at = time.time_ns()
            status = os.fstat(file.fileno())
            # file_digest takes every file opened in binary mode; the type BinaryIO does not say so.
            digest = hashlib.file_digest(file, self._new_hash).digest()  # type: ignore[arg-type]
        if status.st_mtime_ns + _SETTLED_NS < read_at:
            self._remember(identity_of(os.path.expanduser(path), status), digest)
        return digest

    def _remember(self, identity: Identity, digest: bytes) -> None:
        with self._lock:
            while len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            self._known[identity] = digest
