"""Starting a backend without the messages that TensorFlow's C++ code then writes.

Two measures are needed. First, TensorFlow reads the log level once, when it is imported, so the
environment variable for this level is set during the import. Second, TensorFlow 2.21 writes some
messages before it reads the level: that it uses oneDNN, which instructions it was compiled for, and
that there is no GPU. So standard error goes to a temporary file while TensorFlow is imported, and
again while it looks for devices. Afterwards, the variable and standard error are restored, and any
other text in the file is written to standard error.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_WITHOUT_INFORMATION = "1"
_STANDARD_ERROR = 2

_HARMLESS = re.compile(
    rb"I0000 .*"
    rb"|WARNING: All log messages before absl::InitializeLog.*"
    rb"|.*failed call to cuInit.*"
    rb"|.*Could not find cuda drivers.*"
    rb"|.*Unable to register cu(?:DNN|FFT|BLAS) factory.*"
    rb"|To enable the following instructions: .*"
)

_hushing = threading.Lock()


@contextmanager
def hushed() -> Iterator[None]:
    """Suppress TensorFlow's start-up messages, unless the user has set a log level.

    Any other text that this or another thread writes to standard error meanwhile appears at the
    end. If the process is killed before that, the text is lost.
    """
    if _LOG_LEVEL in os.environ or not _hushing.acquire(blocking=False):
        yield
        return
    os.environ[_LOG_LEVEL] = _WITHOUT_INFORMATION
    try:
        with _without_harmless_lines():
            yield
    finally:
        os.environ.pop(_LOG_LEVEL, None)
        _hushing.release()


@contextmanager
def _without_harmless_lines() -> Iterator[None]:
    """Collect what is written to standard error; at the end, write all but harmless lines there."""
    try:
        real = os.dup(_STANDARD_ERROR)
    except OSError:  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as collected:
        _flush()
        os.dup2(collected.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            _flush()
            os.dup2(real, _STANDARD_ERROR)
            os.close(real)
            collected.seek(0)
            _write(b"".join(line for line in collected if not _HARMLESS.match(line)))


def _flush() -> None:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def _write(text: bytes) -> None:
    with suppress(OSError):
        while text:
            text = text[os.write(_STANDARD_ERROR, text) :]
