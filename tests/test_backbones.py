"""From what users pass as `backbone` and `weights` to a network: names, files, models, handles."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import random
import socket
import time
from copy import deepcopy
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal

from conftest import make_tiny_model
from skltransfer import PretrainedFeatureExtractor, register_backbone
from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones import registry as _registry
from skltransfer.backbones import user_models
from skltransfer.backbones.architectures import preprocessing_of
from skltransfer.backbones.building import build_model
from skltransfer.backbones.images import application_spec, image_network
from skltransfer.backbones.measure_keras_applications import measure
from skltransfer.backbones.registry import adopt, is_downloaded, resolve
from skltransfer.backbones.spec import read_only
from skltransfer.backend import as_array, as_tensor, backend_name
from skltransfer.network.execution import run_steps
from skltransfer.network.runtime import Network, network_of

# Keras' own saving of variables is not up to date with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

RNG = np.random.default_rng(0)
PIXELS = RNG.uniform(0, 255, (2, 5, 4, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Names that one test registers are free in the next."""
    monkeypatch.setattr(_registry, "_registered", {})


def convolution(channels=3, name="net", **settings):
    inputs = keras.Input((8, 8, channels))
    x = layers.Conv2D(2, 3, activation="relu", **settings)(inputs)
    return keras.Model(inputs, x, name=name)


def preprocessed(spec, pixels=PIXELS):
    return np.asarray(preprocessing_of(spec.preprocessing)(pixels.copy()))


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["efficientnet_lite0", "EfficientNet-Lite0", "EFFICIENTNETLITE0"])
def test_names_are_read_regardless_of_case_and_punctuation(name):
    spec = resolve(name)
    assert spec.name == "efficientnet_lite0"
    assert spec is resolve("efficientnet_lite0")
    assert spec.bundled and spec.input_size == (224, 224)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet5O", "'ResNet50'"),
        ("efficientnet_lite", "'efficientnet_lite0'"),
        ("mobilnetv2", "'MobileNetV2'"),
        ("my_neat", "'my net'"),
    ],
)
def test_a_mistyped_name_gets_similar_ones(name, suggestion):
    register_backbone("my net", convolution())
    with pytest.raises(
        ValueError, match=f"backbone={name!r} is not known. Did you mean .*{suggestion}"
    ):
        resolve(name)


def test_a_name_like_no_other_gets_the_ways_to_a_network():
    with pytest.raises(ValueError, match=r"is not known\. list_backbones\(\) shows the names\. To"):
        resolve("x" * 30)


@pytest.mark.parametrize("backbone", [3, None, b"ResNet50", ["ResNet50"], layers.ReLU()])
def test_other_types_are_refused(backbone):
    with pytest.raises(TypeError, match="Pass a name from list_backbones"):
        resolve(backbone)


def test_only_names_of_keras_need_a_download():
    register_backbone("own", convolution())
    assert is_downloaded("resnet50") and is_downloaded("VGG16")
    assert not any(map(is_downloaded, ("efficientnet_lite0", "own", "net.keras", convolution())))


# Random weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "MobileNet", convolution()], ids=str)
def test_random_weights_follow_the_seed_alone(backbone):
    before = random.getstate()
    one, same, other = (resolve(backbone, None, seed) for seed in (1, 1, 2))
    _registry._named.cache_clear()
    again = resolve(backbone, None, 1)
    assert random.getstate() == before
    assert one == same == again != other
    assert_array_equal(one.weights[0], again.weights[0])
    assert (one.weights[0] != other.weights[0]).any()
    assert not one.bundled


def test_building_a_network_leaves_pythons_random_state_alone():
    spec = resolve("efficientnet_lite0")
    before = random.getstate()
    model = build_model(spec, (32, 32))
    assert random.getstate() == before
    for found, expected in zip(model.get_weights(), spec.weights, strict=True):
        assert_array_equal(found, expected)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "EfficientNetB0"])
