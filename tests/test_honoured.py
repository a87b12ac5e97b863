"""What files, parameters and models say is honoured: each fault that was met, and its kind."""

from __future__ import annotations

import inspect
import io
import os

import keras
import numpy as np
import pytest
from keras import layers
from PIL import ExifTags, Image
from sklearn.preprocessing import StandardScaler

from image_files import H, W, encode, png
from input_kinds import loaded, opened, read
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, register_backbone
from skltransfer.backbones import recognition
from skltransfer.backbones.registry import resolve
from skltransfer.backend import as_array
from skltransfer.estimators.base import ACTING_AT_ONCE
from skltransfer.estimators.classifier_targets import read_labels
from skltransfer.frozen.engine_selection import chosen_engine
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.network.runtime import network_of
from tiff_files import SIGNED, Layout, tiff

RNG = np.random.default_rng(0)
TWELVE = RNG.integers(0, 4096, (3, H, W), dtype=np.uint16)
TWELVE[0, 0, 0] = 4095
PATCHES = RNG.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
CLASSES = np.arange(12) % 2


def files_of(images):
    return [encode(image, "PNG") for image in images]


def tiny(*first):
    """A network of one convolution, behind the layers given."""
    keras.utils.set_random_seed(0)
    steps = [keras.Input((16, 16, 3)), *first]
    steps += [layers.Conv2D(4, 3, strides=2), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential(steps)
    statistics = [1.5, 0.1, 20.0, 900.0]
    model.layers[-2].set_weights([np.full(4, value) for value in statistics])
    return model


# An explicit range holds for files too ---------------------------------------------------------


def test_files_of_twelve_bits_are_read_by_the_range_as_arrays_are():
    given = {"pixel_range": (0, 4095), "sizes": [(H, W)] * 3}
    of_arrays, of_files = read(TWELVE, **given), read(files_of(TWELVE), **given)
    of_images = read([Image.fromarray(image) for image in TWELVE], **given)
    np.testing.assert_array_equal(of_files, of_arrays)
    np.testing.assert_array_equal(of_images, of_arrays)


def test_files_of_eight_bits_beside_them_keep_theirs():
    eight = (TWELVE[0] // 16).astype(np.uint8)
    source = [encode(eight, "PNG"), *files_of(TWELVE)]
    shown = read(source, sizes=[(H, W)] * 4, pixel_range=(0, 4095))
    np.testing.assert_array_equal(shown[0][..., 0], eight)
    np.testing.assert_allclose(shown[1][..., 0], TWELVE[0] / 4095 * 255, atol=1e-3)


def test_signed_values_need_the_range_and_are_read_by_it():
    hounsfield = RNG.integers(-1024, 3000, (H, W, 1))
    scan = tiff(hounsfield, Layout(16, sample_format=SIGNED))
    (shown,) = read([scan], sizes=[(H, W)], pixel_range=(-1024, 3000))
    np.testing.assert_allclose(shown, (hounsfield + 1024) / 4024 * 255 + [0, 0, 0], atol=1e-3)
    with pytest.raises(ImageReadError, match=r"signed 16-bit integers.* as in pixel_range=\(0, 4"):
        loaded(opened([scan]), 0)


@pytest.mark.parametrize("make", [list, files_of, lambda X: list(map(Image.fromarray, X))])
def test_the_same_scale_warns_alike_whatever_holds_it(make):
    told = r"largest value in .*X is 4095, but with pixel_range=None.*\(0, 4095\)"
    with pytest.warns(UserWarning, match=told):
        read(make(TWELVE))
    with pytest.warns(UserWarning, match="they seem to be on another scale"):
        read(make(TWELVE), pixel_range=(0, 255))


def test_colours_of_sixteen_bits_lose_no_bit():
    deep = RNG.integers(0, 4096, (H, W, 3), dtype=np.uint16)
    given = {"pixel_range": (0, 4095), "sizes": [(H, W)]}
    np.testing.assert_array_equal(
        read([png(deep, 16, 2)], **given), read(deep[np.newaxis], **given)
    )
    refused = pytest.raises(ImageReadError, match="a PIL image keeps only the upper 8 bits of 16")
    with Image.open(io.BytesIO(png(deep, 16, 2))) as image, refused:
        loaded(opened([image], pixel_range=(0, 4095)), 0)


# Floats a little above 1 -----------------------------------------------------------------------


@pytest.mark.parametrize("largest", [1.0000002, 1.02, 1.1])
def test_overshoots_are_clipped_with_a_warning(largest):
    X = RNG.random((2, H, W)).astype(np.float32)
    X[1, 2, 3] = largest
    with pytest.warns(UserWarning, match=r"is read as 0 to 1\. Larger values.* are clipped"):
        found = read(X, sizes=[(H, W)] * 2)
    np.testing.assert_array_equal(found, read(np.clip(X, 0, 1), sizes=[(H, W)] * 2))
    np.testing.assert_array_equal(read(X[:1], sizes=[(H, W)]), found[:1])  # a fold without it


@pytest.mark.parametrize("largest", [1.11, 1.5, 1.99])
def test_between_the_scales_the_range_has_to_be_given(largest):
    with pytest.raises(ValueError, match=r"too much for images of 0 to 1 .*pixel_range=\(0, 1"):
        read(np.full((2, H, W), largest))
    read(np.full((2, H, W), largest), pixel_range=(0, largest))


# Channels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels, which, way_out", [(4, "fourth", ":3"), (2, "second", ":1")])
@pytest.mark.parametrize("make", [np.stack, list])
def test_a_channel_that_is_never_opaque_is_told(channels, which, way_out, make):
    near_infrared = np.full((2, H, W, channels), 180, np.uint8)
    with pytest.warns(UserWarning, match=rf"The {which} channel of X .*X\[\.\.\., {way_out}\]"):
        read(make(near_infrared))
    near_infrared[0, :2, :, -1] = 255  # alpha is opaque somewhere
    read(make(near_infrared))


# Orientation -----------------------------------------------------------------------------------


def test_an_image_that_was_turned_by_hand_is_not_turned_again():
    upright = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = H
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageHeight] = W
    stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    file = encode(stored, "PNG", exif=exif)
    with Image.open(io.BytesIO(file)) as opened_image:
        turned = opened_image.rotate(-90, expand=True)  # its tag is still 6
        converted = opened_image.convert("RGB")
        for image in [file, opened_image, converted, turned]:
            shown = decode(image, ImagePreprocessing((H, W)), 0)
            np.testing.assert_array_equal(shown, upright)


# Files of networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_replaced_network_of_the_same_size_and_time_is_another(tmp_path, suffix):
    paths, place = [tmp_path / f"{n}{suffix}" for n in (1, 2)], tmp_path / f"net{suffix}"
    model = tiny()
    for factor, path in enumerate(paths, start=1):
        model.set_weights([factor * w for w in model.get_weights()])
        (model.save if suffix == ".keras" else model.save_weights)(path)
    fingerprints = []
    for path in paths:
        with open(place, "r+b" if place.exists() else "wb") as file:  # in place: the same inode
            file.write(path.read_bytes())
            file.truncate()
        os.utime(place, (1_700_000_000, 1_700_000_000))
        spec = resolve(place) if suffix == ".keras" else resolve(model, place)
        fingerprints.append(spec.fingerprint)
    assert fingerprints[0] != fingerprints[1]


# Parameters after fit --------------------------------------------------------------------------

CHANGED = {
    "backbone": "MobileNetV2",
    "weights": None,
    "layer": "conv2d",
    "pooling": "max",
    "image_shape": (8, 8),
    "pixel_range": (0, 100),
    "input_size": (20, 20),
    "resize": "crop",
    "batch_size": 5,
    "precision": "float16",
    "engine": "auto",
    "cache": None,
    "on_error": "nan",
    "n_jobs": 2,
    "random_state": 7,
    "verbose": 0,
    "freeze_depth": 0,
    "head_units": (3,),
    "head_activation": "tanh",
    "head_dropout": 0.5,
    "head_init": "random",
    "epochs": 3,
    "learning_rate": 0.1,
    "head_learning_rate": 0.2,
    "layer_decay": 0.5,
    "weight_decay": 0.0,
    "schedule": "constant",
    "batch_norm": "train",
    "augment": "flip",
    "n_views": 2,
    "label_smoothing": 0.1,
    "class_weight": "balanced",
    "early_stopping": True,
    "validation_fraction": 0.5,
    "n_iter_no_change": 1,
    "warm_start": True,
    "tabular": StandardScaler(),
    "input_column": "photo",
    "max_tokens": 16,
    "sample_rate": 8000,
    "max_seconds": 1.0,
    "adaptation": "self",
}
VIEWS = {"tta", "augment", "n_views"}


@pytest.fixture(scope="module")
def fitted():
    model = tiny()
    extractor = PretrainedFeatureExtractor(model, engine="tensorflow").fit(PATCHES)
    classifier = FineTunedClassifier(model, epochs=1, random_state=0, engine="tensorflow")
    return {
        "extractor": (extractor, extractor.transform),
        "classifier": (classifier.fit(PATCHES, CLASSES), classifier.predict_proba),
    }


@pytest.mark.parametrize("kind", ["extractor", "classifier"])
def test_what_changes_numbers_is_fitted_and_the_rest_acts_at_once(kind, fitted):
    estimator, compute = fitted[kind]
    names = set(inspect.signature(type(estimator)).parameters)
    assert names - VIEWS <= set(CHANGED)
    expected, before = compute(PATCHES), estimator.get_params()
    for name in sorted(names - VIEWS):
        estimator.set_params(**{name: CHANGED[name]})
        np.testing.assert_array_equal(compute(PATCHES), expected, err_msg=name)
        estimator.set_params(**{name: before[name]})


def test_parameters_that_act_at_once_are_those_of_the_docs(fitted):
    for name in ("n_jobs", "batch_size", "cache", "verbose", "on_error", *VIEWS):
        assert name in ACTING_AT_ONCE
    extractor, transform = fitted["extractor"]
    try:
        with pytest.raises(ImageReadError):
            transform(["no such file"])
        with pytest.warns(UserWarning, match="could not be read"):
            assert np.isnan(extractor.set_params(on_error="nan").transform(["no such file"])).all()
    finally:
        extractor.set_params(on_error="raise")


# Exported models -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        layers.RandomFlip(),
        layers.RandomRotation(0.2),
        layers.Dropout(0.5),
        layers.GaussianNoise(1.0),
        keras.Sequential([layers.RandomFlip(), layers.RandomContrast(0.5)]),
    ],
    ids=["flip", "rotation", "dropout", "noise", "several"],
)
def test_an_exported_model_predicts_whatever_the_caller_does(layer):
    classifier = FineTunedClassifier(tiny(layer), epochs=1, random_state=0)
    expected = classifier.fit(PATCHES, CLASSES).predict_proba(PATCHES)
    model, X = classifier.to_keras(), PATCHES.astype(np.float32)
    for _ in range(2):
        np.testing.assert_allclose(as_array(model(X)), expected, atol=1e-4)
        np.testing.assert_allclose(as_array(model(X, training=True)), expected, atol=1e-4)
        np.testing.assert_allclose(model.predict(X, verbose=0), expected, atol=1e-4)


