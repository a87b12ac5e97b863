"""The laws that `PretrainedFeatureExtractor` obeys, each as a test.

They are numbered as follows: 4 a row depends on nothing but itself, 6 seeds and settings,
7 kinds of X, 8 dumped and loaded. Law 2 is held in ``test_freezing``, law 3 in
``test_activations``, law 10 in ``test_imports``.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from conftest import WHERE_THE_PACKAGE_IS, make_tiny_model
from skltransfer import PretrainedFeatureExtractor, register_backbone
from skltransfer.backbones.building import build_model
from skltransfer.backbones.images import application_spec
from skltransfer.backend import as_array, backend_name

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(9, 5))


@pytest.fixture
def extractor(tiny, engine):
    """Without a cache, which would make everything equal."""
    return PretrainedFeatureExtractor(tiny, engine=engine, cache=None)


def test_features_of_the_bundled_backbone_are_the_golden_ones(golden, engine):
    images, features = golden
    found = PretrainedFeatureExtractor(engine=engine).fit_transform(images)
    assert found.dtype == np.float32
    assert np.abs(found - features).max() <= 1e-4 * features.max()


# Law 4: a row depends on nothing but itself -----------------------------------------------------

KINDS = ["images", "paths", "rows"]


@pytest.fixture(params=KINDS)
def X(request, images, paths):
    return {"images": images, "paths": np.array(paths, object), "rows": ROWS}[request.param]


def test_order_changes_nothing(extractor, X):
    order = RNG.permutation(len(X))
    features = extractor.fit_transform(X)
    assert_array_equal(extractor.transform(X[order]), features[order])
    assert_array_equal(extractor.fit(X[order]).transform(X), features)


def test_a_subset_and_one_row_at_a_time_have_the_same_features(extractor, X):
    features = extractor.fit_transform(X)
    assert_array_equal(extractor.transform(X[1:6]), features[1:6])
    for row in range(len(X)):
        assert_array_equal(extractor.transform(X[row : row + 1]), features[row : row + 1])


@pytest.mark.parametrize(
    "changed", [{"batch_size": 1}, {"batch_size": 100}, {"n_jobs": 1}, {"n_jobs": 5}]
)
def test_batch_size_and_threads_that_decode_change_nothing(extractor, X, changed):
    features = extractor.fit_transform(X)
    assert_array_equal(extractor.set_params(**changed).fit_transform(X), features)


def test_order_changes_nothing_with_the_bundled_backbone(golden):
    images = golden[0]
    extractor = PretrainedFeatureExtractor(cache=None).fit(images)
    features = extractor.transform(images)
    assert_array_equal(extractor.transform(images[::-1]), features[::-1])
    assert_array_equal(extractor.transform(images[4:5]), features[4:5])


THREADS = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("PJRT_NPROC", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)
"""Where TensorFlow, JAX and PyTorch look for the number of their threads."""

ELSEWHERE = """
import socket, sys
def no_network(*arguments, **options):
    raise AssertionError("there is no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
import joblib, numpy as np
folder, n_threads = sys.argv[1:]
cases = joblib.load(folder + "/cases.joblib")
features = {}
for name, (extractor, X) in cases.items():  # its network is built once for both
    features[name] = extractor.transform(X)
    assert np.array_equal(extractor.fit(X).transform(X), features[name]), name
np.savez(folder + f"/{n_threads}.npz", **features)
"""


@pytest.fixture(scope="module")
def cases(tiny, uneven, golden, images, paths):
    """Fitted extractors without a cache, and data for them."""
    return {
        name: (PretrainedFeatureExtractor(cache=None, **parameters).fit(X), X)
        for name, parameters, X in [
            ("bundled", {}, golden[0]),
            ("bundled, no OpenVINO", {"engine": backend_name()}, golden[0]),
            ("random weights", {"backbone": tiny, "weights": None, "random_state": 0}, images),
            ("of one's own, files", {"backbone": tiny, "layer": ["stem", "top"]}, paths),
            ("of one's own, by name", {"backbone": "tiny", "pooling": "flatten"}, images),
            ("rows of numbers", {"backbone": tiny, "pooling": "max"}, ROWS),
            ("uneven", {"backbone": uneven}, images),
            ("uneven, no OpenVINO", {"backbone": uneven, "engine": backend_name()}, images),
        ]
    }


@pytest.fixture(scope="module")
def elsewhere(cases, tmp_path_factory):
    """What fresh processes with 1, 2 and 4 threads and no network compute of the cases."""
    folder = tmp_path_factory.mktemp("elsewhere")
    joblib.dump(cases, folder / "cases.joblib")
    command = [sys.executable, "-c", ELSEWHERE, str(folder)]
    processes = [
        subprocess.Popen(
            [*command, str(n)],
            env={**os.environ, **dict.fromkeys(THREADS, str(n))},
            cwd=WHERE_THE_PACKAGE_IS,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in (1, 2, 4)
    ]
    for process in processes:
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 0, errors
    return {n: dict(np.load(folder / f"{n}.npz")) for n in (1, 2, 4)}


@pytest.fixture(scope="module")
def here(cases):
    """What this process computes of the cases."""
    return {name: extractor.transform(X) for name, (extractor, X) in cases.items()}


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_other_processes_and_numbers_of_threads_compute_the_same(elsewhere, here, n_threads):
    for name, expected in here.items():
        found = elsewhere[n_threads][name]
        if kernels_depend_on_threads():
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        else:
            assert_array_equal(found, expected, err_msg=name)


def kernels_depend_on_threads():
    """Whether they are chosen by the number of threads.

    PyTorch does so. TensorFlow before 2.20 has two kernels of oneDNN for a 1 x 1 convolution.
    """
    if backend_name() != "tensorflow":
        return backend_name() == "torch"
    import tensorflow as tf

    return tuple(map(int, tf.__version__.split(".")[:2])) < (2, 20)


# Law 6: seeds and settings ----------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["tiny", "efficientnet_lite0"])
def test_same_random_state_same_random_weights(backbone, tiny, images):
    def weights(random_state):
        extractor = PretrainedFeatureExtractor(backbone, weights=None, random_state=random_state)
        return extractor.fit(images).backbone_.weights

    first, again, other = weights(0), weights(0), weights(1)
    for array, same in zip(first, again, strict=True):
        assert_array_equal(array, same)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_random_weights_are_not_the_pretrained_ones(tiny, images):
    drawn = PretrainedFeatureExtractor(tiny, weights=None, random_state=0).fit(images)
    assert drawn.backbone_ != tiny
    assert PretrainedFeatureExtractor(tiny).fit(images).backbone_ == tiny


def test_a_random_state_instance_moves_on_from_fit_to_fit(tiny, images):
    extractor = PretrainedFeatureExtractor(
        tiny, weights=None, random_state=np.random.RandomState(0)
    )
    first = extractor.fit(images).backbone_
    assert extractor.fit(images).backbone_ != first


@pytest.fixture
def saved(tmp_path):
    """Files of the weights of a model, and of a whole model."""
    weights, model = tmp_path / "own.weights.h5", tmp_path / "own.keras"
    with warnings.catch_warnings():
        # Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        make_tiny_model(5).save_weights(weights)
        make_tiny_model(5).save(model)
    return weights, model


def settings():
    """What a user may have set in the process, and what the next random numbers will be."""
    import keras
    import tensorflow as tf

    return {
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "warnings": list(warnings.filters),
        "numpy errors": np.geterr(),
        "python seed": random.getstate(),
        "numpy seed": str(np.random.get_state()),
        "tensorflow draws": tf.random.uniform((3,)).numpy().tolist(),
        "keras draws": np.asarray(keras.random.uniform((3,))).tolist(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "data format": keras.config.image_data_format(),
        "dtype policy": keras.config.dtype_policy().name,
        "eager": tf.config.functions_run_eagerly(),
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "jit": tf.config.optimizer.get_jit(),
        "optimizer": tf.config.optimizer.get_experimental_options(),
    }


def test_no_seed_and_no_setting_of_the_process_is_touched(images, saved):
    import keras

    def settings_after(action):
        keras.utils.clear_session()  # the seed alone does not reset the generator of Keras 3.11
        keras.utils.set_random_seed(0)  # of Python, NumPy, TensorFlow and Keras
        action()
        return settings()

    model = make_tiny_model(5)

    def use():
        backbone = register_backbone("another", model)
        extractor = PretrainedFeatureExtractor(
            backbone, weights=None, random_state=0, input_size=(20, 24), cache=None
        )
        extractor.fit_transform(images)
        pickle.loads(pickle.dumps(extractor)).transform(images)
        PretrainedFeatureExtractor(model, weights=saved[0]).fit(images)
        PretrainedFeatureExtractor(saved[1]).fit(images)

    assert settings_after(use) == settings_after(lambda: None)


@pytest.fixture
def another_policy():
    """Set Keras to compute in 16 bits, as users do for a training of their own."""
    import keras

    policy = keras.config.dtype_policy()
    yield lambda name="mixed_bfloat16": keras.config.set_dtype_policy(name)
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def channels_first():
    """Set Keras to another order of axes, as users of its other backends do."""
    import keras

    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def test_settings_of_keras_change_no_feature(images, another_policy, request):
    def features(input_size):
        extractor = PretrainedFeatureExtractor(input_size=input_size, cache=None)
        return extractor.fit_transform(images)

    expected = features((32, 32))
    another_policy()
    request.getfixturevalue("channels_first")
    assert features((40, 32)).dtype == np.float32
    assert_array_equal(features((32, 32)), expected)


def test_networks_of_keras_are_built_for_channels_last(channels_first):
    import keras

    model = build_model(application_spec("MobileNet", None, 0), (32, 32))
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 1, 1, 1024)
    assert keras.config.image_data_format() == "channels_first"


@pytest.mark.parametrize("kind", ["images", "rows"])
def test_a_keras_model_of_a_classifier_needs_no_order_of_axes(
    make, cats_and_dogs, channels_first, kind
):
    X, y = cats_and_dogs
    if kind == "rows":
        X = X[:, ::7, ::7, 0].reshape(len(X), -1)
    classifier = make(epochs=1, head_units=(4,)).fit(X, y)
    found = as_array(classifier.to_keras()(X.astype(np.float32)))
    np.testing.assert_allclose(found, classifier.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_networks_of_keras_are_in_float32_whatever_its_policy_is(policy, another_policy):
    import keras

    another_policy(policy)
    spec = application_spec("MobileNet", None, 0)
    assert {array.dtype for array in spec.weights} == {np.dtype("float32")}
    model = build_model(spec, (32, 32))
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == policy


def test_a_keras_model_of_a_classifier_computes_in_float32(make, cats_and_dogs, another_policy):
    X, y = cats_and_dogs
    classifier = make(epochs=1, head_units=(4,)).fit(X, y)
    another_policy()
    found = as_array(classifier.to_keras()(X.astype(np.float32)))
    np.testing.assert_allclose(found, classifier.predict_proba(X), atol=1e-4)


# Law 7: kinds of X ------------------------------------------------------------------------------


def encoded(image, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("input_size", [(20, 24), (16, 16), (40, 30)])
def test_all_kinds_of_x_give_the_same_features(tiny, images, paths, resize, input_size):
    extractor = PretrainedFeatureExtractor(tiny, input_size=input_size, resize=resize, cache=None)
    features = extractor.fit_transform(images)
    same = [
        paths,
        [str(path) for path in paths],
        [path.read_bytes() for path in paths],
        [encoded(image, format="TIFF") for image in images],
        [Image.fromarray(image) for image in images],
        list(images),
        [paths[0], str(paths[1]), *images[2:]],
        np.asfortranarray(images),
        images.astype(np.int64),
    ]
    for X in same:
        assert_array_equal(extractor.transform(X), features)
        assert_array_equal(extractor.fit_transform(X), features)
    extractor.set_params(image_shape=images.shape[1:])
    for rows in (images.reshape(8, -1), images.reshape(8, -1).astype(np.float64)):
        assert_array_equal(extractor.fit_transform(rows), features)


def test_kinds_agree_with_the_bundled_backbone(golden, tmp_path):
    images = golden[0][:2]
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    extractor = PretrainedFeatureExtractor(image_shape=images.shape[1:], cache=None)
    features = extractor.fit_transform(images)
    assert_array_equal(extractor.transform(images.reshape(2, -1)), features)
    assert_array_equal(extractor.transform(paths), features)


def test_grey_images_are_repeated_over_the_channels(extractor, images):
    grey = images[..., 0]
    features = extractor.fit_transform(grey)
    assert_array_equal(extractor.fit_transform(grey[..., np.newaxis]), features)
    assert_array_equal(extractor.fit_transform(np.repeat(grey[..., np.newaxis], 3, -1)), features)


# Law 8: dumped and loaded -----------------------------------------------------------------------


@pytest.fixture(params=["pickle", "joblib"])
def reloaded(request, tmp_path):
    def reload(estimator):
        if request.param == "pickle":
            return pickle.loads(pickle.dumps(estimator))
        joblib.dump(estimator, tmp_path / "estimator")
        return joblib.load(tmp_path / "estimator")

    return reload


@pytest.mark.parametrize("backbone", ["tiny", "handle", "model"])
def test_dumped_and_loaded_is_the_same(backbone, tiny, images, reloaded):
    backbone = {"handle": tiny, "model": make_tiny_model()}.get(backbone, backbone)
    extractor = PretrainedFeatureExtractor(backbone, cache=None).fit(images)
    again = reloaded(extractor)
    assert_array_equal(again.transform(images), extractor.transform(images))
    assert again.backbone_ == extractor.backbone_
    assert_array_equal(again.fit_transform(images), extractor.transform(images))
    unfitted = reloaded(PretrainedFeatureExtractor(backbone, cache=None))
    assert_array_equal(unfitted.fit_transform(images), extractor.transform(images))


class OnlyPlainData(pickle.Unpickler):
    """Refuses Keras and TensorFlow."""

    def find_class(self, module, name):
        assert module.partition(".")[0] in {
            "skltransfer", "sklearn", "numpy", "builtins", "copyreg", "_codecs"
        }  # fmt: skip
        return super().find_class(module, name)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "tiny", "model"])
def test_a_pickle_holds_no_keras_object(backbone, tiny, images):
    backbone = make_tiny_model() if backbone == "model" else backbone
    extractor = PretrainedFeatureExtractor(backbone, input_size=(32, 32)).fit(images)
    extractor.transform(images)
    OnlyPlainData(io.BytesIO(pickle.dumps(extractor))).load()


def test_the_bundled_weights_are_not_in_the_pickle(golden):
    extractor = PretrainedFeatureExtractor().fit(golden[0])
    assert len(pickle.dumps(extractor)) < 200_000


def test_other_weights_are_in_the_pickle_by_value(images, saved):
    extractor = PretrainedFeatureExtractor(saved[1], cache=None).fit(images)
    features = extractor.transform(images)
    dumped = pickle.dumps(extractor)
    saved[1].unlink()
    assert_array_equal(pickle.loads(dumped).transform(images), features)


def test_other_bundled_weights_than_at_dumping_are_refused(golden):
    extractor = PretrainedFeatureExtractor().fit(golden[0])
    spec = extractor.backbone_
    state = {**spec.__getstate__(), "fingerprint": "0" * 64}
    with pytest.raises(ValueError, match="was fitted on other weights of 'efficientnet_lite0'"):
        object.__new__(type(spec)).__setstate__(state)


def test_a_name_that_means_another_network_here_is_refused(images):
    register_backbone("ours", make_tiny_model(1))
    dumped = pickle.dumps(PretrainedFeatureExtractor("ours"))
    register_backbone("ours", make_tiny_model(2))
    with pytest.raises(ValueError, match="registered as 'ours', but in this process"):
        pickle.loads(dumped)


def test_the_fitted_state_is_plain_data(tiny, images):
    """Nothing live: no model, function or lock in the estimator's attributes."""
    extractor = PretrainedFeatureExtractor(tiny).fit(images)
    extractor.transform(images)
    json.dumps(extractor.backbone_.architecture)
    json.dumps(extractor.backbone_.preprocessing)
    assert all(isinstance(array, np.ndarray) for array in extractor.backbone_.weights)