def test_networks_compute_with_weights_that_are_handed_in(backbone):
    """Their variables have no values; the second one normalises by weights."""
    spec = resolve(backbone, "imagenet" if backbone == "efficientnet_lite0" else None, 0)
    arrays = [a + RNG.normal(0, 0.05, a.shape).astype(np.float32) ** 2 for a in spec.weights]
    spec = dataclasses.replace(spec, weights=read_only(arrays), bundled=False, fingerprint="")
    network = Network(spec, (32, 32), "float32")
    x = RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    stop = len(network.graph.steps) - 1
    (found,) = run_steps(network.graph, None, [stop], as_tensor(x), network.constants)
    expected = as_array(build_model(spec, (32, 32))(x))
    assert_allclose(as_array(found), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda arrays: arrays[:-1], "it has 245 weights, but 244 are given"),
        (lambda arrays: [*arrays, arrays[-1]], "it has 245 weights, but 246 are given"),
        (
            lambda arrays: [arrays[0][:1], *arrays[1:]],
            r"'stem_conv/kernel' has the shape \(3, 3, 3, 32\), but one of shape \(1, 3, 3, 32\)",
        ),
        (lambda arrays: [arrays[0], arrays[1][:1], *arrays[2:]], r"but one of shape \(1,\) is"),
    ],
    ids=["one less", "one more", "kernel", "gamma"],
)
def test_weights_of_another_network_are_refused(change, fault):
    """As an estimator holds them that was saved with another version of Keras."""
    spec = resolve("efficientnet_lite0")
    spec = dataclasses.replace(spec, weights=tuple(change(list(spec.weights))), fingerprint="")
    message = f"backbone='efficientnet_lite0' cannot be built .*{fault}.* another network"
    with pytest.raises(ValueError, match=message):
        Network(spec, (32, 32), "float32")


@pytest.mark.skipif(backend_name() == "torch", reason="PyTorch's layers hold values")
def test_networks_hold_no_values():
    network = Network(resolve("efficientnet_lite0"), (32, 32), "float32")
    with keras.StatelessScope():
        pass  # Keras now gives values to all variables that wait for some
    assert all(variable._value is None for variable in network.variables)


# Weights files ----------------------------------------------------------------------------------


