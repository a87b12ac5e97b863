"""The formats of exported models: how to write a graph, and how to run a file."""

from __future__ import annotations

import importlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Metadata: TypeAlias = dict[str, Any]
Array: TypeAlias = np.ndarray[Any, Any]

METADATA = "skltransfer"
"""Key of the metadata, and name (without suffix) of the files that hold the metadata."""

_OPSET = 18


@dataclass(frozen=True)
class Format:
    """A format of exported models.

    Attributes
    ----------
    title : str
        Name of the format.
    suffix : str
        Suffix of its files; empty for a folder.
    modules : tuple of str
        Modules that must be installed.
    extra : str
        The extra of this package that installs these modules.
    any_size : bool
        Whether the model can take images of any size.
    write : callable
        Writes TensorFlow's graph to a path, with the names of input and output, and metadata.
    run : callable
        Runs a file on an array, and returns the output.
    """

    title: str
    suffix: str
    modules: tuple[str, ...]
    extra: str
    any_size: bool
    write: Callable[[Any, Path, tuple[str, str], Metadata], None]
    run: Callable[[Path, Array], Array]

    def check_installed(self) -> None:
        """Raise an error that says how to install a missing module."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ImportError(
                    f"Export to {self.title} needs {module}, which cannot be imported ({error}). "
                    f"Install it: pip install 'skltransfer[{self.extra}]'"
                ) from error


def _write_onnx(graph: Any, path: Path, names: tuple[str, str], metadata: Metadata) -> None:
    import onnx
    from tf2onnx import convert

    old_names = graph.inputs[0].name, graph.outputs[0].name
    with _quiet("tf2onnx"), _quiet("tensorflow"):
        model, _ = convert.from_graph_def(
            graph.graph.as_graph_def(),
            input_names=[old_names[0]],
            output_names=[old_names[1]],
            opset=_OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
            tensors_to_rename=dict(zip(old_names, names, strict=True)),
        )
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _erfc(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Write the complementary error function, which GELU uses, as 1 - erf(x)."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    graph.remove_node(node.name)
    error = graph.make_node("Erf", node.input)
    one = graph.make_const(f"{name}_one", np.ones((), np.float32))
    inputs = [one.output[0], error.output[0]]
    graph.make_node("Sub", inputs, name=name, outputs=node.output, shapes=[shape], dtypes=[dtype])


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Let a library that logs every step log only errors."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _run_onnx(path: Path, rows: Array) -> Array:
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: rows})
    return np.asarray(result)


def _write_openvino(graph: Any, path: Path, names: tuple[str, str], metadata: Metadata) -> None:
    from openvino import save_model

    from skltransfer.frozen.openvino import converted

    model = converted(graph.graph, graph.outputs[0].name)
    for port, name in zip((model.input(0), model.output(0)), names, strict=True):
        port.get_tensor().set_names({name})
    model.set_rt_info(json.dumps(metadata), [METADATA])
    save_model(model, path, compress_to_fp16=False)


def _run_openvino(path: Path, rows: Array) -> Array:
    from openvino import Core

    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.array(Core().compile_model(path, "CPU", exact)(rows)[0])


def _write_litert(graph: Any, path: Path, names: tuple[str, str], metadata: Metadata) -> None:
    from skltransfer.backend.tensorflow.formats import litert

    path.write_bytes(litert(graph))
    with zipfile.ZipFile(path, "a") as archive:  # LiteRT expects metadata after the model
        archive.writestr(f"{METADATA}.json", json.dumps(metadata))


def _run_litert(path: Path, rows: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (given,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], rows.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], rows)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(output["index"]))


def _write_saved_model(graph: Any, path: Path, names: tuple[str, str], metadata: Metadata) -> None:
    from skltransfer.backend.tensorflow.formats import write_saved_model

    write_saved_model(graph, str(path), names)
    extra = path / "assets.extra"  # TensorFlow Serving ignores files there
    extra.mkdir(exist_ok=True)
    (extra / f"{METADATA}.json").write_text(json.dumps(metadata), encoding="utf-8")


def _run_saved_model(path: Path, rows: Array) -> Array:
    from skltransfer.backend.tensorflow.formats import run_saved_model

    return np.asarray(run_saved_model(str(path), rows))


FORMATS = {
    "onnx": Format(
        "ONNX", ".onnx", ("tf2onnx", "onnx", "onnxruntime"), "onnx", True, _write_onnx, _run_onnx
    ),
    "openvino": Format(
        "OpenVINO", ".xml", ("openvino",), "openvino", True, _write_openvino, _run_openvino
    ),
    "litert": Format(
        "LiteRT", ".tflite", ("ai_edge_litert",), "litert", False, _write_litert, _run_litert
    ),
    "saved_model": Format("SavedModel", "", (), "", True, _write_saved_model, _run_saved_model),
}
