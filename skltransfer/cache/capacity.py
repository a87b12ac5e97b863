"""How much room a store may take: shares of the free memory and of the free disk space."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

_MEMORY_SHARE = 4
_DISK_SHARE = 2
_MEMORY_WHERE_UNKNOWN = 4 << 30


def memory_budget() -> int:
    """Return a quarter of the free memory or of the container's limit, whichever is less."""
    return min([_free_memory(), *_container_limits()]) // _MEMORY_SHARE


def disk_budget(folder: str, n_held: int) -> int:
    """Return half of the disk space that is free or already taken by the store.

    Parameters
    ----------
    folder : str
        Folder of the store, which may not exist yet.
    n_held : int
        Bytes that the store takes now.
    """
    return (free_disk(folder) + n_held) // _DISK_SHARE


def free_disk(folder: str) -> int:
    """Return the free bytes on the disk of a folder, which may not exist yet; 0 if unknown."""
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _free_memory() -> int:
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # macOS does not report free memory: take half of the total.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return _MEMORY_WHERE_UNKNOWN


def _container_limits(
    membership: str = "/proc/self/cgroup", mounted: str = "/sys/fs/cgroup"
) -> Iterator[int]:
    """Yield the memory limits of all Linux control groups of this process, of versions 1 and 2."""
    with contextlib.suppress(OSError), open(membership) as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == "":
                yield from _limits_upward(mounted, path, "memory.max")
            elif "memory" in controllers.split(","):
                yield from _limits_upward(f"{mounted}/memory", path, "memory.limit_in_bytes")


def _limits_upward(mounted: str, path: str, name: str) -> Iterator[int]:
    """Yield the limits of a control group and of its ancestors."""
    while True:
        # In a container, the path may exist only on the host; then only the root can be read here.
        with contextlib.suppress(OSError, ValueError), open(f"{mounted}{path}/{name}") as file:
            yield int(file.read())  # "max" is not a number and not a limit
        if path in ("", "/"):
            return
        path = os.path.dirname(path)