def legacy_file(model, path):
    """Write a weights-only file in the layout of those that Keras downloads."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.2.4"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group.create_dataset(name, data=np.asarray(weight))
    return path


def current_file(model, path):
    model.save_weights(path)
    return path


WRITERS = [(legacy_file, "net.h5"), (current_file, "net.weights.h5")]
IDS = ["legacy", "current"]


def randomised(model):
    model.set_weights([RNG.normal(size=w.shape).astype(np.float32) for w in model.weights])
    return model


@pytest.fixture(scope="module")
def bundled_model():
    """Bundled network; who takes it gives it weights."""
    return build_model(resolve("efficientnet_lite0"), (224, 224))


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=IDS)
def test_weights_of_the_bundled_architecture_from_a_file(write, name, bundled_model, tmp_path):
    model = randomised(bundled_model)
    spec = resolve("efficientnet_lite0", write(model, tmp_path / name))
    for found, expected in zip(spec.weights, model.get_weights(), strict=True):
        assert_array_equal(found, expected)
    assert not spec.bundled and spec != resolve("efficientnet_lite0")


@pytest.mark.slow
@pytest.mark.parametrize("top", [False, True], ids=["without top", "with top"])
@pytest.mark.parametrize(("write", "name"), WRITERS, ids=IDS)
def test_weights_of_a_network_of_keras_from_a_file(write, name, top, tmp_path):
    model = randomised(keras.applications.MobileNet(weights=None, include_top=top))
    spec = resolve("mobilenet", str(write(model, tmp_path / name)))
    assert len(spec.weights) == len(model.weights) - 2 * top
    for found, expected in zip(spec.weights, model.get_weights(), strict=False):
        assert_array_equal(found, expected)


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=IDS)
def test_weights_of_a_users_model_from_a_file(write, name, tmp_path):
    model = randomised(convolution())
    spec = resolve(convolution(), write(model, tmp_path / name))
    assert_array_equal(spec.weights[0], model.get_weights()[0])


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=IDS)
def test_weights_of_another_architecture_are_refused(write, name, tmp_path):
    path = write(convolution(), tmp_path / name)
    with pytest.raises(
        ValueError, match="does not fit backbone='efficientnet_lite0': .* Pass a we"
    ):
        resolve("efficientnet_lite0", path)


def test_a_weights_file_that_changed_is_read_again(bundled_model, tmp_path):
    path = tmp_path / "net.weights.h5"
    found = []
    for _ in range(2):
        model = randomised(bundled_model)
        found.append(resolve("efficientnet_lite0", current_file(model, path)))
    assert found[0] != found[1]


def test_a_missing_weights_file_is_named(tmp_path):
    path = tmp_path / "absent.weights.h5"
    with pytest.raises(
        ValueError, match="absent.weights.h5' for backbone=.* is not a file. Allowed ar"
    ):
        resolve("efficientnet_lite0", path)
    with pytest.raises(ValueError, match="weights='imagenett' .* Allowed are 'imagenet', None"):
        resolve("efficientnet_lite0", "imagenett")


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    path = tmp_path / "net.keras"
    convolution().save(path)
    with pytest.raises(
        ValueError, match="is not an HDF5 file.* a whole model: pass it as backbone="
    ):
        resolve("efficientnet_lite0", path)


def test_a_whole_model_in_a_weights_file_is_refused(tmp_path):
    path = tmp_path / "whole.h5"
    legacy_file(convolution(), path)
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = "{}"
    with pytest.raises(
        ValueError, match="holds a whole model in the .h5 format, which Keras cannot"
    ):
        resolve("efficientnet_lite0", path)


# Downloads --------------------------------------------------------------------------------------


def fetched_from(url):
    """Constructor of a network whose weights are at `url`, under another name there."""

    def build(include_top, weights, input_shape):
        keras.utils.get_file("net_no_top.h5", url, cache_subdir="models")

    return build


def test_an_unreachable_file_is_named_with_the_ways_around(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    url = "http://127.0.0.1:9/NET-no-top.h5"
    monkeypatch.setattr(applications, "constructors", lambda: {"VGG16": fetched_from(url)})
    with pytest.raises(ValueError, match="needs a file that could not be fetched") as caught:
        resolve("VGG16")
    message = str(caught.value)
    assert f"{url} (<urlopen error " in message
    assert "pass its path as weights=" in message and "under the name 'net_no_top.h5'" in message
    assert f"the folder {str(tmp_path / 'models')!r}" in message or "/.keras/models" in message
    assert "weights=None gives random weights" in message
    assert "'efficientnet_lite0' is part of skltransfer and needs no network" in message


def test_a_silent_server_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(applications, "_SECONDS_OF_SILENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/net.h5"
        monkeypatch.setattr(applications, "constructors", lambda: {"VGG16": fetched_from(url)})
        began = time.perf_counter()
        with pytest.raises(ValueError, match=f"could not be fetched: {url} .*timed out"):
            resolve("VGG16")
    assert time.perf_counter() - began < 5
    assert socket.getdefaulttimeout() is None


def test_a_users_own_timeout_is_kept(monkeypatch):
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: 7.0)
    monkeypatch.setattr(socket, "setdefaulttimeout", lambda seconds: pytest.fail("was changed"))
    with applications._bounded_waiting():
        pass


def test_another_failure_of_a_constructor_is_its_own(monkeypatch):
    def build(include_top, weights, input_shape):
        raise OSError("disk full")

    monkeypatch.setattr(applications, "constructors", lambda: {"VGG16": build})
    with pytest.raises(OSError, match="disk full"):
        resolve("VGG16")


# Files of whole models --------------------------------------------------------------------------


def test_a_keras_file_is_its_model(tmp_path):
    model = convolution()
    model.save(tmp_path / "net.keras")
    spec = resolve(tmp_path / "net.keras")
    assert spec == resolve(str(tmp_path / "net.keras"))
    assert spec.name == "net" and spec.input_size == (8, 8)
    x = RNG.normal(size=(1, 8, 8, 3)).astype(np.float32)
    rebuilt = build_model(spec, (8, 8))
    assert_allclose(as_array(rebuilt(x)), as_array(model(x)), rtol=1e-6)


def test_a_keras_file_with_code_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "code.keras")
    expected = "does not load in Keras' safe mode: .* Save it with .*, without Lambda layers"
    with pytest.raises(ValueError, match=r"(?s)backbone='\S+code.keras' " + expected):
        resolve(tmp_path / "code.keras")


def test_a_file_that_is_missing_damaged_or_of_the_old_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        resolve(tmp_path / "absent.keras")
    (tmp_path / "damaged.keras").write_text("no zip")
    with pytest.raises(ValueError, match="does not load in Keras' safe mode"):
        resolve(tmp_path / "damaged.keras")
    with pytest.raises(
        ValueError, match="a whole model in the .h5 format, which Keras cannot load"
    ):
        resolve(str(tmp_path / "old.h5"))
    with pytest.raises(ValueError, match="is a file of weights alone. Pass it as weights="):
        resolve(str(tmp_path / "net.weights.h5"))


@pytest.mark.parametrize("name", ["whole.h5", "WHOLE.H5", "whole.hdf5", "whole.keras"])
def test_a_whole_model_in_the_old_format_is_refused_by_any_name(name, tmp_path):
    """Keras would load it without its safe mode."""
    legacy_file(convolution(), tmp_path / name)
    with h5py.File(tmp_path / name, "a") as file:
        file.attrs["model_config"] = "{}"
    with pytest.raises(ValueError, match="in the .h5 format|does not load in Keras' safe mode"):
        resolve(tmp_path / name)


# Models and handles -----------------------------------------------------------------------------


def test_a_handle_is_immutable():
    handle = register_backbone("own", convolution())
    with pytest.raises(dataclasses.FrozenInstanceError):
        handle.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        handle.weights[0][:] = 0
    assert deepcopy(handle) is handle
    assert repr(handle) == f"<backbone 'own' {handle.fingerprint[:8]}>"


def test_a_model_is_built_from_its_configuration_once(monkeypatch):
    """Every fit of a search asks for the same model again, with whatever weights."""
    model = convolution()
    resolve(model)
    monkeypatch.setattr(user_models, "build_from_config", None)
    model.set_weights([w + 1 for w in model.get_weights()])
    assert_array_equal(resolve(model).weights[0], model.weights[0])
    with pytest.raises(ValueError, match="does not load in Keras' safe mode"):
        resolve(convolution(strides=2))


def test_a_handle_keeps_its_content_when_the_model_changes():
    model = convolution()
    handle = register_backbone("own", model)
    before = handle.weights[0].copy()
    model.set_weights([w + 1 for w in model.get_weights()])
    assert_array_equal(handle.weights[0], before)
    assert handle != resolve(model)


def unnamed():
    """Keras numbers its layers through the whole process."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 3, kernel_initializer="ones")(inputs)
    block = keras.Sequential([layers.Conv2D(2, 1, kernel_initializer="ones"), layers.Softmax()])
    x = layers.Add()([x, block(x)])
    return keras.Model(inputs, layers.Conv2D(2, 1, kernel_initializer="ones")(x))


