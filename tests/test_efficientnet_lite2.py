"""The companion with EfficientNet-Lite2: its features, its file, its name, and its absence."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skltransfer import PretrainedFeatureExtractor, list_backbones, load
from skltransfer.backbones import companions
from skltransfer.backbones import images as image_networks
from skltransfer.backbones.building import build_model
from skltransfer.backbones.efficientnet_lite import load_efficientnet_lite_weights

DATA = Path(__file__).parent / "data"
FOLDER = Path(__file__).parents[1] / "companions" / "efficientnet_lite2"
WEIGHTS = FOLDER / "skltransfer_efficientnet_lite2" / "efficientnet_lite2.npz"
NAME = "efficientnet_lite2"
BORDER = 18
"""Pixels that make 260 of 224."""


@pytest.fixture(autouse=True)
def companion(monkeypatch):
    """The companion's folder on the path, as if it were installed."""
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def not_read_yet():
    """Let the network be looked for again, and once more after the test."""
    image_networks.companion_spec.cache_clear()
    yield
    image_networks.companion_spec.cache_clear()


@pytest.fixture(scope="module")
def photographs():
    with np.load(DATA / "golden_efficientnet_lite0.npz", allow_pickle=False) as golden:
        return golden["images"]


@pytest.mark.parametrize("size", [224, 260])
def test_features_are_those_that_pytorch_computes(photographs, size):
    with np.load(DATA / "golden_efficientnet_lite2.npz", allow_pickle=False) as golden:
        expected = golden[f"features_{size}"]
    border = BORDER if size == 260 else 0
    X = np.pad(photographs, ((0, 0), (border, border), (border, border), (0, 0)), mode="reflect")
    extractor = PretrainedFeatureExtractor(NAME, input_size=(size, size), engine="tensorflow")
    found = extractor.fit_transform(X)
    assert np.abs(found - expected).max() <= 1e-4 * expected.max()


def test_arrays_are_those_of_the_network_by_name_shape_and_order():
    model = build_model(image_networks.companion_spec(), (32, 32))
    variables = [(variable.path, tuple(variable.shape)) for variable in model.weights]
    arrays = load_efficientnet_lite_weights(WEIGHTS)
    assert variables == [(name, array.shape) for name, array in arrays.items()]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert not any(array.flags.writeable for array in arrays.values())


def test_the_file_is_the_one_its_readme_describes():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"`{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}`" in readme
    spec = importlib.util.spec_from_file_location("convert_lite2", FOLDER / "convert.py")
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    assert f"`{converter.SHA256}`" in readme
    assert f"`{converter.MODEL}`" in readme
    assert converter.OUTPUT == WEIGHTS


def test_the_catalogue_knows_it_without_reading_it():
    (row,) = (row for row in list_backbones() if row.name == NAME)
    spec = image_networks.companion_spec()
    assert (row.source, row.input_size, row.parameters) == (
        "companion",
        spec.input_size,
        spec.n_parameters,
    )


def test_files_and_pickles_name_its_weights_and_do_not_hold_them(photographs, tmp_path):
    extractor = PretrainedFeatureExtractor(NAME, input_size=(32, 32)).fit(photographs)
    features = extractor.transform(photographs)
    extractor.save(tmp_path / "extractor")
    assert (tmp_path / "extractor").stat().st_size < 10_000
    assert_array_equal(load(tmp_path / "extractor").transform(photographs), features)
    dumped = pickle.dumps(extractor)
    assert len(dumped) < 10_000
    assert_array_equal(pickle.loads(dumped).transform(photographs), features)


def test_without_it_the_way_to_it_is_told(monkeypatch, not_read_yet):
    monkeypatch.setattr(companions, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install './companions/efficientnet_lite2'"):
        image_networks.companion_spec()


def test_a_damaged_file_says_how_to_mend_it(monkeypatch, not_read_yet, tmp_path):
    package = tmp_path / "skltransfer_efficientnet_lite2"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / WEIGHTS.name).write_bytes(WEIGHTS.read_bytes()[:1000])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"'efficientnet_lite2' are damaged .*--force-reinstall"):
        image_networks.companion_spec()
