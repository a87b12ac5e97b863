"""What the tests of the activation cache have in common."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from skltransfer.cache import ActivationCache

TESTS = os.path.dirname(__file__)
"""For the path of processes that are started."""

NAMESPACE, OTHER_NAMESPACE = b"namespace", b"other namespace"
ROW_BYTES = 4000
COST = ROW_BYTES + 64  # with its index entry


def keys_of(n, prefix="row"):
    return [hashlib.sha256(f"{prefix} {i}".encode()).digest() for i in range(n)]


def rows_of(keys, shape=(10, 100), dtype=np.float32):
    """Rows that follow from their keys, of random bits: NaN and infinities among them."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    bits = [hashlib.shake_128(key).digest(n_bytes) for key in keys]
    return np.frombuffer(b"".join(bits), dtype).reshape(len(keys), *shape)


def gathered(cache, keys, namespace=NAMESPACE, like=None):
    """Mask of rows found, after a check that these are right to the last bit."""
    expected = rows_of(keys) if like is None else like
    out = np.full_like(expected, 7)
    found = cache.gather(namespace, keys, out)
    assert out[found].tobytes() == expected[found].tobytes()
    return found


def ragged(rows):
    """An array of objects, one for each row."""
    out = np.empty(len(rows), object)
    for position, row in enumerate(rows):
        out[position] = row
    return out


def ragged_rows_of(keys, width=5, dtype=np.float32):
    """Ragged rows that follow from their keys, of 0 to 40 steps and random bits."""
    return ragged([rows_of([key], (key[0] % 41, width), dtype)[0] for key in keys])


def gathered_ragged(cache, keys, namespace=NAMESPACE, like=None):
    """Mask of ragged rows found, after a check that these are right to the last bit."""
    expected = ragged_rows_of(keys) if like is None else like
    out = ragged(["neither a row nor None"] * len(keys))
    found = cache.gather(namespace, keys, out)
    for position, row in enumerate(out):
        if not found[position]:
            assert row is None
            continue
        right = expected[position]
        assert (row.dtype, row.shape) == (right.dtype, right.shape)
        assert row.tobytes() == right.tobytes()
    return found


def another_process(cache, budget=None):
    """The same store as another process would see it."""
    info = cache.info()
    return ActivationCache(info.location, budget or info.budget)
