"""A digest that identifies the processor, because processors differ in how they round sums."""

from __future__ import annotations

import contextlib
import hashlib
import platform
from functools import lru_cache

_TELLING = ("model name", "flags", "Features", "CPU part")


@lru_cache(maxsize=1)
def processor() -> str:
    """Return a digest of the processor's model and of the instructions that it supports."""
    told = {platform.machine()}
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:  # Linux
        told.update(line for line in file if line.startswith(_TELLING))
    return hashlib.sha256("".join(sorted(told)).encode()).hexdigest()[:16]
