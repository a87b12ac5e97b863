"""Files of every protocol are read, and the estimators in them compute what they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from forged_files import taken_apart
from more_protocol_files import computed
from protocol_files import CLASSIFIER, EXPECTED, EXTRACTOR
from skltransfer import load
from skltransfer.persistence.file import PROTOCOL

# The files were written where Keras ran on TensorFlow; elsewhere that is told, once.
pytestmark = pytest.mark.filterwarnings("ignore:This estimator was fitted with engine:UserWarning")

DATA = Path(__file__).parent / "data"
FOLDERS = sorted(DATA.glob("protocol_?"), key=lambda folder: folder.name)
MORE = sorted(DATA.glob("protocol_*_more/*.skltransfer"))
HALF_PRECISION = 1e-2  # processors round bfloat16 differently: 0.0044 was seen


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


# Further files, of estimators of many kinds ------------------------------------------------------


@pytest.fixture(params=MORE, ids=lambda path: f"{path.parent.name}-{path.stem}")
def path(request):
    return request.param


def kept_beside(path):
    """What was written beside a file: X, and where it was fitted `expected` and `columns`."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        return dict(file)


def computed_of(estimator, kept):
    return computed(estimator, kept["X"], kept.get("columns"))


def test_there_are_many_kinds_of_the_first_protocol():
    assert len([path for path in MORE if path.parent.name == "protocol_1_more"]) == 16


def test_each_computes_what_it_did(path):
    estimator, kept = load(path), kept_beside(path)
    assert hasattr(estimator, "backbone_") == ("expected" in kept)
    if "expected" in kept:
        atol = 1e-5 if estimator.precision == "float32" else HALF_PRECISION
        assert_allclose(computed_of(estimator, kept), kept["expected"], rtol=0, atol=atol)


def test_each_is_saved_by_the_newest_protocol_to_the_bit(path, tmp_path):
    estimator, kept = load(path), kept_beside(path)
    estimator.save(tmp_path / "again")
    manifest, _ = taken_apart((tmp_path / "again").read_bytes())
    assert manifest["protocol"] == PROTOCOL
    again = load(tmp_path / "again")
    if "expected" in kept:
        assert_array_equal(computed_of(again, kept), computed_of(estimator, kept))
    again.save(tmp_path / "once more")
    assert (tmp_path / "once more").read_bytes() == (tmp_path / "again").read_bytes()


def test_what_a_name_meant_in_the_first_protocol_is_meant_still():
    classifier = load(DATA / "protocol_1_more" / "unfitted_classifier.skltransfer")
    assert (classifier.augment, classifier.layer, classifier.pooling) == ("dihedral", None, None)
    assert classifier.class_weight == {"cat": 1.0, 1: 2}
    fitted = load(DATA / "protocol_1_more" / "with_symmetries.skltransfer")
    assert fitted.augment == "dihedral"


def test_training_by_parts_goes_on_from_the_first_protocol():
    path = DATA / "protocol_1_more" / "partly_fitted.skltransfer"
    classifier, images = load(path).set_params(engine="auto"), kept_beside(path)["X"]
    classifier.partial_fit(images, ["circle", "square", "triangle", "circle"])
    assert len(classifier.history_["loss"]) == 4
