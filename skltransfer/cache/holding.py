"""Folders that end with the last process that holds them, however it ends.

Each holder keeps a named pipe open. A small process of the system reads the pipe: it sees its end
when the kernel has closed it for the last holder, and then removes the folder. If that process has
been killed, the pipe still says whether anybody holds the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess

_PIPE = "holders"
_WAIT_AND_REMOVE = '{ cat "$1"; rm -rf "$2"; } < /dev/null > /dev/null 2>&1 &'

_held: dict[tuple[int, int], int] = {}
"""Open pipes of this process, by device and inode. They are never closed by hand."""


def begin(folder: str) -> None:
    """Make a folder one that ends with its last holder, the first of which is this process.

    Parameters
    ----------
    folder : str
        A new folder.

    Raises
    ------
    OSError
        There are no named pipes here, or no process can be started; the folder then stays until
        somebody else removes it.
    """
    if not hasattr(os, "mkfifo"):
        return
    pipe = os.path.join(folder, _PIPE)
    os.mkfifo(pipe, 0o600)
    hold(folder)
    command = ["sh", "-c", _WAIT_AND_REMOVE, "sh", pipe, folder]
    subprocess.run(command, check=False, close_fds=True, start_new_session=True, cwd="/")


def hold(folder: str) -> None:
    """Hold a folder until this process ends, if it is one that ends with its last holder."""
    pipe = os.path.join(folder, _PIPE)
    with contextlib.suppress(OSError):
        status = os.stat(pipe)
        key = status.st_dev, status.st_ino
        if stat.S_ISFIFO(status.st_mode) and key not in _held:
            _held[key] = os.open(pipe, os.O_RDWR)  # for writing alone, it would wait for a reader


def is_held(folder: str) -> bool | None:
    """Return whether a process holds a folder; None if it does not end with its last holder."""
    pipe = os.path.join(folder, _PIPE)
    try:
        if not stat.S_ISFIFO(os.stat(pipe).st_mode):
            return None
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return False if error.errno == errno.ENXIO else None
    return True
