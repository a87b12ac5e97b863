"""The first use of Keras, and so of its backend, without a greeting on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from skltransfer.backend.processes import start

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_WITHOUT_INFORMATION = "1"


def import_keras() -> ModuleType:
    """Import Keras; TensorFlow, if it starts now, keeps mere information to itself.

    Warnings and errors are still told. TensorFlow reads the level once, when it is imported; a
    level that the user set is left alone, and the environment is as before afterwards.

    Raises
    ------
    RuntimeError
        In a process forked from one in which TensorFlow had run.
    """
    if "tensorflow" in sys.modules or _LOG_LEVEL in os.environ:
        import keras
    else:
        with _log_level():
            import keras
    start()
    module: ModuleType = keras
    return module


@contextmanager
def _log_level() -> Iterator[None]:
    os.environ[_LOG_LEVEL] = _WITHOUT_INFORMATION
    try:
        yield
    finally:
        del os.environ[_LOG_LEVEL]
