"""One rule for when a file is still the one that was read."""

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
"""Files changed this short before they were read may change again under the same time stamp:
the coarsest file systems count in steps of two seconds."""

MOST_FILES = 200_000


def identity_of(path: str | os.PathLike[str], status: os.stat_result) -> Identity:
    """Join all by which an unchanged file is known: path, device, inode, size and both times.

    The time of change counts too, since a copy may be given the time of modification of another.
    """
    # Inodes are all 0 on some file systems, so the path counts too.
    name = os.fsdecode(path)
    name = name if name.startswith(os.sep) else os.path.abspath(name)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (name, status.st_dev, status.st_ino, status.st_size, *times)


class FileDigests:
    """Digests of files, remembered while size, times and inode stay the same.

    As in git's index, an entry is trusted only when the file was last modified well before the
    entry was made: a later change would else be missed within the resolution of time stamps.

    Parameters
    ----------
    new_hash : callable, default=hashlib.sha256
        Makes the hash to begin with.
    capacity : int, default=200000
        Most files remembered; the oldest entries make room.
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
            Of the file; ``~`` stands for the home directory.
        opened : callable
            Opens the file.
        identity : tuple or None
            What `identity_of` says of it now; None: it cannot be looked at.
        """
        known = None if identity is None else self._known.get(identity)
        if known is not None:
            return known
        with opened() as file:
            read_at = time.time_ns()
            status = os.fstat(file.fileno())
            # A file opened in binary mode has what file_digest reads by; BinaryIO does not say so.
            digest = hashlib.file_digest(file, self._new_hash).digest()  # type: ignore[arg-type]
        if status.st_mtime_ns + _SETTLED_NS < read_at:
            self._remember(identity_of(os.path.expanduser(path), status), digest)
        return digest

    def _remember(self, identity: Identity, digest: bytes) -> None:
        with self._lock:
            while len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            self._known[identity] = digest
