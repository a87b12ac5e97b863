"""The location of ``cache="memory"``: a folder shared by a main process and its workers.

If each worker kept arrays in its own memory, each would compute them again, and lose them when it
is retired. So the rows are in a folder named after the main process: in a file system in memory
(/dev/shm) if there is one with enough room, otherwise among temporary files. The first process that
needs the folder creates it, and the main process removes it on exit. If a process was killed, the
next one to look removes its folder.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import shutil
import stat
import tempfile
from functools import lru_cache
from typing import NamedTuple

from skltransfer.cache.capacity import free_disk, memory_budget

_MEMORY_FILE_SYSTEM = "/dev/shm"
_PREFIX = "skltransfer"
_WORKER_MARKS = (b"multiprocessing.spawn", b"multiprocessing.forkserver", b"popen_loky")
_BUDGET_FILE = "budget"


class Process(NamedTuple):
    """A process; its start time distinguishes it from later ones with the same number."""

    pid: int
    started: str


def session() -> tuple[str, int]:
    """Return the folder and the budget in bytes that this process shares with its relatives.

    Raises
    ------
    OSError
        No private folder can be created.
    """
    name = _name(main_process())
    bases = _bases()
    for base in bases:
        if _is_private(os.path.join(base, name)):
            return _with_budget(os.path.join(base, name))
    for base in bases:
        _sweep(base)
    budget = memory_budget()
    roomy = [base for base in bases if free_disk(base) >= budget]
    for base in roomy or bases:
        folder = os.path.join(base, name)
        with contextlib.suppress(OSError):
            os.mkdir(folder, 0o700)
        if _is_private(folder):
            return _with_budget(folder)
    raise OSError(f"no private folder {name} could be made in {' or '.join(bases)}")


def main_process() -> Process:
    """Find the process whose session this one shares: itself, or the one that started them all."""
    return _main_process_of(os.getpid())


@lru_cache(maxsize=1)
def _main_process_of(pid: int) -> Process:
    parent = multiprocessing.parent_process()
    if parent is not None:
        pid = parent.pid or pid
        while _is_worker(pid) and _parent(pid):
            pid = _parent(pid)
    return Process(pid, _started(pid))


def _bases() -> list[str]:
    bases = [_MEMORY_FILE_SYSTEM, tempfile.gettempdir()]
    return [base for base in bases if os.access(base, os.R_OK | os.W_OK | os.X_OK)]


def _name(process: Process) -> str:
    return f"{_name_prefix()}{process.pid}-{process.started}"


def _name_prefix() -> str:
    """Return the common prefix of sessions whose main processes this one can see."""
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
    # Windows has no such modes, and its temporary folder belongs to the user.
    return not hasattr(os, "getuid") or (
        status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _with_budget(folder: str) -> tuple[str, int]:
    """Read the budget of the first process, or set it: free space shrinks as rows are stored."""
    path = os.path.join(folder, _BUDGET_FILE)
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        return folder, int(file.read())
    budget = min(memory_budget(), free_disk(folder))
    with contextlib.suppress(OSError), open(path, "w") as file:
        file.write(str(budget))
    return folder, budget


def _sweep(base: str) -> None:
    """Remove the sessions whose main processes have ended."""
    prefix = _name_prefix()
    for name in os.listdir(base):
        pid, _, started = name.removeprefix(prefix).partition("-")
        if not (name.startswith(prefix) and pid.isdecimal()):
            continue
        if not _is_running(Process(int(pid), started)):
            shutil.rmtree(os.path.join(base, name), ignore_errors=True)


@atexit.register
def _remove_own() -> None:
    """Remove the session of this process, even if only its workers have used it."""
    name = _name(Process(os.getpid(), _started(os.getpid())))
    for base in _bases():
        shutil.rmtree(os.path.join(base, name), ignore_errors=True)


def _is_running(process: Process) -> bool:
    if os.path.isdir("/proc/self"):
        return _started(process.pid) == process.started
    if not hasattr(os, "getuid"):
        return True  # Windows: os.kill would end it
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_worker(pid: int) -> bool:
    """Return whether multiprocessing or joblib started a process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
    except OSError:
        return False
    return any(mark in command for mark in _WORKER_MARKS)


def _started(pid: int) -> str:
    """Return when a process started, in ticks of the system's clock; "0" if unknown."""
    fields = _status(pid)
    return fields[19] if fields else "0"


def _parent(pid: int) -> int:
    fields = _status(pid)
    return int(fields[1]) if fields else 0


def _status(pid: int) -> list[str]:
    """Read the fields of /proc/<pid>/stat that follow the command, which may contain anything."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
