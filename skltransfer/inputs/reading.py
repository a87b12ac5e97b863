"""Opening files: refused paths, files seen before, and errors that name the row."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, TypeAlias

from skltransfer._types import Path, is_url
from skltransfer.inputs import file_identity as files
from skltransfer.inputs.digests import encoded_hash
from skltransfer.inputs.errors import (
    ImageReadError,
    ReadError,
    Unreadable,
    read_error,
    with_article,
)
from skltransfer.inputs.file_identity import MOST_FILES
from skltransfer.inputs.silence import without_warnings
from skltransfer.inputs.wrapped_files import unwrapping_advice

FileIdentity: TypeAlias = files.Identity
"""Path, device, inode, size and times, which identify an unchanged file."""

_NO_VALUE = "there is no value. Fill it in, or leave the row out."


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
def open_path(
    path: Path, index: int, kind: type[ReadError] = ImageReadError
) -> Iterator[BufferedReader]:
    """Open a file for reading; errors while reading it name the row.

    Parameters
    ----------
    path : str or path-like
        ``~`` is the home directory. URLs are refused.
    index : int
        The row, for messages.
    kind : type, default=ImageReadError
        The class of errors.

    Yields
    ------
    file object
        Opened in binary mode.

    Raises
    ------
    ReadError
        If the file does not exist, is not a regular file, or cannot be read.
    """
    with naming_the_row(path, index, kind), open(existing_file(path, kind)[0], "rb") as file:
        yield file


def missing_value(index: int, kind: type[ReadError] = ImageReadError) -> ReadError:
    """Return the error for a row that holds nothing."""
    return read_error(index, None, _NO_VALUE, kind)


def local_path(path: Path, kind: type[ReadError] = ImageReadError) -> str:
    """Return the name of a local file, with ``~`` expanded; refuse URLs and empty paths."""
    name = path if type(path) is str else os.fsdecode(path)
    if name.startswith("~"):
        name = os.path.expanduser(name)
    if is_url(path):
        raise Unreadable("it is a URL, and nothing is downloaded. Download it first.")
    if not name or "\0" in name:
        fault = "holds a null character" if name else "is empty"
        raise Unreadable(f"the path {fault}. Give the path of {with_article(kind.noun)} file.")
    return name


def existing_file(
    path: Path | None, kind: type[ReadError] = ImageReadError
) -> tuple[str, os.stat_result]:
    """Return the name and status of an existing regular file."""
    if path is None:
        raise Unreadable(_NO_VALUE)
    name = local_path(path, kind)
    try:
        status = os.stat(name)
    except OSError:
        if (advice := unwrapping_advice(name)) is not None:
            raise Unreadable(advice) from None
        raise
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable(f"it is a directory. List its files, or use {kind.noun}s_from_folder.")
    # Opening a pipe would wait for its writer.
    if not stat.S_ISREG(status.st_mode):
        what = with_article(kind.noun)
        raise Unreadable(f"it is not a regular file. Give the path of {what} file.")
    return name, status


class FileDigests:
    """Digests of the files of rows, with errors that name the row; see `file_identity.FileDigests`.

    Parameters
    ----------
    capacity : int, default=200000
        Maximum number of files to remember; the oldest entries are dropped.
    error : type, default=ImageReadError
        The class of errors.
    """

    def __init__(self, capacity: int = MOST_FILES, error: type[ReadError] = ImageReadError) -> None:
        self._digests = files.FileDigests(encoded_hash, capacity)
        self._error = error

    def digest(self, path: Path, row: int, identity: FileIdentity | None = None) -> bytes:
        """Return the digest of a file's bytes, reading them only if needed.

        The file's status is checked unless its `identity` was just determined.
        """
        identity = identity or _identity(path)
        return self._digests.digest(path, lambda: open_path(path, row, self._error), identity)


def file_identity(path: Path | None) -> FileIdentity:
    """Return the current identity of a file, or raise an error that says why it cannot be read."""
    return files.identity_of(*existing_file(path))


def _identity(path: Path) -> FileIdentity | None:
    """Return the identity, or None if it cannot be determined; reading then raises the error."""
    try:
        return file_identity(path)
    except Exception:
        return None