def test_a_network_that_is_built_again_is_the_same():
    first, second = (register_backbone("own", unnamed()) for _ in range(2))
    assert first.architecture != second.architecture
    assert first == second
    adopt(first)
    others = convolution(name="net"), convolution(name="another net")
    assert register_backbone("own", others[0]) != register_backbone("own", others[1])


def test_handles_are_equal_by_content():
    model = convolution()
    one, same = register_backbone("one", model), register_backbone("two", model)
    scaled = register_backbone("three", model, preprocessing=(0.5, 0))
    other = register_backbone("four", convolution())
    assert one == same and hash(one) == hash(same)
    assert len({one, same, scaled, other}) == 3
    assert one != "one"


def test_a_handle_pickles_without_keras(in_fresh_process, tmp_path):
    handle = register_backbone("own", convolution())
    assert pickle.loads(pickle.dumps(handle)) == handle
    (tmp_path / "handle").write_bytes(pickle.dumps(handle))
    script = """
import pickle, sys
handle = pickle.load(open(sys.argv[1], "rb"))
assert not {"keras", "tensorflow"} & {*sys.modules}
print(handle.fingerprint)
"""
    output, _ = in_fresh_process(script, tmp_path / "handle")
    assert output.strip() == handle.fingerprint


def test_the_bundled_weights_travel_by_reference(monkeypatch):
    spec = resolve("efficientnet_lite0")
    pickled = pickle.dumps(spec)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert again == spec and len(again.weights) == len(spec.weights)
    other = SimpleNamespace(name=spec.name, fingerprint="of other weights")
    monkeypatch.setattr("skltransfer.backbones.spec.shipped_spec", lambda name: other)
    with pytest.raises(ValueError, match="other weights of 'efficientnet_lite0' than this version"):
        pickle.loads(pickled)


