"""The modules of the backends, and the one that Keras runs on."""

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
    """Names of all backends that the package knows."""
    return tuple(_MODULES)


def backend_name() -> str:
    """Name of Keras' backend: "tensorflow", "jax" or "torch".

    Raises
    ------
    ValueError
        When Keras runs on another one.
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
    """The module of a backend, which is imported when it is first asked for."""
    return cast("Backend", import_module(_MODULES[backend]))


def module() -> Backend:
    """The module of Keras' backend."""
    return module_of(backend_name())
