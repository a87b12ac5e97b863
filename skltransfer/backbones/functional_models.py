"""Checks that a Keras model is a graph from one tensor to one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    from keras import Operation


def has_graph(operation: Operation) -> bool:
    """Return whether `operation` is a model made of operations, without Python code of its own."""
    import keras

    if not isinstance(operation, keras.Model) or not _is_called_as_keras_defines(operation):
        return False
    return isinstance(operation, keras.Sequential) or hasattr(operation, "operations")


def _is_called_as_keras_defines(model: keras.Model) -> bool:
    module: str = type(model).call.__module__
    return module.partition(".")[0] == "keras"


def check_one_input_and_output(model: Any) -> None:
    """Refuse a model that is not a graph from one tensor to one tensor."""
    if not has_graph(model) or not getattr(model, "inputs", None):
        raise ValueError(
            f"The model {getattr(model, 'name', model)!r} is not a functional or sequential Keras "
            "model, so it cannot be divided into frozen and trained layers. Build it with "
            "keras.Input and keras.Model(inputs, outputs), or as a keras.Sequential that starts "
            "with keras.Input; a class of your own must not override call()."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"The model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; a backbone has one of each. Pass keras.Model(one_input, one_output)."
        )