def test_a_name_handle_and_model_mean_the_same_network():
    model = convolution()
    handle = register_backbone("own", model)
    assert resolve("own") is resolve(handle) is handle
    assert resolve(model) == handle


def test_a_builder_is_called_once_without_arguments():
    calls = []

    def builder():
        calls.append(1)
        return convolution()

    assert register_backbone("own", builder).input_size == (8, 8)
    assert calls == [1]


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"takes a keras.Model or a function without .*, not str"):
        register_backbone("own", "ResNet50")
    with pytest.raises(TypeError, match="The builder of backbone 'own' returned list, not a keras"):
        register_backbone("own", list)


@pytest.mark.parametrize("name", ["ResNet50", "resnet_50", "EfficientNet-Lite0"])
def test_the_name_of_another_network_is_refused(name):
    with pytest.raises(ValueError, match=f"name={name!r} already means the network '.*'; choose"):
        register_backbone(name, convolution())


def test_a_name_must_be_one():
    for name in ("", None, 3):
        with pytest.raises(TypeError, match="must be a non-empty str"):
            register_backbone(name, convolution())
    with pytest.raises(ValueError, match="looks like the path of a file"):
        register_backbone("net.keras", convolution())


def test_a_name_may_be_registered_anew_but_not_adopted_for_another_network():
    old = register_backbone("own", convolution())
    new = register_backbone("own", convolution())
    assert resolve("own") is new
    adopt(new)
    with pytest.raises(
        ValueError, match="name belongs to a network with different content. Registe"
    ):
        adopt(old)


def test_networks_that_came_under_one_name_are_told_apart(monkeypatch):
    monkeypatch.setattr(_registry, "_registered", {})  # as in a worker
    monkeypatch.setattr(_registry, "_adopted", set())
    first, second = (image_network(convolution(), "came") for _ in range(2))
    assert adopt(first) == adopt(first) == "came"
    assert adopt(second) is second and resolve("came") is first
    registered = register_backbone("came", convolution())
    with pytest.raises(ValueError, match="different content"):
        adopt(second)
    assert resolve("came") is registered


def test_a_handle_takes_no_name_of_another_network_away():
    handle = register_backbone("own", convolution())
    with pytest.raises(ValueError, match="'ResNet50' already means the network 'ResNet50'"):
        adopt(dataclasses.replace(handle, name="ResNet50"))


def test_a_model_that_keras_does_not_load_safely_is_refused():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Lambda(lambda x: x + 1)(inputs))
    with pytest.raises(ValueError, match=r"(?s)configuration of backbone 'own' does not .*Lambda"):
        register_backbone("own", model)


class Unregistered(layers.Layer):
    def call(self, inputs):
        return inputs


def test_a_custom_layer_must_be_known_to_keras():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, Unregistered()(inputs))
    with pytest.raises(ValueError, match=r"(?s)'own' does not load .*register_keras_serializable"):
        register_backbone("own", model)


