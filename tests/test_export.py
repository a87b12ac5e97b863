"""Exported files give what the estimators give, without this package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

import skltransfer
import toy_texts
from skltransfer import FineTunedRegressor, PretrainedFeatureExtractor, export
from skltransfer.exporting.formats import FORMATS, METADATA
from skltransfer.inputs.images.keras_resizing import resized_by_products
from skltransfer.inputs.images.resizing import resize

pytestmark = pytest.mark.about("tensorflow", reason="exports start from its graph")

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite", "saved_model": ""}
SIZE = (20, 24)


@pytest.fixture
def path(tmp_path):
    def of(name="onnx"):
        return tmp_path / f"model{SUFFIXES[name]}"

    return of


def results_of(path, X, name="onnx"):
    return FORMATS[name].run(path, np.asarray(X, np.float32))


def metadata_of(path, name):
    if name == "onnx":
        import onnx

        return {p.key: p.value for p in onnx.load(path).metadata_props}[METADATA]
    if name == "openvino":
        from openvino import Core

        return Core().read_model(path).get_rt_info([METADATA]).astype(str)
    if name == "litert":
        return zipfile.ZipFile(path).read(f"{METADATA}.json")
    return (path / "assets.extra" / f"{METADATA}.json").read_text()


# Resizing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(20, 24), (16, 16), (7, 40), (90, 31), (1, 3)])
def test_products_resize_as_the_estimators_do(how, size):
    image = np.random.default_rng(0).uniform(0, 255, (*size, 3)).astype(np.float32)
    for wanted in [(16, 16), (10, 24)]:
        found = np.asarray(resized_by_products(image[np.newaxis], wanted, how))[0]
        np.testing.assert_allclose(found, resize(image, wanted, how), atol=1e-3)


# Agreement -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_classifier_in_each_format(make, cats_and_dogs, images, path, name):
    X, y = cats_and_dogs
    classifier = make(resize="crop").fit(X, y)
    export(classifier, path(name), format=name, image_size=SIZE if name == "litert" else None)
    found = results_of(path(name), images, name)
    np.testing.assert_allclose(found, classifier.predict_proba(images), atol=1e-4)
    metadata = json.loads(metadata_of(path(name), name))
    assert metadata.pop("version") == skltransfer.__version__
    assert metadata == {
        "classes": ["cat", "dog"],
        "output": "probabilities",
        "input": {
            "name": "pixels",
            "size": [16, 16],
            "resize": "crop",
            "pixel_range": [0.0, 255.0],
        },
    }


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_images_of_any_size_and_range(make, cats_and_dogs, images, path, resize):
    X, y = cats_and_dogs
    classifier = make(resize=resize).fit(X / np.float32(255), y)
    export(classifier, path())
    for some in (images, images[:, :9, :], images.repeat(3, axis=1)):
        fractions = some / np.float32(255)
        expected = classifier.predict_proba(fractions)
        np.testing.assert_allclose(results_of(path(), fractions), expected, atol=1e-4)


def test_a_regressor(tiny, images, path):
    regressor = FineTunedRegressor(tiny, epochs=1, random_state=0).fit(images, np.arange(8) * 50)
    export(regressor, path())
    found = results_of(path(), images)
    np.testing.assert_allclose(found[:, 0], regressor.predict(images), rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"layer": ["stem", "top"], "pooling": "max"}])
def test_an_extractor(tiny, images, path, settings):
    extractor = PretrainedFeatureExtractor(tiny, **settings).fit(images)
    export(extractor, path())
    expected = extractor.transform(images)
    np.testing.assert_allclose(results_of(path(), images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("last", "method", "n_classes"),
    [
        (LogisticRegression(), "predict_proba", 2),
        (LogisticRegression(), "predict_proba", 4),
        (LinearSVC(), "decision_function", 2),
        (RidgeClassifier(), "decision_function", 4),
        (LinearRegression(), "predict", 8),
    ],
)
def test_a_pipeline(tiny, images, path, last, method, n_classes):
    extractor = PretrainedFeatureExtractor(tiny)
    pipeline = make_pipeline(extractor, StandardScaler(), last).fit(
        images, np.arange(8) % n_classes
    )
    export(pipeline, path())
    expected = getattr(pipeline, method)(images)
    found = results_of(path(), images).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_search_exports_its_best_estimator(make, cats_and_dogs, images, path):
    X, y = cats_and_dogs
    search = GridSearchCV(make(), {"epochs": [1]}, cv=2).fit(X, y)
    export(search, path())
    np.testing.assert_allclose(results_of(path(), images), search.predict_proba(images), atol=1e-4)


# What is in the file ---------------------------------------------------------------------------


WITHOUT_US = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
found = session.run(["probabilities"], {"pixels": np.zeros((1, 9, 9, 3), np.float32)})[0]
assert found.shape == (1, 2)
assert not {"skltransfer", "tensorflow", "keras", "sklearn"} & set(sys.modules)
"""


