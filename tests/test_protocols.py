"""Files of every protocol are read, and the estimators in them compute what they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from protocol_files import CLASSIFIER, EXPECTED, EXTRACTOR
from skltransfer import load
from skltransfer.persistence.file import PROTOCOL

# The files were written where Keras ran on TensorFlow; elsewhere that is told, once.
pytestmark = pytest.mark.filterwarnings("ignore:This estimator was fitted with engine:UserWarning")

FOLDERS = sorted((Path(__file__).parent / "data").glob("protocol_*"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_there_are_files_of_all_protocols():
    assert [folder.name for folder in FOLDERS] == [f"protocol_{i + 1}" for i in range(PROTOCOL)]


def test_a_classifier_predicts_what_it_did(folder):
    classifier = load(folder / CLASSIFIER)
    expected = np.load(folder / EXPECTED)
    found = classifier.predict_proba(expected["images"])
    assert_allclose(found, expected["probabilities"], rtol=0, atol=1e-5)
    assert classifier.classes_.tolist() == ["circle", "square", "triangle"]
    assert classifier.freeze_depth == -1


def test_an_extractor_gives_the_features_it_gave(folder):
    expected = np.load(folder / EXPECTED)
    found = load(folder / EXTRACTOR).transform(expected["images"])
    largest = np.abs(expected["features"]).max()
    assert_allclose(found, expected["features"], rtol=0, atol=1e-5 * largest)


def test_what_was_loaded_is_saved_by_the_newest_protocol(folder, tmp_path):
    classifier, images = load(folder / CLASSIFIER), np.load(folder / EXPECTED)["images"]
    classifier.save(tmp_path / CLASSIFIER)
    again = load(tmp_path / CLASSIFIER)
    assert_array_equal(again.predict_proba(images), classifier.predict_proba(images))


def test_training_goes_on(folder):
    classifier, images = load(folder / CLASSIFIER), np.load(folder / EXPECTED)["images"]
    # The file asks for TensorFlow, which training would demand.
    classifier.set_params(warm_start=True, epochs=1, engine="auto")
    labels = ["circle", "square", "triangle"] * 4
    assert classifier.fit(images, labels).score(images, labels) > 1 / 3
