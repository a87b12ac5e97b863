"""The first import of Keras and its backend, without start-up messages on standard error."""

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
    """Import Keras; if TensorFlow starts now, its information messages are suppressed.

    Warnings and errors are still shown. TensorFlow reads the log level once, when it is imported. A
    level set by the user is left alone, and the environment is restored afterwards.

    Raises
    ------
    RuntimeError
        In a process that was forked after TensorFlow had run.
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
