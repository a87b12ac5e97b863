"""Opening files: refused paths, files seen before, and errors that name the row."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, TypeAlias

from skltransfer._types import Path
from skltransfer.inputs.digests import encoded_hash
from skltransfer.inputs.errors import ImageReadError, ReadError, Unreadable, read_error
from skltransfer.inputs.silence import without_warnings

FileIdentity: TypeAlias = tuple[str, int, int, int, int, int]
"""Path, device, inode, size and times, which identify an unchanged file."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_NO_VALUE = "there is no value. Fill it in, or leave the row out."

_SETTLED_NS = 2_000_000_000
"""Files changed this shortly before they were read may change again with the same time stamp:
the coarsest file systems count in steps of two seconds.
"""

_MOST_FILES = 200_000


@contextmanager
def naming_the_row(
    source: Any, index: int, kind: type[ReadError] = ImageReadError
) -> Iterator[None]:
    """Turn any failure to read a source into an error that names the row.

    Warnings of libraries are suppressed, so that warning filters have no influence.
    """
    try:
        with without_warnings():
            yield
    except MemoryError:
        raise
    except Exception as error:
        raise read_error(index, source, reason(error), kind) from error


def reason(error: Exception) -> str:
    """Explain an exception of a decoder or the file system, and say what to do."""
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file. Check the path and the working directory."
    if isinstance(error, PermissionError):
        return "permission denied. Make the file readable."
    if isinstance(error, OSError) and error.strerror:  # Pillow's own errors have no such text
        return f"the system cannot open it ({error.strerror}). Check the path."
    detail = str(error) or type(error).__name__
    return f"it is damaged or truncated ({detail}). Replace the file, or leave the row out."


@contextmanager
def open_path(path: Path, index: int) -> Iterator[BufferedReader]:
    """Open a file for reading; errors while reading it name the row.

    Parameters
    ----------
    path : str or path-like
        ``~`` is the home directory. URLs are refused.
    index : int
        The row, for messages.

    Yields
    ------
    file object
        Opened in binary mode.

    Raises
    ------
    ImageReadError
        If the file does not exist, is not a regular file, or cannot be read.
    """
    with naming_the_row(path, index), open(existing_file(path)[0], "rb") as file:
        yield file


def missing_value(index: int, kind: type[ReadError] = ImageReadError) -> ReadError:
    """Return the error for a row that holds nothing."""
    return read_error(index, None, _NO_VALUE, kind)


def local_path(path: Path) -> str:
    """Return the name of a local file, with ``~`` expanded; refuse URLs and empty paths."""
    name = path if type(path) is str else os.fsdecode(path)
    if name.startswith("~"):
        name = os.path.expanduser(name)
    if "://" in name and _URL.match(name):
        raise Unreadable("it is a URL, and nothing is downloaded. Download it first.")
    if not name or "\0" in name:
        fault = "holds a null character" if name else "is empty"
        raise Unreadable(f"the path {fault}. Give the path of an image file.")
    return name


def existing_file(path: Path | None) -> tuple[str, os.stat_result]:
    """Return the name and status of an existing regular file."""
    if path is None:
        raise Unreadable(_NO_VALUE)
    name = local_path(path)
    status = os.stat(name)
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable("it is a directory. List its files, or use images_from_folder.")
    # Opening a pipe would wait for its writer.
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("it is not a regular file. Give the path of an image file.")
    return name, status


class FileDigests:
    """Digests of files, remembered while size, times and inode stay the same.

    As in git's index, an entry is trusted only if the file was last modified well before the entry
    was made. Otherwise a later change within the resolution of time stamps would be missed.

    Parameters
    ----------
    capacity : int, default=200000
        Maximum number of files to remember; the oldest entries are dropped.
    """

    def __init__(self, capacity: int = _MOST_FILES) -> None:
        self._capacity = capacity
        self._known: dict[FileIdentity, bytes] = {}
        self._lock = threading.Lock()

    def digest(self, path: Path, row: int, identity: FileIdentity | None = None) -> bytes:
        """Return the digest of a file's bytes, reading them only if needed.

        The file's status is checked unless its `identity` was just determined.
        """
        identity = identity or _identity(path)
        known = None if identity is None else self._known.get(identity)
        if known is not None:
            return known
        with open_path(path, row) as file:
            read_at = time.time_ns()
            status = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, encoded_hash).digest()
        if status.st_mtime_ns + _SETTLED_NS < read_at:
            self._remember(_key(local_path(path), status), digest)
        return digest

    def _remember(self, key: FileIdentity, digest: bytes) -> None:
        with self._lock:
            while len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            self._known[key] = digest


def file_identity(path: Path | None) -> FileIdentity:
    """Return the identity of a file; errors say why it cannot be read."""
    return _key(*existing_file(path))


def _identity(path: Path) -> FileIdentity | None:
    """Return the identity, or None if it cannot be determined: reading will raise the error."""
    try:
        return file_identity(path)
    except Exception:
        return None


def _key(name: str, status: os.stat_result) -> FileIdentity:
    """Combine everything that identifies an unchanged file."""
    # All inodes are 0 on some file systems, so the path is included.
    name = name if name.startswith(os.sep) else os.path.abspath(name)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (name, status.st_dev, status.st_ino, status.st_size, *times)
