"""The modules of the backends, and the one in use."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

from skltransfer.backend.start_up import hushed

if TYPE_CHECKING:  # checks that each module implements its whole protocol
    from skltransfer.backend import jax, torch
    from skltransfer.backend.protocol import Backend, TracingBackend
    from skltransfer.backend.tensorflow import functions

    _BACKENDS: tuple[TracingBackend, Backend, Backend] = (functions, jax, torch)

_MODULES = {
    "tensorflow": "skltransfer.backend.tensorflow.functions",
    "jax": "skltransfer.backend.jax",
    "torch": "skltransfer.backend.torch",
}


def backend_names() -> tuple[str, ...]:
    """Return the names of all backends that the package knows."""
    return tuple(_MODULES)


def load_keras() -> ModuleType:
    """Import Keras and with it the backend, without TensorFlow's start-up messages."""
    if "keras" in sys.modules:
        import keras
    else:
        with hushed():
            import keras
    module: ModuleType = keras
    return module


def backend_name() -> str:
    """Return the name of Keras' backend: "tensorflow", "jax" or "torch".

    Raises
    ------
    ValueError
        If Keras runs on another backend.
    """
    found: str = load_keras().backend.backend()
    if found not in _MODULES:
        raise ValueError(
            f"Keras runs on the backend {found!r}, which skltransfer does not support. Set "
            f"KERAS_BACKEND to one of {', '.join(_MODULES)} before Keras is imported."
        )
    return found


@cache
def module_of(backend: str) -> Backend:
    """Return the module of a backend, and import it on first use."""
    return cast("Backend", import_module(_MODULES[backend]))


def module() -> Backend:
    """Return the module of Keras' backend."""
    return module_of(backend_name())