def test_the_file_runs_without_this_package(make, cats_and_dogs, path):
    export(make().fit(*cats_and_dogs), path())
    subprocess.run([sys.executable, "-c", WITHOUT_US, str(path())], check=True)


def test_texts_are_token_ids_and_the_tokenizer_is_beside(path):
    texts = ["c0b0 c1b1", "c0b1", "c2b0 c1b0 c0b0", "c1b2"]
    extractor = PretrainedFeatureExtractor(toy_texts.make_network()).fit(texts)
    export(extractor, path())
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(f"{path()}.tokenizer.json")
    ids = np.array([tokenizer.encode(texts[2]).ids], np.int32)
    found = FORMATS["onnx"].run(path(), ids)
    np.testing.assert_allclose(found, extractor.transform(texts[2:3]), atol=1e-4)


# Refusals --------------------------------------------------------------------------------------


def refused(estimator, path, told, error=ValueError, **settings):
    with pytest.raises(error, match=told):
        export(estimator, path, **settings)
    assert not path.exists()


def test_what_cannot_be_exported_is_refused_by_name(make, cats_and_dogs, tiny, images, path):
    X, y = cats_and_dogs
    rows = PretrainedFeatureExtractor(tiny).fit(np.zeros((2, 5)))
    refused(rows, path(), r"fitted on rows of numbers, .* set image_shape=\(h, w, c\)")
    views = make(augment="flip", tta=True).fit(X, y)
    refused(views, path(), r"tta=True cannot be exported: .* set_params\(tta=False\)")
    refused(StandardScaler().fit([[1.0]]), path(), "A StandardScaler .* and a Pipeline of a P")
    first, labels = PretrainedFeatureExtractor(tiny), np.arange(8) % 2
    neighbours = make_pipeline(first, KNeighborsClassifier()).fit(images, labels)
    refused(neighbours, path(), "A KNeighborsClassifier cannot be exported. Allowed after")
    scaled = make_pipeline(first, MinMaxScaler(), LogisticRegression()).fit(images, labels)
    refused(scaled, path(), "A MinMaxScaler between the extractor and the linear model cannot")


def test_paths_formats_and_sizes_are_checked(make, cats_and_dogs, path, tmp_path):
    classifier = make(epochs=0).fit(*cats_and_dogs)
    refused(classifier, path(), "format='tflite' is not one of 'onnx', 'open", format="tflite")
    refused(classifier, path("litert"), r"must end with '\.onnx' for ONNX")
    refused(classifier, tmp_path / "no" / "m.onnx", "The folder of path=.* does not exist")
    told = r"LiteRT needs tensors of a fixed size. Pass image_size=\(height, width\)"
    refused(classifier, path("litert"), told, format="litert")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="is a folder that holds something else"):
        export(classifier, tmp_path / "photos", format="saved_model")
    assert (tmp_path / "photos" / "1.jpg").exists()


def test_a_file_that_differs_is_not_kept(make, cats_and_dogs, path, monkeypatch, tmp_path):
    classifier = make(epochs=0).fit(*cats_and_dogs)
    right = classifier.predict_proba
    monkeypatch.setattr(type(classifier), "predict_proba", lambda self, X: right(X) + 1e-3)
    refused(classifier, path(), r"ONNX differs from the estimator by 1\.0e-03 on trial rows, but")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_command(make, cats_and_dogs, path, monkeypatch):
    classifier = make(epochs=0).fit(*cats_and_dogs)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    told = re.escape("Install it: pip install 'skltransfer[onnx]'")
    refused(classifier, path(), rf"ONNX needs tf2onnx, .*{told}", ImportError)


def test_an_older_export_is_replaced(make, cats_and_dogs, path):
    classifier = make(epochs=0).fit(*cats_and_dogs)
    for _ in range(2):
        export(classifier, path("saved_model"), format="saved_model")
    assert (path("saved_model") / "saved_model.pb").exists()
