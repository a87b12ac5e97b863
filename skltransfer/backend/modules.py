"""The modules of the backends, and the one in use."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # each of them offers all of it
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


def backend_name() -> str:
    """Return the name of Keras' backend: "tensorflow", "jax" or "torch".

    Raises
    ------
    ValueError
        If Keras runs on another backend.
    """
    import keras

    found: str = keras.backend.backend()
    if found not in _MODULES:
        raise ValueError(
            f"Keras runs on the backend {found!r}, with which nothing can be trained here. Set "
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
