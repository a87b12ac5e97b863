"""Which process started this one: the user's own, or an engine that runs workers for it."""

from __future__ import annotations

import multiprocessing
import os
from functools import lru_cache
from typing import NamedTuple

_POOL_MARKS = (b"multiprocessing.spawn", b"multiprocessing.forkserver", b"popen_loky")
_ENGINE_MARKS = (b"pyspark.daemon", b"pyspark.worker", b"ray::", b"ray/_private/workers")
"""What the command line of a worker contains; Ray changes that of its workers."""

_DASK = "__DASK_PARENT_PID"
"""Variable in Dask's workers, which multiprocessing starts."""


class Process(NamedTuple):
    """A process; its start time distinguishes it from later ones with the same number."""

    pid: int
    started: str

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
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
        The process that started all workers, and those that workers started: itself, if it is none.
        For workers of Ray and Spark it is a process of the engine.
    by_pool : bool
        Whether multiprocessing or joblib started it.
    by_engine : bool
        Whether it is a worker of Dask, Ray or Spark, or was started by one.
    """

    main: Process
    by_pool: bool
    by_engine: bool

    @property
    def is_worker(self) -> bool:
        """Whether it computes for another process, with a share of the cores."""
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
    """Return what marks a process as a worker; None if it is none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
    except OSError:
        return None
    return next((mark for mark in _POOL_MARKS + _ENGINE_MARKS if mark in command), None)


def started(pid: int) -> str:
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
