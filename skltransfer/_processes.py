"""Whether this process is the user's own or a worker, and which process started the workers.

In this module, an *engine* is Dask, Ray or Spark, and a *pool* is one of multiprocessing or joblib.
"""

from __future__ import annotations

import multiprocessing
import os
from functools import lru_cache
from typing import NamedTuple

_POOL_MARKS = (b"multiprocessing.spawn", b"multiprocessing.forkserver", b"popen_loky")
_ENGINE_MARKS = (b"pyspark.daemon", b"pyspark.worker", b"ray::", b"ray/_private/workers")
"""Parts of command lines that identify workers of pools, and workers of Spark and Ray. Ray itself
sets the command line of its workers."""

_DASK = "__DASK_PARENT_PID"
"""Environment variable that identifies Dask's workers, because multiprocessing starts them."""


class Process(NamedTuple):
    """A process; its start time distinguishes it from later processes with the same PID."""

    pid: int
    started: str

    @property
    def is_running(self) -> bool:
        """Whether the process is still running."""
        if os.path.isdir("/proc/self"):
            return started(self.pid) == self.started
        if not hasattr(os, "getuid"):
            return True  # Windows: os.kill would end it
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class Origin(NamedTuple):
    """Where a process comes from.

    Attributes
    ----------
    main : Process
        The user's process that started this worker, directly or indirectly. For a worker of Ray or
        Spark, a process of the engine. For a process that is not a worker, this process itself.
    by_pool : bool
        Whether multiprocessing or joblib started it.
    by_engine : bool
        Whether it is a worker of Dask, Ray or Spark, or was started by such a worker.
    """

    main: Process
    by_pool: bool
    by_engine: bool

    @property
    def is_worker(self) -> bool:
        """Whether it is a worker, which has only a share of the cores."""
        return self.by_pool or self.by_engine


def origin() -> Origin:
    """Return where this process comes from."""
    return _origin_of(os.getpid())


def this_process() -> Process:
    """Return this process."""
    return Process(os.getpid(), started(os.getpid()))


@lru_cache(maxsize=1)
def _origin_of(pid: int) -> Origin:
    parent = multiprocessing.parent_process()
    by_engine = parent is not None and _DASK in os.environ
    if parent is not None:
        pid = parent.pid or pid
    while (mark := _worker_mark(pid)) and _parent(pid):
        by_engine = by_engine or mark in _ENGINE_MARKS
        pid = _parent(pid)
    return Origin(Process(pid, started(pid)), parent is not None, by_engine)


def _worker_mark(pid: int) -> bytes | None:
    """Return the mark of a worker in its command line; None for other processes."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
    except OSError:
        return None
    return next((mark for mark in _POOL_MARKS + _ENGINE_MARKS if mark in command), None)


def started(pid: int) -> str:
    """Return the start time of a process, in clock ticks; "0" if unknown."""
    fields = _status(pid)
    return fields[19] if fields else "0"


def _parent(pid: int) -> int:
    fields = _status(pid)
    return int(fields[1]) if fields else 0


def _status(pid: int) -> list[str]:
    """Read the fields of /proc/<pid>/stat after the command, which may contain any characters."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
