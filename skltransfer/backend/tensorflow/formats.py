"""Writing TensorFlow's graphs as SavedModel and LiteRT files, and running a SavedModel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow.types.experimental import ConcreteFunction


def write_saved_model(graph: ConcreteFunction, folder: str, names: tuple[str, str]) -> None:
    """Write a SavedModel whose default signature names input and output as given."""
    import tensorflow as tf

    name, output = names
    (given,) = graph.inputs
    signature = tf.TensorSpec(given.shape, given.dtype, name=name)

    def serve(tensor: Any) -> dict[str, Any]:
        return {output: _only(graph(tensor))}

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[signature], autograph=False)
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})


def litert(graph: ConcreteFunction) -> bytes:
    """Return the content of a LiteRT file for a graph whose sizes are fixed."""
    import tensorflow as tf

    owner = tf.Module()
    owner.serve = graph
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], owner)
    content: bytes = converter.convert()
    return content


def run_saved_model(folder: str, rows: Any) -> Any:
    """Return what the default signature of a SavedModel computes."""
    import tensorflow as tf

    signature = tf.saved_model.load(folder).signatures["serving_default"]
    (result,) = signature(tf.constant(rows)).values()
    return result.numpy()


def _only(result: Any) -> Any:
    return result[0] if isinstance(result, (list, tuple)) else result
