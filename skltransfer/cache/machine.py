"""A name that distinguishes this machine from others that share a directory."""

from __future__ import annotations

import hashlib
import platform
from functools import lru_cache


@lru_cache(maxsize=1)
def machine() -> str:
    """Return 8 hexadecimal digits for the machine; containers on one kernel get the same digits."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            name = file.read()
    except OSError:
        name = platform.node()
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
