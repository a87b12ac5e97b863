"""What the tests of the activation cache have in common."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from skltransfer.cache import ActivationCache

TESTS = os.path.dirname(__file__)
"""For the path of processes that are started."""

GROUP, OTHER_GROUP = b"group", b"other group"
ROW_BYTES = 4000
COST = ROW_BYTES + 64  # with its index entry


def keys_of(n, prefix="row"):
    return [hashlib.sha256(f"{prefix} {i}".encode()).digest() for i in range(n)]


def rows_of(keys, shape=(10, 100), dtype=np.float32):
    """Rows that follow from their keys, of random bits: NaN and infinities among them."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    bits = [hashlib.shake_128(key).digest(n_bytes) for key in keys]
    return np.frombuffer(b"".join(bits), dtype).reshape(len(keys), *shape)


def gathered(cache, keys, group=GROUP, like=None):
    """Mask of rows found, after a check that these are right to the last bit."""
    expected = rows_of(keys) if like is None else like
    out = np.full_like(expected, 7)
    found = cache.gather(group, keys, out)
    assert out[found].tobytes() == expected[found].tobytes()
    return found


def another_process(cache, budget=None):
    """The same store as another process would see it."""
    info = cache.info()
    return ActivationCache(info.location, budget or info.budget)
