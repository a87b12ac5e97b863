"""NumPy's matrix products on one thread, because rounding may depend on the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS, which computes matrix products, to one thread until the last caller is done."""
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _libraries().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """Return the loaded BLAS libraries, found only once because that takes milliseconds."""
    import scipy.linalg  # noqa: F401  SciPy has a BLAS of its own

    return ThreadpoolController()
