"""FineTunedClassifier as a part of other estimators, searches, pipelines, files and processes."""

from __future__ import annotations

import io
import os
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_validate,
    permutation_test_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from conftest import rows_of_stretches
from skltransfer import FineTunedClassifier, cache_info


@pytest.fixture
def brief(make):
    """Make a classifier that trains for one epoch."""
    return lambda **settings: make(**{"epochs": 1, **settings})


# In other estimators ----------------------------------------------------------------------------


def test_probabilities_are_calibrated(brief, X, y):
    calibrated = CalibratedClassifierCV(brief(), cv=2).fit(X, y, sample_weight=np.ones(24))
    assert_array_equal(calibrated.classes_, ["cat", "dog"])
    assert calibrated.predict_proba(X).shape == (24, 2)


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_classifiers_vote(brief, X, y, voting):
    members = [("last", brief()), ("head", brief(freeze_depth="all"))]
    ensemble = VotingClassifier(members, voting=voting).fit(X, y)
    assert set(ensemble.predict(X)) <= {"cat", "dog"}


def test_classifiers_are_stacked(brief, paths):
    members = [("last", brief()), ("head", brief(freeze_depth="all"))]
    stacked = StackingClassifier(members, LogisticRegression(), cv=2)
    X, y = np.array(paths, object), ["a", "b"] * 4
    assert stacked.fit(X, y).predict_proba(X).shape == (8, 2)


def test_classifiers_are_bagged_on_rows(brief, X, y):
    rows = X.reshape(24, -1)
    bagged = BaggingClassifier(
        brief(image_shape=(16, 16, 3)), n_estimators=2, random_state=0, max_samples=0.8
    )
    assert bagged.fit(rows, y).predict_proba(rows).shape == (24, 2)


def test_one_classifier_for_each_class(brief, X):
    labels = np.arange(24) % 3
    assert OneVsRestClassifier(brief()).fit(X, labels).predict(X).shape == (24,)


def test_in_a_pipeline_behind_a_step_that_changes_images(brief, X, y):
    pipeline = make_pipeline(FunctionTransformer(np.ascontiguousarray), brief())
    expected = brief().fit(X, y).predict_proba(X)
    assert_array_equal(pipeline.fit(X, y).predict_proba(X), expected)


def test_on_one_column_of_a_frame(brief, paths):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": [str(path) for path in paths], "number": range(8)})
    choose = ColumnTransformer([("images", "passthrough", ["path"])])
    pipeline = Pipeline([("choose", choose), ("tune", brief())]).fit(frame, ["a", "b"] * 4)
    expected = brief().fit(paths, ["a", "b"] * 4).predict_proba(paths)
    assert_array_equal(pipeline.predict_proba(frame), expected)


# Validated and searched -------------------------------------------------------------------------


def test_cross_validation_of_paths(brief, paths):
    X, y = [str(path) for path in paths], ["a", "b"] * 4
    probabilities = cross_val_predict(brief(), X, y, cv=2, method="predict_proba")
    assert_array_equal(np.round(probabilities.sum(axis=1), 6), 1)
    scores = cross_validate(brief(), X, y, cv=2, scoring=["accuracy", "neg_log_loss"])
    assert np.isfinite(scores["test_neg_log_loss"]).all()


def test_halving_over_epochs(brief, X, y):
    search = HalvingGridSearchCV(
        brief(), {"head_units": [(), (4,)]}, resource="epochs", max_resources=2, cv=2
    )
    assert search.fit(X, y).best_estimator_.epochs == 2


def test_halving_over_rows(brief, X, y):
    grid = {"learning_rate": [1e-3, 1e-2]}
    search = HalvingGridSearchCV(brief(), grid, min_resources=12, cv=2, random_state=0)
    assert search.fit(X, y).score(X, y) > 0.5


def test_permuted_labels_score_worse(make, X, y):
    classifier = make(freeze_depth="all", epochs=0)
    score, of_permuted, p_value = permutation_test_score(
        classifier, X, y, cv=2, n_permutations=9, random_state=0
    )
    assert score > of_permuted.mean() and p_value <= 0.3


def test_a_search_runs_the_frozen_part_once_for_each_image(brief, X, y, tmp_path, as_many_threads):
    """In one process and in two, with the scores that it has without a cache."""
    grid = {"freeze_depth": ["all", -1, 0], "head_units": [(), (4,)]}
    searches = []
    for n_jobs, cache in ((1, tmp_path / "one"), (2, tmp_path / "two"), (1, None)):
        search = GridSearchCV(brief(cache=cache), grid, cv=3, n_jobs=n_jobs)
        with as_many_threads():
            searches.append(search.fit(X, y))
        if cache is not None:
            assert set(cache_info(cache).rows_computed.values()) == rows_of_stretches(len(X))
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert_array_equal(scores[0], scores[1])
    assert_array_equal(scores[0], scores[2])
    refitted = clone(searches[1].best_estimator_).fit(X, y)
    assert_array_equal(refitted.predict_proba(X), searches[1].predict_proba(X))


# Metadata ---------------------------------------------------------------------------------------