def test_models_that_take_no_images_are_refused():
    row, image = keras.Input((4,)), keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"takes rows of shape \(4,\); a backbone takes images"):
        register_backbone("own", keras.Model(row, layers.Dense(2)(row)))
    with pytest.raises(ValueError, match=r"takes rows of shape \(8, 8, 4\)"):
        register_backbone("own", convolution(channels=4))
    with pytest.raises(ValueError, match="has 2 inputs and 1 outputs; a backbone has one of each"):
        register_backbone("own", keras.Model([row, image], layers.Flatten()(image)))
    with pytest.raises(ValueError, match="is not a functional or sequential Keras model"):
        register_backbone("own", keras.Sequential([layers.ReLU()]))


def test_sequential_models_are_backbones():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3, activation="relu")])
    handle = register_backbone("own", model)
    x = RNG.normal(size=(1, 8, 8, 3)).astype(np.float32)
    rebuilt = build_model(handle, (8, 8))
    assert_allclose(as_array(rebuilt(x)), as_array(model(x)), rtol=1e-6)
    assert network_of(handle, (8, 8)).features.steps[-1].name == model.layers[-1].name


def normalising(**settings):
    """A network that standardises images itself; adapted to some unless it has its moments."""
    normalization = layers.Normalization(**settings)
    model = keras.Sequential([keras.Input((8, 8, 3)), normalization, layers.Conv2D(2, 3)])
    if not settings:
        normalization.adapt(RNG.normal(100, 30, (32, 8, 8, 3)).astype(np.float32))
    return model


@pytest.mark.parametrize("settings", [{}, {"mean": [90.0, 100, 110], "variance": [9.0, 16, 25]}])
def test_normalization_layers_compute_with_the_moments_of_the_model(settings):
    model = normalising(**settings)
    x = RNG.uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    rebuilt = build_model(register_backbone("own", model), (8, 8))
    assert_allclose(as_array(rebuilt(x)), as_array(model(x)), rtol=1e-5, atol=1e-5)
    extractor = PretrainedFeatureExtractor(model, pixel_range=(0, 255), cache=None)
    expected = as_array(model(x)).mean(axis=(1, 2))
    assert_allclose(extractor.fit_transform(x), expected, rtol=1e-4, atol=1e-4)


@keras.saving.register_keras_serializable("tests")
class Brightened(layers.Layer):
    """Keeps a tensor that it makes when it is built."""

    def build(self, input_shape):
        self.factor = keras.ops.convert_to_tensor([2.0])

    def call(self, x):
        return x * self.factor