@pytest.mark.about("tensorflow", "OpenVINO takes TensorFlow's graphs")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_layers_of_half_precision_are_left_to_the_backend(dtype):
    pytest.importorskip("openvino", reason="OpenVINO is chosen where it is installed")
    half = layers.Conv2D(3, 3, padding="same", dtype=dtype)
    network = network_of(
        resolve(tiny(half, layers.Activation("linear", dtype="float32"))), (16, 16)
    )
    assert chosen_engine("auto", network) == "tensorflow"
    with pytest.raises(ValueError, match="computes in half precision, but OpenVINO"):
        chosen_engine("openvino", network)
    assert chosen_engine("auto", network_of(resolve(tiny()), (16, 16))) == "openvino"


# Networks of keras.applications ----------------------------------------------------------------

SIDE = 75
APPLICATIONS = {
    "MobileNet": ("tf", {"alpha": 0.25}),
    "MobileNetV2": ("tf", {"alpha": 0.35}),
    "VGG16": ("caffe", {}),
    "MobileNetV3Small": (None, {}),  # rescales itself
    "EfficientNetB0": (None, {}),
}


@pytest.fixture(scope="module")
def applications():
    return {
        name: getattr(keras.applications, name)(
            weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), **options
        )
        for name, (_, options) in APPLICATIONS.items()
    }


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_model_of_keras_applications_has_the_preprocessing_of_its_name(name, applications):
    expected, model = APPLICATIONS[name][0], applications[name]
    source = keras.Input((SIDE, SIDE, 3))
    cut = keras.Model(model.inputs, model.layers[len(model.layers) // 2].output)
    augmented = keras.Sequential([source, layers.RandomFlip(), model])
    rescaled = keras.Model(source, model(layers.Rescaling(1 / 255)(source)))
    divided = keras.Model(source, model(source / 255.0))
    for network in [model, cut, augmented]:
        assert resolve(network).preprocessing.get("mode") == expected
    for network in [rescaled, divided]:
        assert resolve(network).preprocessing.get("mode") is None
    for given in ["torch", None]:
        handle = register_backbone("given", model, preprocessing=given)
        assert handle.preprocessing.get("mode") == given
        assert resolve(handle).preprocessing == resolve("given").preprocessing


def test_all_families_are_recognised_by_the_names_and_stems_that_keras_gives():
    """Those that take seconds to build are known from the layers they begin with."""
    for names, (family, _) in recognition._BY_NAMES.items():
        assert len(names) in (2, 3) and family
    x = source = keras.Input((SIDE, SIDE, 3))
    for filters, strides, padding in recognition._INCEPTION_STEM:
        x = layers.Conv2D(filters, 3, strides=strides, padding=padding, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
    assert resolve(keras.Model(source, x)).preprocessing["mode"] == "tf"
    other = tiny()
    assert resolve(other).preprocessing.get("mode") is None


def test_features_of_the_model_are_those_of_its_name(applications, capfd):
    model, images = applications["MobileNet"], PATCHES[:3]
    extractor = PretrainedFeatureExtractor(model, input_size=(SIDE, SIDE), verbose=1)
    found = extractor.fit_transform(images)
    assert "its first layers are those of a network of keras.applications" in capfd.readouterr().err
    handle = register_backbone("by_mode", model, preprocessing="tf")
    expected = PretrainedFeatureExtractor(handle, input_size=(SIDE, SIDE)).fit_transform(images)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


# Labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y, message",
    [
        (np.array([0.5, 1.2, 3.1]), r"^Unknown label type.* use a FineTunedRegressor; if it holds"),
        (np.array(["2024-01-01"] * 3, "datetime64[D]"), r"^y holds times \(datetime64\[D\]\)"),
        (
            np.array(["a", 1, "b"], object),
            r"cannot be sorted together: \['int', 'str'\]",
        ),
    ],
    ids=["continuous", "times", "mixed"],
)
def test_labels_that_are_none_name_the_way_out(y, message):
    with pytest.raises(ValueError, match=message):
        read_labels(y)


def test_a_batch_of_one_in_each_row_names_the_way_out():
    with pytest.raises(ValueError, match=r"Drop the first axis: \[x\[0\] for x in X\]\."):
        read([np.zeros((1, H, W, 3), np.uint8)] * 2)
    with pytest.raises(
        ValueError, match=r"Merge the first axes: X\.reshape\(-1, \*X\.shape\[-3:\]\)"
    ):
        read(np.zeros((2, 1, H, W, 3), np.uint8))


def test_intact_files_of_another_kind_are_told_beside_damaged_ones(fitted):
    bands = tiff(np.zeros((H, W, 5), np.uint8), Layout(8))
    extractor, _ = fitted["extractor"]
    extractor.set_params(on_error="nan")
    try:
        with pytest.warns(UserWarning, match=r"could not be .*For another reason: row 2 .*5 bands"):
            extractor.transform([b"", b"", bands])
    finally:
        extractor.set_params(on_error="raise")
