"""Paths of pictures: which are refused before anything is read, and how files are opened."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from skltransfer.inputs.errors import ImageReadError, Unreadable, read_error
from skltransfer.inputs.reading_errors import naming_the_row

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_NO_VALUE = "there is no value. Fill it in, or leave the row out."


@contextmanager
def open_path(path: str | os.PathLike, index: int) -> Iterator[BinaryIO]:
    """Open a file for reading, and name the row in every error of its reading.

    Parameters
    ----------
    path : str or path-like
        ``~`` stands for the home directory. URLs are refused.
    index : int
        The row, for messages.

    Yields
    ------
    file object
        Opened in binary mode.

    Raises
    ------
    ImageReadError
        When there is no such file, or it is not a regular file, or it cannot be read.
    """
    with naming_the_row(path, index), open(existing_file(path)[0], "rb") as file:
        yield file


def missing_value(index: int) -> ImageReadError:
    """Return the error for a row that holds nothing."""
    return read_error(index, None, _NO_VALUE)


def local_path(path: str | os.PathLike) -> str:
    """Return the name of a local file, with ``~`` replaced; refuse URLs and nothing."""
    name = path if type(path) is str else os.fsdecode(path)
    if name.startswith("~"):
        name = os.path.expanduser(name)
    if "://" in name and _URL.match(name):
        raise Unreadable("it is a URL, and nothing is downloaded. Download it first.")
    if not name or "\0" in name:
        fault = "holds a null character" if name else "is empty"
        raise Unreadable(f"the path {fault}. Give the path of an image file.")
    return name


def existing_file(path: str | os.PathLike | None) -> tuple[str, os.stat_result]:
    """Return the name and the status of a regular file that is there."""
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
