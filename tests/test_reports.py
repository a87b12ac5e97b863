"""Public reports on other packages, written as a user of this one would, and held for their kinds.

Each section names the threads of GitHub that it is of.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import pathlib
import pickle
import shutil

import joblib
import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest
from keras import layers
from PIL import Image
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score

from image_files import encode
from skltransfer import FineTunedClassifier, FineTunedRegressor, PretrainedFeatureExtractor, load
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.sounds.taking import sounds_of
from skltransfer.inputs.texts.taking import texts_of

X = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
CLASSES = np.arange(12) % 2
NAMES = np.array(["cat", "dog"])[CLASSES]
ENCODED = [encode(Image.fromarray(image), "PNG") for image in X]


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()]
    )


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def make(model):
    """Make a classifier, or another estimator, that trains in a moment."""

    def made(kind=FineTunedClassifier, **parameters):
        settings = {"epochs": 1, "freeze_depth": -1, "random_state": 0, "cache": None}
        return kind(parameters.pop("backbone", model), **(settings | parameters))

    return made


@pytest.fixture(scope="module")
def fitted(make):
    return make().fit(X, NAMES)


# Labels of nullable columns ----------------------------------------------------------------
# scikit-learn/scikit-learn#25073, #17675 and #19889: y of pandas' Int64 and boolean.

NULLABLE = {
    "Int64": [0, 1],
    "int64[pyarrow]": [0, 1],
    "boolean": [False, True],
    "bool[pyarrow]": [False, True],
    "Float64": [0.0, 1.0],
    "category": [0, 1],
}


@pytest.mark.parametrize("dtype", NULLABLE)
@pytest.mark.parametrize("container", [pd.Series, lambda y: pd.DataFrame({"y": y})])
@pytest.mark.filterwarnings("ignore:A column-vector y:sklearn.exceptions.DataConversionWarning")
def test_classes_of_nullable_columns_are_what_the_column_holds(make, dtype, container):
    y = container(pd.Series(CLASSES).astype(dtype))
    classes = make(epochs=0).fit(X, y).classes_
    assert classes.tolist() == NULLABLE[dtype]
    assert classes.dtype == np.array(NULLABLE[dtype]).dtype


def test_large_integers_of_a_nullable_column_stay_apart(make):
    """In floats, these two are one."""
    ids = 2**53 + CLASSES
    classifier = make(epochs=0).fit(X, pd.Series(ids, dtype="Int64"))
    np.testing.assert_array_equal(classifier.classes_, [2**53, 2**53 + 1])
    assert set(classifier.predict(X)) <= set(ids)


WITHOUT_LABEL = {
    "Int64": pd.Series([*CLASSES[1:], None], dtype="Int64"),
    "boolean": pd.Series([*(CLASSES[1:] == 1), None], dtype="boolean"),
    "pyarrow": pd.Series([*CLASSES[1:].tolist(), None], dtype="int64[pyarrow]"),
    "string": pd.Series([*NAMES[1:], None], dtype="string"),
    "category": pd.Series(pd.Categorical([*NAMES[1:], None])),
    "polars": pl.Series([*CLASSES[1:].tolist(), None]),
    "floats": np.array([*CLASSES[1:], np.nan]),
}


@pytest.mark.parametrize("y", WITHOUT_LABEL.values(), ids=WITHOUT_LABEL)
def test_a_missing_label_is_named_whatever_holds_it(make, y):
    with pytest.raises(ValueError, match=r"y has no label in row 11: .* Leave them out of X and y"):
        make().fit(X, y)


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("Int64", r"y has no value for some label of row 3: \[.* Fill them"),
        ("boolean", r"y has no value for some label of row 3: \[.* Fill them"),
        ("float", r"y of shape \(12, 3\) has nan in row 3, column 1"),
    ],
)
def test_a_missing_value_among_several_labels_is_named(make, dtype, message):
    frame = pd.DataFrame(np.c_[CLASSES, 1 - CLASSES, np.ones(12, int)]).astype(dtype)
    frame.iloc[3, 1] = None
    with pytest.raises(ValueError, match=message):
        make().fit(X, frame)


# Labels and probabilities go together ------------------------------------------------------
# huggingface/setfit#462 and #587: predict contradicts the argmax of predict_proba by names.
# scikit-learn/scikit-learn#13366 and #17035: a class that a fold lacks shifts the columns.

ORDERS = {
    "str": NAMES,
    "object": NAMES.astype(object),
    "unused category": pd.Categorical(NAMES, categories=["dog", "cow", "cat"]),
    "ordered category": pd.Series(
        pd.Categorical(NAMES, categories=["dog", "cat"], ordered=True), index=range(50, 62)
    ),
    "enum": pl.Series(NAMES.tolist(), dtype=pl.Enum(["dog", "cow", "cat"])),
    "negative": CLASSES * 2 - 1,
    "bool": CLASSES == 1,
}


@pytest.mark.parametrize("y", ORDERS.values(), ids=ORDERS)
def test_predictions_are_the_classes_of_the_largest_probability(make, y, tmp_path):
    classifier = make().fit(X, y)
    classifier.save(tmp_path / "classifier")
    for same in [classifier, load(tmp_path / "classifier"), pickle.loads(pickle.dumps(classifier))]:
        best = same.classes_[same.predict_proba(X).argmax(axis=1)]
        np.testing.assert_array_equal(same.predict(X), best)
        np.testing.assert_array_equal(same.predict_proba(X), classifier.predict_proba(X))
        assert same.classes_.dtype == classifier.classes_.dtype


@pytest.mark.filterwarnings("ignore:Number of classes in training fold:RuntimeWarning")
def test_a_class_that_a_fold_lacks_has_a_column_of_zeros(make):
    y = NAMES.copy()
    y[0] = "ape"
    found = cross_val_predict(make(), X, y, cv=KFold(3), method="predict_proba")
    assert found.shape == (12, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[0, 0] == 0 and (found[4:, 0] > 0).all()


def test_scores_know_nullable_labels(make):
    plain = cross_val_score(make(), X, CLASSES, cv=3)
    for dtype in ("Int64", "boolean"):
        y = pd.Series(CLASSES).astype(dtype)
        np.testing.assert_array_equal(cross_val_score(make(), X, y, cv=3), plain)


# Masks, and containers that are no columns --------------------------------------------------
# numpy/numpy#10438 and scipy/scipy#6160: masks, of weights above all, are dropped without a word.


def hidden(values):
    return np.ma.array(values, mask=np.zeros(np.shape(values), bool) | (np.arange(12) == 3))


def test_masked_values_are_refused_wherever_they_are(make):
    message = r" is a masked array with 1 masked values.*filled\(0\), or leave their rows out"
    regressor, numbers = make(FineTunedRegressor), np.linspace(0, 1, 12)
    for fit in [
        lambda: make().fit(X, hidden(CLASSES)),
        lambda: regressor.fit(X, hidden(numbers)),
        lambda: make().partial_fit(X, hidden(CLASSES), classes=[0, 1]),
    ]:
        with pytest.raises(ValueError, match="^y" + message):
            fit()
    for estimator, y in [(make(), CLASSES), (regressor, numbers)]:
        with pytest.raises(ValueError, match="^sample_weight" + message):
            estimator.fit(X, y, sample_weight=hidden(np.ones(12)))
    make(epochs=0).fit(X, np.ma.array(CLASSES))  # nothing is hidden


@pytest.mark.parametrize(
    "wrap, way_out",
    [
        (lambda y: dict(enumerate(y)), r"y is a dict, .* Pass list\(y.values\(\)\)"),
        (lambda y: iter(y), r"y is a list_iterator, .* Pass list\(y\)"),
        (lambda y: set(y), r"y is a set, .* Pass list\(y\)"),
        (lambda y: str(y[0]), r"y is a str, .* Pass a list with one value for each row"),
    ],
)
def test_containers_of_labels_name_the_way_out(make, wrap, way_out):
    for estimator in (make(), make(FineTunedRegressor)):
        with pytest.raises(TypeError, match=way_out):
            estimator.fit(X, wrap(CLASSES.tolist()))


# Files of estimators -----------------------------------------------------------------------
# fastai/fastai#1482 and #3921: a pickled path of one system does not load on another.


@pytest.fixture
def another_system(monkeypatch):
    """Let paths of this system be such as cannot be made, as on another."""

    def refused(cls, *parts, **options):
        raise NotImplementedError(f"cannot instantiate {cls.__name__!r} on your system")

    kind = type(pathlib.Path())
    other = type("OtherPath", (pathlib.PurePosixPath,), {"__module__": "pathlib"})
    return lambda: (
        monkeypatch.setattr(pathlib, kind.__name__, type("Gone", (), {"__new__": refused})),
        monkeypatch.setattr(pathlib, "Path", other),
    )


def test_pickles_with_paths_load_on_another_system(make, model, tmp_path, another_system):
    model.save(tmp_path / "net.keras")
    paths = {"backbone": tmp_path / "net.keras", "cache": tmp_path / "cache"}
    classifier = make(**paths).fit(X, NAMES)
    expected, data = classifier.predict_proba(X), pickle.dumps(classifier)
    for twin in (copy.copy(classifier), copy.deepcopy(classifier)):
        assert (twin.backbone, twin.cache) == tuple(paths.values())
    another_system()
    loaded = pickle.loads(data)
    assert str(loaded.backbone) == str(paths["backbone"])
    np.testing.assert_array_equal(loaded.set_params(cache=None).predict_proba(X), expected)


# autogluon/autogluon#4133 and #5338: what was trained in one folder loads in that folder only.


def test_an_estimator_serves_without_the_files_that_it_was_made_of(make, model, tmp_path):
    work = tmp_path / "training"
    work.mkdir()
    model.save(work / "net.keras")
    classifier = make(backbone=str(work / "net.keras"), cache=work / "cache").fit(X, NAMES)
    expected, pickled = classifier.predict_proba(X), pickle.dumps(classifier)
    classifier.save(tmp_path / "classifier")
    shutil.rmtree(work)
    for loaded in (load(tmp_path / "classifier"), pickle.loads(pickled)):
        np.testing.assert_array_equal(loaded.set_params(cache=None).predict_proba(X), expected)


# scikit-learn/scikit-learn#25584 and bentoml/BentoML#1219: what joblib maps into memory is
# read-only.


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_an_estimator_mapped_into_memory_is_a_whole_one(fitted, mode, tmp_path):
    joblib.dump(fitted, tmp_path / "dumped")
    mapped = joblib.load(tmp_path / "dumped", mmap_mode=mode)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(mapped.predict_proba(X), expected)
    mapped.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict_proba(X), expected)
    mapped.set_params(warm_start=True).fit(X, NAMES)
    mapped.partial_fit(X, NAMES)


# skorch-dev/skorch#31, hill-a/stable-baselines#86 and alteryx/evalml#4178: streams in place of
# paths; bentoml/BentoML#5: addresses.


@pytest.mark.parametrize("path", [io.BytesIO(), None, 1, b"name"], ids=type)
def test_what_is_no_path_is_refused_by_what_it_is(fitted, path):
    for call in (fitted.save, load):
        with pytest.raises(TypeError, match=r"^path=.* is a \w+\. Give the path of a file.*stream"):
            call(path)


@pytest.mark.parametrize("address", ["s3://bucket/name", "https://host/name", "file:///name"])
@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_addresses_are_no_paths(make, fitted, address, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (fitted.save, load):
        with pytest.raises(ValueError, match=r"path=.* is a URL, and nothing is uploaded or"):
            call(kind(address))
    with pytest.raises(ValueError, match=r"^cache=.* is a URL, but the cache must be a local"):
        make(cache=kind(address)).fit(X, NAMES)
    with pytest.raises(ImageReadError, match="it is a URL, and nothing is downloaded"):
        fitted.predict([kind(address)])
    assert not list(tmp_path.iterdir())


# git-lfs/git-lfs#4366 and vllm-project/vllm#1382: "invalid load key, 'v'" is a pointer of Git LFS.


def test_files_that_lost_their_content_on_the_way_are_told(fitted, tmp_path):
    fitted.save(tmp_path / "good")
    data, path = (tmp_path / "good").read_bytes(), tmp_path / "bad"
    for content, message in [
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer. Run git lfs"),
        (b"<!DOCTYPE html><title>404", r"it is text \(HTML or XML\), as left by a failed download"),
        (data.replace(b"\r\n", b"\n"), "whose line endings were changed, as by git"),
        (data.decode("utf-8", "replace").encode(), "that was read or sent as text"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(path)


# Requests ----------------------------------------------------------------------------------
# python-pillow/Pillow#5769 and #6646: images that arrive as text, or as open files.

TEXTS = {
    "base64": lambda data: base64.b64encode(data).decode(),
    "url-safe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "in JSON": lambda data: json.dumps(base64.b64encode(data).decode()),
    "repr": lambda data: str(base64.b64encode(data)),
}
PNG, WAV = ENCODED[0], b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0" + bytes(20)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", [str, str.encode], ids=["str", "bytes"])
@pytest.mark.parametrize("data", [PNG, PNG * 50], ids=["short", "longer than a path"])
def test_base64_is_told_and_no_missing_file(fitted, text, kind, data):
    with pytest.raises(ImageReadError, match=r"it is a file in base64\. Pass base64\.b64decode"):
        fitted.predict([kind(text(data))])


@pytest.mark.parametrize("kind", [str, str.encode], ids=["str", "bytes"])
@pytest.mark.parametrize(
    "text, message",
    [
        ("data:image/png;base64," + base64.b64encode(PNG).decode(), "data URI.*partition"),
        ("data:audio/wav;base64," + base64.b64encode(WAV).decode(), "data URI.*partition"),
        (PNG.hex(), r"in hexadecimal digits\. Pass bytes\.fromhex"),
        ('{"image": "iVBORw0"}', r"it is JSON\. Pass the bytes of the file in it"),
        ("--boundary\r\nContent-Type: image/png\r\n\r\n", "it is the body of a form"),
    ],
    ids=["image", "sound", "hex", "JSON", "form"],
)
def test_other_wrappings_of_a_file_are_told(fitted, text, message, kind):
    with pytest.raises(ImageReadError, match=message):
        fitted.predict([kind(text)])


class Upload:
    """As frameworks for services hand over files."""

    async def read(self):
        return PNG


STREAMS = {
    "BytesIO": (io.BytesIO(PNG), r"BytesIO, an open file\. Pass \[each\.read\(\) for each in X\]"),
    "upload": (Upload(), r"Upload, an open file\. Pass \[await each\.read\(\) for each in X\]"),
    "array": (np.frombuffer(PNG, np.uint8), r"the bytes of a file in an array\. Pass \[each\.tob"),
    "column": (np.frombuffer(PNG, np.uint8)[:, np.newaxis], r"the bytes of a file in an array"),
}


@pytest.mark.parametrize("item, message", STREAMS.values(), ids=STREAMS)
def test_open_files_are_told_and_no_rows_of_numbers(make, fitted, item, message):
    for call in (fitted.predict, lambda X: make().fit(X, NAMES[: len(X)])):
        with pytest.raises(TypeError, match=f"row 0 of X is .*{message}"):
            call([item, item])
        with pytest.raises(TypeError, match=f"row 1 of X is .*{message}"):
            call([PNG, item])
    for take in (texts_of, lambda X: sounds_of(X, 16000)):
        with pytest.raises(TypeError, match=f"row 0 of X is .*{message}"):
            take([item, item])


@pytest.mark.parametrize("take", [texts_of, lambda X: sounds_of(X, 16000)])
def test_one_open_file_is_no_list_of_its_lines(fitted, take):
    for call in (fitted.predict, take):
        with pytest.raises(TypeError, match=r"X is a BytesIO, an open file\. Pass \[X\.read\(\)\]"):
            call(io.BytesIO(PNG))


# intel/dffml#261 and amirziai/sklearnflask#8: predictions that JSON does not take.


def test_predictions_go_into_json_as_the_guide_says(make, fitted):
    numbered = make().fit(X, CLASSES)
    for classifier in (fitted, numbered):
        labels, probabilities = classifier.predict(ENCODED), classifier.predict_proba(ENCODED)
        answer = {"label": labels.tolist(), "probabilities": probabilities.tolist()}
        answer["classes"] = classifier.classes_.tolist()
        assert json.loads(json.dumps(answer)) == answer


# keras-team/keras#13118 and serengil/deepface#697: services clear Keras' session now and then;
# tensorflow/tensorflow#61298: others set what Keras computes in.


@pytest.mark.parametrize(
    "change, back",
    [
        (keras.backend.clear_session, lambda: None),
        (lambda: keras.config.set_floatx("float16"), lambda: keras.config.set_floatx("float32")),
        (
            lambda: keras.config.set_dtype_policy("mixed_float16"),
            lambda: keras.config.set_dtype_policy("float32"),
        ),
    ],
    ids=["session", "floatx", "policy"],
)
def test_what_others_set_in_keras_changes_no_prediction(fitted, tmp_path, change, back):
    expected = fitted.predict_proba(ENCODED)
    fitted.save(tmp_path / "classifier")
    change()
    try:
        for same in (fitted, load(tmp_path / "classifier")):
            np.testing.assert_array_equal(same.predict_proba(ENCODED), expected)
    finally:
        back()


def test_an_extractor_is_served_by_the_same_rules(model):
    extractor = PretrainedFeatureExtractor(model, cache=None).fit(X)
    np.testing.assert_array_equal(extractor.transform(ENCODED), extractor.transform(X))
    with pytest.raises(TypeError, match="an open file"):
        extractor.transform([io.BytesIO(PNG)])
