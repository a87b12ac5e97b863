"""Folders that are removed when the last process that holds them ends, however it ends.

A process holds a folder by keeping a named pipe in it open. A shell process reads from this pipe.
When a holder ends, the kernel closes the pipe for it. Once the last holder has ended, the reader
therefore reaches the end of the pipe, and removes the folder. If the reader has been killed, the
pipe still shows whether any process holds the folder.
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
"""Open pipes of this process, by device and inode; they are closed only when the process ends."""


def begin(folder: str) -> None:
    """Let a folder be removed when its last holder ends; this process is the first holder.

    Parameters
    ----------
    folder : str
        A new folder.

    Raises
    ------
    OSError
        If the named pipe cannot be created, or the shell process cannot be started. The folder then
        stays until another process removes it.
    """
    if not hasattr(os, "mkfifo"):
        return
    pipe = os.path.join(folder, _PIPE)
    os.mkfifo(pipe, 0o600)
    hold(folder)
    command = ["sh", "-c", _WAIT_AND_REMOVE, "sh", pipe, folder]
    subprocess.run(command, check=False, close_fds=True, start_new_session=True, cwd="/")


def hold(folder: str) -> None:
    """Hold a folder until this process ends; no effect unless `begin` was called for it."""
    pipe = os.path.join(folder, _PIPE)
    with contextlib.suppress(OSError):
        status = os.stat(pipe)
        key = status.st_dev, status.st_ino
        if stat.S_ISFIFO(status.st_mode) and key not in _held:
            _held[key] = os.open(pipe, os.O_RDWR)  # O_WRONLY would wait for a reader


def is_held(folder: str) -> bool | None:
    """Return whether a process holds a folder; None if `begin` was not called for it."""
    pipe = os.path.join(folder, _PIPE)
    try:
        if not stat.S_ISFIFO(os.stat(pipe).st_mode):
            return None
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return False if error.errno == errno.ENXIO else None
    return True
