"""Checks of Keras configurations, which may name neither code nor files.

When a model is built later, Keras' safe mode is used as well. The checks here go further: they
allow only listed names, and run before anything is built.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from skltransfer.persistence.errors import Explained

# Modules of Keras' own classes and functions.
_MODULES = {
    f"keras.{name}"
    for name in (
        *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
        *("metrics", "optimizers", "optimizers.schedules", "random", "regularizers"),
    )
}
_FROM_KERAS_ITSELF = {"DTypePolicy", "Functional", "Model", "Sequential"}
_INTERNAL_MODULES = ("keras.src.ops.", "keras.src.models.", "keras.src.applications.")
# These contain code, or read a file named in a configuration.
_REFUSED = {
    *("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"),
    *("IntegerLookup", "StringLookup", "TextVectorization"),
}
_VALUES = {
    *("__keras_tensor__", "__tensor__", "__numpy__"),
    *("__slice__", "__ellipsis__", "__bytes__"),
}


def check_config(config: object) -> None:
    """Refuse a configuration that names anything but Keras' layers and functions.

    Layers and functions registered in this process with
    ``keras.saving.register_keras_serializable`` are allowed too.

    Raises
    ------
    ValueError
        If it does; the message names the class.
    """
    if isinstance(config, dict):
        if "class_name" in config:
            _check_named(config)
        elif "registered_name" in config:
            raise ValueError("its Keras configuration names a part without a class.")
        parts: Iterable[object] = config.values()
    elif isinstance(config, (list, tuple)):
        parts = config
    else:
        return
    for part in parts:
        check_config(part)


def _check_named(config: dict[str, Any]) -> None:
    name, module = config["class_name"], config.get("module")
    registered = config.get("config" if name == "function" else "registered_name")
    if isinstance(registered, str) and ">" in registered:
        allowed = _is_registered(registered)
    elif name == "function":
        allowed = module == "builtins" and _is_name(registered)
    elif module is None:
        allowed = "module" not in config and isinstance(name, str) and name in _VALUES
    else:
        allowed = _is_of_keras(module, name) and registered in (None, name)
    if not allowed:
        raise Explained(
            f"its Keras configuration asks for {registered or name!r:.60} of {module!r:.60}, which "
            "is not allowed. Allowed are Keras' own parts that hold no code and read no files, and "
            "parts that keras.saving.register_keras_serializable has registered."
        )


def _is_of_keras(module: object, name: Any) -> bool:
    if not isinstance(module, str) or not _is_name(name) or name in _REFUSED:
        return False
    if module == "keras":
        return name in _FROM_KERAS_ITSELF
    return name[0].isupper() and (module in _MODULES or module.startswith(_INTERNAL_MODULES))


def _is_name(text: object) -> bool:
    return isinstance(text, str) and text.isidentifier()


def _is_registered(name: str) -> bool:
    """Return whether a name is registered, without importing Keras."""
    keras = sys.modules.get("keras")
    return keras is not None and keras.saving.get_registered_object(name) is not None
