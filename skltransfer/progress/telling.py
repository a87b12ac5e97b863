"""Messages on standard error."""

from __future__ import annotations

import os
import sys

from skltransfer.progress.places import in_worker

_TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def tell(message: str) -> None:
    """Print a message to standard error; in a worker, with the worker's process ID."""
    if sys.stderr is None:  # as under pythonw
        return
    worker = f" (process {os.getpid()})" if in_worker() else ""
    sys.stderr.write(
        f"skltransfer{worker}: {message}\n"
    )  # one write, so that lines of several processes do not mix
    sys.stderr.flush()


def tell_of_start(verbose: int) -> None:
    """Announce the start of Keras' backend, which takes seconds, unless Keras has been imported."""
    if verbose and "keras" not in sys.modules:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        tell(f"starting {_TITLES.get(backend, 'Keras')} …")