def test_layers_may_keep_tensors_from_when_they_are_built():
    model = keras.Sequential([keras.Input((8, 8, 3)), Brightened(), layers.Conv2D(2, 3)])
    x = RNG.uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    rebuilt = build_model(register_backbone("own", model), (8, 8))
    assert_allclose(as_array(rebuilt(x)), as_array(model(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_efficientnet_of_keras_is_the_network_that_keras_builds_for_its_weights(
    tmp_path, monkeypatch
):
    """With "imagenet" it has one layer more, whose files hold these moments."""
    model = applications.build("EfficientNetB0", (32, 32, 3))
    arrays = [RNG.normal(0, 0.2, w.shape).astype(np.float32) for w in model.weights]
    arrays = [
        np.abs(a) + 0.5 if w.name in ("gamma", "moving_variance") else a
        for a, w in zip(arrays, model.weights, strict=True)
    ]
    arrays[:2] = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    model.set_weights(arrays)
    path = str(current_file(model, tmp_path / "net.weights.h5"))
    # Keras loads what it downloads by the names of layers, of which one more has no weights.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *given, **options: path)
    theirs = applications.build("EfficientNetB0", (32, 32, 3), weights="imagenet")
    assert len(theirs.layers) == len(model.layers) + 1
    x = RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    expected = as_array(theirs(x))
    for weights in ("imagenet", path):
        spec = application_spec("EfficientNetB0", weights, 0)
        found = as_array(build_model(spec, (32, 32))(x))
        assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_other_moments_of_an_efficientnet_stay():
    arrays = [np.zeros(3, np.float32), np.ones(3, np.float32), np.float32(0)]
    for found, given in zip(applications._divided_once_more(arrays), arrays, strict=True):
        assert_array_equal(found, given)


# Preprocessing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_a_mode_is_that_of_keras(mode):
    handle = register_backbone("own", convolution(), preprocessing=mode)
    expected = keras.applications.imagenet_utils.preprocess_input(PIXELS.copy(), mode=mode)
    assert_allclose(preprocessed(handle), expected, rtol=1e-6, atol=1e-6)


def test_a_scale_and_an_offset_and_nothing():
    scaled = register_backbone("scaled", convolution(), preprocessing=(0.5, -1))
    assert_array_equal(preprocessed(scaled), PIXELS * np.float32(0.5) - 1)
    assert_array_equal(preprocessed(register_backbone("plain", convolution())), PIXELS)


@pytest.mark.parametrize("mode", [None, "tf", "torch", "caffe", (2.0, 1.0)])
def test_networks_of_one_channel_see_the_mean_of_three(mode):
    grey = register_backbone("grey", convolution(channels=1), preprocessing=mode)
    rgb = register_backbone("rgb", convolution(), preprocessing=mode)
    found = preprocessed(grey)
    assert found.shape == (2, 5, 4, 1)
    assert_allclose(found, preprocessed(rgb).mean(axis=-1, keepdims=True), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("preprocessing", ["TF", (1,), (1, 2, 3), ("a", 1), 2.0, len, [1, 2]])
def test_other_preprocessing_is_refused(preprocessing):
    with pytest.raises(
        ValueError, match="is not one of 'auto', None .*, 'tf', 'torch', 'caffe' .* and .scale"
    ):
        register_backbone("own", convolution(), preprocessing=preprocessing)


@pytest.mark.parametrize("name", applications.facts())
def test_preprocessing_of_keras_networks_is_keras_own(name):
    module = inspect.getmodule(getattr(keras.applications, name))
    spec = dataclasses.replace(
        resolve(convolution()), preprocessing={"kind": "keras.applications", "name": name}
    )
    assert_array_equal(preprocessed(spec), module.preprocess_input(PIXELS.copy()))


# Keras' own networks ----------------------------------------------------------------------------


def test_every_constructor_of_keras_is_known():
    assert set(applications.constructors()) == set(applications.facts())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["MobileNet", "MobileNetV3Small", "VGG16", "ResNet50V2", "InceptionV3", "Xception"]
)
def test_facts_are_what_building_the_network_tells(name):
    assert measure(name) == applications.facts()[name]


def test_the_native_size_of_a_network_that_is_not_listed_is_measured(monkeypatch):
    monkeypatch.setattr(applications, "facts", dict)
    assert applications.native_size("MobileNetV3Small") == (224, 224)
    assert applications.native_size("MobileNet") == (224, 224)


def test_a_size_that_a_network_cannot_take_is_refused():
    spec = resolve("MobileNet", None)
    with pytest.raises(ValueError, match=r"'MobileNet' cannot be built for input_size=\(16, 16\)"):
        build_model(spec, (16, 16))


def test_a_model_of_one_size_is_refused_at_another():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    x = layers.Reshape((8, 8, 2))(layers.Dense(128)(layers.Flatten()(x)))
    handle = register_backbone("own", keras.Model(inputs, x))
    with pytest.raises(ValueError, match=r"'own' does not take images of input_size=\(16, 16\)"):
        network_of(handle, (16, 16))


def test_a_model_for_any_size_has_the_usual_native_one():
    inputs = keras.Input((None, None, 3))
    handle = register_backbone("own", keras.Model(inputs, layers.Conv2D(2, 3)(inputs)))
    assert handle.input_size == (224, 224)
    assert network_of(handle, (16, 20)).features.steps[-1].shape == (14, 18, 2)


def test_features_end_at_the_last_feature_map():
    model = make_tiny_model()
    x = layers.Dense(5, name="classes")(layers.GlobalAveragePooling2D()(model.output))
    network = network_of(register_backbone("own", keras.Model(model.input, x)), (16, 16))
    assert network.features.steps[-1].name == "top"
    assert network.graph.steps[-1].name == "classes"
