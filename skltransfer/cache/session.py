"""The location of ``cache="memory"``: a folder shared by the processes of a session.

A *session* is usually a main process and its workers. If each worker kept rows in its own memory,
each worker would compute all rows again, and its rows would be lost when it ends. So the rows are
in a folder. If there is a file system in memory (/dev/shm) with enough room, the folder is there;
if not, it is among the temporary files. The first process that needs the folder creates it.

Usually the folder is named after the main process, which removes it on exit. If the main process
was killed, the next process that creates such a folder removes the old one. Workers of Dask, Ray
and Spark, and processes with the environment variable SKLTRANSFER_SESSION, have no main process:
their folder is removed when the last of them ends; see `holding`.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile

from skltransfer._processes import Process, origin, this_process
from skltransfer.cache import holding
from skltransfer.cache.capacity import free_disk, memory_budget

SESSION_VARIABLE = "SKLTRANSFER_SESSION"
_MEMORY_FILE_SYSTEM = "/dev/shm"
_PREFIX = "skltransfer"
_NAMED = "named-"
_BUDGET_FILE = "budget"


def session() -> tuple[str, int]:
    """Return the folder and the budget in bytes that all processes of this session share.

    Raises
    ------
    OSError
        If no private folder can be created.
    """
    name = _own_name()
    bases = _bases()
    for base in bases:
        if _is_private(os.path.join(base, name)):
            return _joined(os.path.join(base, name))
    for base in bases:
        _sweep(base)
    budget = memory_budget()
    roomy = [base for base in bases if free_disk(base) >= budget]
    for base in roomy or bases:
        folder = os.path.join(base, name)
        with contextlib.suppress(OSError):
            os.mkdir(folder, 0o700)
            if _ends_with_the_last():
                holding.begin(folder)
        if _is_private(folder):
            return _joined(folder)
    raise OSError(f"no private folder {name} could be made in {' or '.join(bases)}")


def _bases() -> list[str]:
    bases = [_MEMORY_FILE_SYSTEM, tempfile.gettempdir()]
    return [base for base in bases if os.access(base, os.R_OK | os.W_OK | os.X_OK)]


def _ends_with_the_last() -> bool:
    """Whether the session has no main process that would remove its folder."""
    return SESSION_VARIABLE in os.environ or origin().by_engine


def _own_name() -> str:
    """Return the name of the folder of this process's session."""
    chosen = os.environ.get(SESSION_VARIABLE)
    if chosen is None:
        return _name(origin().main)
    digest = hashlib.blake2b(os.fsencode(chosen), digest_size=16).hexdigest()
    return f"{_name_prefix()}{_NAMED}{digest}"


def _name(process: Process) -> str:
    return f"{_name_prefix()}{process.pid}-{process.started}"


def _name_prefix() -> str:
    """Return how the folder names of all sessions begin whose processes this process can see."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{_PREFIX}-{user}-{namespace}-"


def _is_private(folder: str) -> bool:
    """Return whether the folder belongs to this user, and nobody else can write to it."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    # Windows has no file modes, and its temporary folder belongs to the user.
    return not hasattr(os, "getuid") or (
        status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _joined(folder: str) -> tuple[str, int]:
    """Hold the folder (see `holding`); return it with the budget that its first process set."""
    holding.hold(folder)
    return _with_budget(folder)


def _with_budget(folder: str) -> tuple[str, int]:
    """Return the folder with its budget, which the first process computes and writes to a file.

    Later processes read this file instead of computing a budget, because the free space shrinks as
    rows are stored.
    """
    path = os.path.join(folder, _BUDGET_FILE)
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        return folder, int(file.read())
    budget = min(memory_budget(), free_disk(folder))
    with contextlib.suppress(OSError), open(path, "w") as file:
        file.write(str(budget))
    return folder, budget


def _sweep(base: str) -> None:
    """Remove the folders of sessions that have ended."""
    prefix = _name_prefix()
    for name in os.listdir(base):
        if name.startswith(prefix) and _has_ended(os.path.join(base, name), name[len(prefix) :]):
            shutil.rmtree(os.path.join(base, name), ignore_errors=True)


def _has_ended(folder: str, name: str) -> bool:
    """Whether a session has ended; False for a folder that is not a session's.

    A session ends with its main process; without a main process, with the last of its processes.
    """
    held = holding.is_held(folder)
    if held is not None:
        return not held
    pid, _, started = name.partition("-")
    return pid.isdecimal() and not Process(int(pid), started).is_running


@atexit.register
def _remove_own() -> None:
    """Remove the folder of this process's session, even if only its workers have used it."""
    name = _name(this_process())
    for base in _bases():
        shutil.rmtree(os.path.join(base, name), ignore_errors=True)
