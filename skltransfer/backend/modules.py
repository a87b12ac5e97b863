"""The modules of the backends, and the one that Keras runs on."""

from __future__ import annotations

from types import ModuleType

from skltransfer.backend import jax as _jax
from skltransfer.backend import torch as _torch
from skltransfer.backend.tensorflow import functions as _tensorflow

MODULES = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def backend_name() -> str:
    """Name of Keras' backend: "tensorflow", "jax" or "torch".

    Raises
    ------
    ValueError
        When Keras runs on another one.
    """
    import keras

    found = keras.backend.backend()
    if found not in MODULES:
        raise ValueError(
            f"Keras runs on the backend {found!r}, with which nothing can be trained here. Set "
            f"KERAS_BACKEND to one of {', '.join(MODULES)} before Keras is imported."
        )
    return found


def module() -> ModuleType:
    """The module of Keras' backend."""
    return MODULES[backend_name()]