def test_weights_are_routed_through_a_search_and_a_pipeline(brief, X, y):
    weights = 1 + np.arange(24) % 3
    with config_context(enable_metadata_routing=True):
        weighted = brief().set_fit_request(sample_weight=True)
        plain = brief().set_fit_request(sample_weight=False)
        pipelines = {
            name: Pipeline([("pass", "passthrough"), ("tune", classifier)])
            for name, classifier in [("weighted", weighted), ("plain", plain)]
        }
        found = {
            name: pipeline.fit(X, y, sample_weight=weights).predict_proba(X)
            if name == "weighted"
            else pipeline.fit(X, y).predict_proba(X)
            for name, pipeline in pipelines.items()
        }
        grid = {"head_units": [()]}
        scored = weighted.set_score_request(sample_weight=True)
        search = GridSearchCV(scored, grid, cv=2).fit(X, y, sample_weight=weights)
    assert_array_equal(found["weighted"], brief().fit(X, y, weights).predict_proba(X))
    assert_array_equal(found["plain"], brief().fit(X, y).predict_proba(X))
    assert_array_equal(search.predict_proba(X), found["weighted"])


def test_partial_fit_asks_for_classes_and_weights(brief):
    with config_context(enable_metadata_routing=True):
        classifier = brief().set_partial_fit_request(sample_weight=True, classes=True)
        assert classifier.get_metadata_routing().partial_fit.requests["classes"] is True


# Cloned, dumped and loaded ----------------------------------------------------------------------


def test_a_clone_forgets_what_was_learned(brief, X, y):
    fitted = brief(head_units=[4]).fit(X, y)
    twin = clone(fitted)
    assert not hasattr(twin, "classes_")
    assert twin.backbone is fitted.backbone
    assert_array_equal(twin.fit(X, y).predict_proba(X), fitted.predict_proba(X))


IN_A_FRESH_PROCESS = """
import socket, sys
def no_network(*arguments, **options):
    raise AssertionError("there is no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
import joblib, pickle, numpy as np
folder = sys.argv[1]
X, cases = joblib.load(folder + "/cases.joblib")
with open(folder + "/cases.pickle", "rb") as file:
    pickled = pickle.load(file)
for name, (classifier, probabilities) in cases.items():
    np.testing.assert_array_equal(classifier.predict_proba(X), probabilities, name)
    np.testing.assert_array_equal(pickled[name].predict_proba(X), probabilities, name)
    classifier.partial_fit(X, classifier.predict(X))
"""


def test_loaded_in_a_fresh_process_without_a_network(brief, X, y, tmp_path, in_fresh_process):
    warm = brief(freeze_depth=0, warm_start=True).fit(X, y)
    fitted = {
        "own backbone": brief(cache=None, head_units=(4,)).fit(X, y),
        "partially fitted": brief(cache=None).partial_fit(X, y, ["cat", "dog"]),
        "warm, then frozen": warm.set_params(freeze_depth="all", cache=None).fit(X, y),
        "bundled": FineTunedClassifier(input_size=(32, 32), epochs=1, cache=None).fit(X, y),
        "views": brief(cache=None, augment="standard", tta=True).fit(X, y),
    }
    cases = {name: (classifier, classifier.predict_proba(X)) for name, classifier in fitted.items()}
    joblib.dump((X, cases), tmp_path / "cases.joblib")
    (tmp_path / "cases.pickle").write_bytes(pickle.dumps(fitted))
    in_fresh_process(IN_A_FRESH_PROCESS, tmp_path)


def test_a_file_holds_what_was_learned_and_the_bundled_rest_by_name(X, y, tmp_path):
    fitted = FineTunedClassifier(freeze_depth=-1, input_size=(32, 32), epochs=1).fit(X, y)
    joblib.dump(fitted, tmp_path / "classifier")
    learned = 4 * fitted.n_trainable_params_
    assert learned < os.path.getsize(tmp_path / "classifier") < learned + 200_000
    assert fitted.n_trainable_params_ < fitted.backbone_.n_parameters / 2
    state = fitted.backbone_.__getstate__()
    assert set(state) == {"name", "bundled", "fingerprint"}
    assert (state["name"], len(state["fingerprint"])) == ("efficientnet_lite0", 64)


class OnlyPlainData(pickle.Unpickler):
    """Refuses Keras and TensorFlow."""

    def find_class(self, module, name):
        assert module.partition(".")[0] not in {"keras", "tensorflow"}
        return super().find_class(module, name)


@pytest.mark.parametrize("partially", [False, True])
def test_the_state_holds_no_keras_object(brief, X, y, partially):
    classifier = brief(freeze_depth=0, batch_norm="train", augment="flip", tta=True)
    classifier = classifier.partial_fit(X, y, ["cat", "dog"]) if partially else classifier.fit(X, y)
    classifier.predict(X)
    classifier.to_keras()
    state = classifier.__getstate__()
    for learned in state["_states"]:
        for name, value in vars(learned).items():
            assert isinstance(value, (np.ndarray, int, type(None))), name
    OnlyPlainData(io.BytesIO(pickle.dumps(state))).load()
