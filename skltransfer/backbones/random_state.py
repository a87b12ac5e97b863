"""Python's global random generator, from which Keras' initializers draw their seeds."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_RANDOM_LOCK = threading.RLock()


@contextmanager
def seeded_python_random(seed: int) -> Iterator[None]:
    """Give Keras' initializers a fixed seed, and restore the state of Python's generator.

    An initializer without a seed draws one from Python's global generator when it is created.
    """
    with _RANDOM_LOCK:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
