"""What is saved and loaded equals the original, and what cannot be saved is refused by name.

``test_saving_refusals`` has the files that are not opened.
"""

from __future__ import annotations

import os
import pickle
from copy import copy
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state

import skltransfer.persistence.file as file_module
from conftest import make_tiny_model
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, load, register_backbone
from skltransfer.backbones.architectures import architecture_of
from skltransfer.backbones.registry import resolve

ESTIMATORS = [PretrainedFeatureExtractor, FineTunedClassifier]


@pytest.fixture
def again(tmp_path):
    """Save an estimator and load it."""

    def saved_and_loaded(estimator):
        assert estimator.save(tmp_path / "estimator.skltransfer") is None
        return load(str(tmp_path / "estimator.skltransfer"))

    return saved_and_loaded


def assert_same(one, other):
    """The same type and content, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert_array_equal(one, other)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, np.random.RandomState):
        assert_same(one.get_state(), other.get_state())
    elif hasattr(one, "__dict__") and not isinstance(one, Path):
        assert_same(vars(one), vars(other))
    else:
        assert one == other or (one != one and other != other)


# Laws ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_an_unfitted_estimator_comes_back(kind, again):
    loaded = again(kind(batch_size=8, cache=None, n_jobs=2))
    assert_same(loaded, kind(batch_size=8, cache=None, n_jobs=2))


@pytest.mark.parametrize(
    "parameters",
    [
        {"class_weight": {"cat": 1.0, "dog": 2}, "head_units": (64, 32)},
        {"class_weight": {np.int64(0): np.float32(0.1), True: 2.0}, "head_units": [64]},
        {"freeze_depth": 0.5, "learning_rate": np.float64(0.1), "epochs": np.int64(3)},
        {"freeze_depth": "all", "tta": np.bool_(True), "augment": "flip", "n_views": 2},
        {"cache": Path("folder") / "naïve", "weights": Path("net.weights.h5")},
        {"learning_rate": np.inf, "weight_decay": -np.inf, "layer_decay": np.nan},
        {"weights": None, "image_shape": np.array([20, 30]), "pixel_range": (0, 1.5)},
        {"batch_size": 10**30, "head_activation": "\ud800\x00\N{SNOWMAN}"},
        {"layer": "block5c_add", "pooling": "max"},
        {"random_state": 2**32 - 1},
        {"random_state": np.random.RandomState(5)},
    ],
)
def test_parameters_come_back_with_their_types(parameters, again):
    assert_same(again(FineTunedClassifier(**parameters)), FineTunedClassifier(**parameters))


@pytest.mark.parametrize("way", ["save", "copy"])
def test_requests_of_metadata_come_back(way, make, X, y, again):
    with config_context(enable_metadata_routing=True):
        classifier = make(epochs=0).set_fit_request(sample_weight="weight")
        classifier.set_score_request(sample_weight=True).fit(X, y)
        twin = again(classifier) if way == "save" else copy(classifier)
        requests = twin.get_metadata_routing()
    assert requests.fit.requests == {"X_target": None, "sample_weight": "weight"}
    assert requests.score.requests == {"sample_weight": True}
    assert str(requests) == str(classifier.get_metadata_routing())


def test_a_generator_goes_on_where_it_was(again):
    generator = np.random.RandomState(0)
    generator.normal(size=3)  # the second of a pair is kept for the next call
    loaded = again(PretrainedFeatureExtractor(random_state=generator))
    assert_array_equal(loaded.random_state.normal(size=999), generator.normal(size=999))


def test_the_generator_of_numpy_itself_becomes_one_of_its_own(again):
    loaded = again(PretrainedFeatureExtractor(random_state=check_random_state(None)))
    assert loaded.random_state is not check_random_state(None)


@pytest.mark.parametrize("form", ["handle", "name", "model"])
def test_features_come_back_to_the_bit(form, tiny, images, again):
    backbone = {"handle": tiny, "name": "tiny", "model": make_tiny_model(seed=1)}[form]
    extractor = PretrainedFeatureExtractor(backbone, layer=["stem", "top"]).fit(images)
    loaded = again(extractor)
    assert_same(loaded.__getstate__(), extractor.__getstate__())
    assert_array_equal(loaded.transform(images), extractor.transform(images))
    assert_array_equal(loaded.get_feature_names_out(), extractor.get_feature_names_out())
    assert_same(clone(loaded).__getstate__(), clone(extractor).__getstate__())


LABELS = {
    "str": np.array(["cat", "dog"]),
    "objects": np.array(["cat", "a longer name"], dtype=object),
    "int": np.array([7, -3]),
    "big-endian int": np.array([7, 3], dtype=">i2"),
    "bool": np.array([False, True]),
    "float": np.array([0.0, 1.0]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_classifier_comes_back_to_the_bit_whatever_its_labels(labels, make, X, again):
    y = labels[np.arange(len(X)) % 2]
    classifier = make(epochs=1).fit(X, y)
    loaded = again(classifier)
    assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert_array_equal(loaded.predict(X), classifier.predict(X))
    assert loaded.classes_.dtype == classifier.classes_.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    "settings",
    [
        {"head_units": (6, 4), "head_activation": "gelu", "head_init": "random"},
        {"freeze_depth": "all", "early_stopping": True, "validation_fraction": 0.25},
        {"freeze_depth": 0, "batch_norm": "train", "augment": "flip", "n_views": 2, "tta": True},
        {"random_state": np.random.RandomState(1)},
        {"weights": None},
        {"layer": "block", "pooling": "max", "class_weight": {"cat": 1.0, "dog": 2.0}},
        {"label_smoothing": 0.1, "class_weight": "balanced"},
    ],
)
def test_a_fitted_classifier_comes_back_whole(settings, make, X, y, again):
    classifier = make(**settings).fit(X, y)
    loaded = again(classifier)
    assert_same(loaded.__getstate__(), classifier.__getstate__())
    assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_rows_of_a_frame_come_back_with_their_names(tiny, again):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(9, 3)), columns=["a", "b", "c"])
    extractor = PretrainedFeatureExtractor(tiny, input_size=(16, 16))
    extractor.set_output(transform="pandas").fit(rows)
    loaded = again(extractor)
    assert_same(loaded.__getstate__(), extractor.__getstate__())
    pd.testing.assert_frame_equal(loaded.transform(rows), extractor.transform(rows))


@pytest.mark.parametrize("settings", [{}, {"freeze_depth": "all"}])
def test_a_warm_start_goes_on_as_from_the_original(settings, make, X, y, again):
    classifier = make(epochs=1, warm_start=True).fit(X, y).set_params(**settings)
    loaded = again(classifier)
    assert_array_equal(loaded.fit(X, y).predict_proba(X), classifier.fit(X, y).predict_proba(X))


def test_partial_fit_goes_on_as_from_the_original(make, X, y, again):
    classifier = make().partial_fit(X, y, classes=["cat", "dog"])
    loaded = again(classifier)
    for one in (classifier, loaded):
        one.partial_fit(X, y)
    assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_a_layer_as_augment_comes_back(make, X, y, again):
    augment = keras.Sequential([layers.RandomFlip("vertical", seed=3), layers.RandomContrast(0.2)])
    classifier = make(epochs=1, augment=augment, n_views=2, tta=True).fit(X, y)
    loaded = again(classifier)
    assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert_array_equal(clone(loaded).fit(X, y).predict_proba(X), classifier.predict_proba(X))


IN_A_FRESH_PROCESS = """
import sys
import numpy as np
import skltransfer
path, X, out = sys.argv[1:]
estimator = skltransfer.load(path)
assert not {"keras", "tensorflow"} & set(sys.modules)
np.save(out, estimator.predict_proba(np.load(X)))
assert estimator.get_params()["backbone"] == "named"
"""


def test_a_fresh_process_predicts_the_same_bits(make, X, y, tmp_path, in_fresh_process):
    register_backbone("named", make_tiny_model(seed=2), preprocessing="tf")
    classifier = make(head_units=4).set_params(backbone="named").fit(X, y)
    files = [tmp_path / name for name in ("classifier", "X.npy", "probabilities.npy")]
    classifier.save(files[0])
    np.save(files[1], X)
    in_fresh_process(IN_A_FRESH_PROCESS, *files)
    assert_array_equal(np.load(files[2]), classifier.predict_proba(X))


def test_a_pickle_of_what_was_loaded_is_that_of_the_original(make, X, y, again):
    classifier = make().fit(X, y)
    loaded = pickle.loads(pickle.dumps(again(classifier)))
    assert_same(loaded.__getstate__(), classifier.__getstate__())


# Networks in the file ----------------------------------------------------------------------------


@pytest.fixture
def with_bundled(make, X, y):
    """A classifier that says it was fitted on the bundled network; none is run."""
    classifier = make().fit(X, y)
    classifier.backbone_ = resolve("efficientnet_lite0")
    return classifier


def test_the_bundled_weights_are_not_in_the_file(with_bundled, tmp_path):
    with_bundled.set_params(backbone="efficientnet_lite0").save(tmp_path / "small")
    assert (tmp_path / "small").stat().st_size < 10_000
    assert load(tmp_path / "small").backbone_ is resolve("efficientnet_lite0")


def test_a_network_is_in_the_file_once(make, X, y, tiny, tmp_path):
    make().fit(X, y).save(tmp_path / "handle")
    register_backbone("tiny too", make_tiny_model(), preprocessing="tf")
    make().set_params(backbone="tiny too").fit(X, y).save(tmp_path / "name")
    first = tiny.weights[0].tobytes()
    assert [path.read_bytes().count(first) for path in tmp_path.iterdir()] == [1, 1]


def test_weights_that_were_loaded_are_read_only(make, again):
    assert not any(array.flags.writeable for array in again(make()).backbone.weights)


@keras.saving.register_keras_serializable("tests")
class Same(layers.Layer):
    def call(self, inputs):
        return inputs


def test_a_layer_of_ones_own_is_opened_where_it_is_registered(tmp_path, monkeypatch):
    inputs = keras.Input((16, 16, 3))
    outputs = layers.Conv2D(4, 3, activation=keras.activations.silu)(Same()(inputs))
    backbone = resolve(keras.Model(inputs, outputs))
    PretrainedFeatureExtractor(backbone).save(tmp_path / "own")
    assert load(tmp_path / "own").backbone == backbone
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tests>Same")
    with pytest.raises(ValueError, match="asks for 'tests>Same' .* has registered"):
        load(tmp_path / "own")


@pytest.mark.parametrize("operation", [lambda x: keras.ops.pad(x, 1) * 2.0, lambda x: x[:, 2:]])
def test_operations_of_keras_are_saved(operation, again):
    inputs = keras.Input((16, 16, 3))
    outputs = keras.Model(inputs, operation(layers.Conv2D(4, 3)(inputs)), name="operations")
    extractor = PretrainedFeatureExtractor(outputs)
    assert_same(again(extractor).__getstate__(), extractor.__getstate__())


ARCHITECTURES = [
    {"kind": "bundled", "name": "efficientnet_lite0"},
    {"kind": "bundled", "name": "efficientnet_lite2"},
    {"kind": "keras.applications", "name": "ResNet50"},
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_known_architecture_with_other_weights_comes_back(architecture, again):
    spec = resolve("efficientnet_lite0")
    spec = replace(spec, architecture=architecture, weights=(), bundled=False, fingerprint="")
    pattern = architecture_of(architecture).stage_pattern(architecture)
    spec = replace(spec, stage_pattern=pattern)
    assert_same(again(PretrainedFeatureExtractor(spec)).backbone, spec)


# What cannot be saved ----------------------------------------------------------------------------


class Texts(str):
    pass


NOT_SAVED = {
    "a callable": ({"class_weight": print}, "class_weight .* <built-in function print>"),
    "a subclass": ({"resize": Texts("pad")}, "resize of this FineTunedClassifier .*, a Texts"),
    "inside": ({"class_weight": {0: [1, {2: {3}}]}}, r"class_weight of .* it holds \{3\}, a set"),
    "bytes": ({"cache": b"folder"}, "cache of .* it holds b'folder', a bytes"),
    "complex": ({"image_shape": np.array([1j])}, "image_shape .* array of dtype complex128"),
    "records": ({"image_shape": np.zeros(1, "i4,i4")}, "image_shape .* array of dtype"),
    "objects": (
        {"image_shape": np.array([[1], [print]], object)},
        "not 1-D or has items other than None",
    ),
    "PCG64": ({"random_state": np.random.RandomState(np.random.PCG64(0))}, "on PCG64, not on MT"),
}


@pytest.mark.parametrize(("parameters", "message"), NOT_SAVED.values(), ids=NOT_SAVED)
def test_what_is_no_data_is_refused_by_name(parameters, message, tmp_path):
    with pytest.raises(TypeError, match=message + r".* joblib.dump\(estimator, path\) keeps any"):
        FineTunedClassifier(**parameters).save(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_nests_without_end_is_refused(tmp_path):
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="class_weight .* nested more than 64 levels deep"):
        FineTunedClassifier(class_weight=endless).save(tmp_path / "file")


def test_a_state_that_would_not_be_opened_is_refused(make, X, y, tmp_path):
    classifier = make(epochs=0).fit(X, y)
    classifier._task = replace(classifier._task, classes=classifier.classes_[:1])
    with pytest.raises(ValueError, match="cannot be saved: its .* sizes that do not fit together"):
        classifier.save(tmp_path / "file")


def test_an_attribute_that_is_not_known_is_refused(tmp_path):
    extractor = PretrainedFeatureExtractor()
    extractor.note = "mine"
    with pytest.raises(TypeError, match="does not know the attributes note. Delete them"):
        extractor.save(tmp_path / "file")


@pytest.mark.parametrize("name", ["Own", "PretrainedFeatureExtractor"])
def test_a_class_of_ones_own_is_refused(name, tmp_path):
    own = type(name, (PretrainedFeatureExtractor,), {"__module__": "elsewhere"})
    with pytest.raises(TypeError, match=f"{name} cannot be saved: save.. knows Pretrained"):
        own().save(tmp_path / "file")


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (layers.Lambda(lambda x: x), ValueError, "asks for 'Lambda' of 'keras.layers'"),
        (layers.Normalization(mean=0.5, variance=1.0), None, ""),
        (layers.Conv2D(3, 3, padding="same"), TypeError, "augment .* which holds weights of its"),
    ],
)
def test_a_layer_that_would_not_be_opened_is_not_saved(layer, error, message, tmp_path):
    layer.build((None, 8, 8, 3))
    classifier = FineTunedClassifier(augment=layer)
    if error is None:
        return classifier.save(tmp_path / "file")
    with pytest.raises(error, match=message):
        classifier.save(tmp_path / "file")


# Writing -----------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    PretrainedFeatureExtractor(pooling="max").save(path)

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_module.os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        PretrainedFeatureExtractor().save(path)
    assert load(path).pooling == "max"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_place_for_a_file_is_named_before_anything_is_written(tmp_path, monkeypatch):
    (here := tmp_path / "here").mkdir()
    (here / "file").touch()
    monkeypatch.chdir(here)
    for folder in ("", ".", here):
        with pytest.raises(IsADirectoryError, match=r"path='.*here' is a folder\. Add the name"):
            PretrainedFeatureExtractor().save(folder)
    for lost in ("missing/x.skt", "file/x.skt"):
        with pytest.raises(FileNotFoundError, match=rf"path='.*{lost}' lies in '.*', which is no"):
            PretrainedFeatureExtractor().save(lost)
    monkeypatch.setattr(file_module.os, "access", lambda path, mode: False)  # root has all rights
    with pytest.raises(PermissionError, match=r"path='.*new' lies in '.*here', where this process"):
        PretrainedFeatureExtractor().save("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "file"]


def test_a_file_is_replaced_where_a_link_points(tmp_path):
    (tmp_path / "link").symlink_to("file")
    PretrainedFeatureExtractor(pooling="max").save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "file").pooling == load(tmp_path / "link").pooling == "max"


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    PretrainedFeatureExtractor(pooling="max").save("~/file")
    assert load(Path("~") / "file").pooling == "max"


def test_the_rights_of_a_file_are_those_of_any_new_one(tmp_path):
    PretrainedFeatureExtractor().save(tmp_path / "file")
    (tmp_path / "other").touch()
    assert os.stat(tmp_path / "file").st_mode == os.stat(tmp_path / "other").st_mode


# skops -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_skops_needs_no_trust_but_in_our_own_classes(kind, fitted, tiny, make, X, y):
    skops = pytest.importorskip("skops.io")
    estimator = make() if kind is FineTunedClassifier else kind(tiny)
    estimator = estimator.fit(X, y) if fitted else estimator
    dumped = skops.dumps(estimator)
    untrusted = skops.get_untrusted_types(data=dumped)
    assert all(name.startswith("skltransfer.") for name in untrusted)
    loaded = skops.loads(dumped, trusted=untrusted)
    assert_same(loaded.__getstate__(), estimator.__getstate__())
    if fitted:
        method = "transform" if kind is PretrainedFeatureExtractor else "predict_proba"
        assert_array_equal(getattr(loaded, method)(X), getattr(estimator, method)(X))


def test_skops_takes_a_pipeline_and_names_the_bundled_network_only(with_bundled):
    skops = pytest.importorskip("skops.io")
    dumped = skops.dumps(make_pipeline(with_bundled, LogisticRegression()))
    assert len(dumped) < 1_000_000
    untrusted = skops.get_untrusted_types(data=dumped)
    assert all(name.startswith("skltransfer.") for name in untrusted)
    loaded = skops.loads(dumped, trusted=untrusted)[0]
    assert loaded.backbone_ == resolve("efficientnet_lite0")
