"""Scorers of a target domain: they ignore what a search hands them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skltransfer import target_scorer


@pytest.fixture
def classifier(make, X, y):
    return make(freeze_depth="all").fit(X, y)


@pytest.mark.parametrize("routing", [False, True])
def test_it_scores_the_target_whatever_it_is_given(classifier, X, y, routing):
    weights = np.arange(12.0)
    with config_context(enable_metadata_routing=routing):
        score = target_scorer(X[:12] // 2, y[:12], sample_weight=weights)
        expected = classifier.score(X[:12] // 2, y[:12], sample_weight=weights)
        assert score(classifier, X[12:], y[12:]) == pytest.approx(expected)
        search = GridSearchCV(classifier, {"epochs": [0, 1]}, scoring=score, cv=2, refit=False)
        found = search.fit(X, y).cv_results_
    assert np.isfinite(found["mean_test_score"]).all()


def test_other_scores_and_copies(classifier, X, y):
    score = target_scorer(X, y, "neg_log_loss")
    assert score(classifier) < 0
    assert pickle.loads(pickle.dumps(score))(classifier) == score(classifier)


def test_mixed_pairs_need_no_labels(make, classifier, X, y):
    score = target_scorer(X, scoring="mixval")
    assert 0 <= score(classifier) <= 1
    assert score(classifier) == score(classifier)
    same = target_scorer(np.repeat(X[:1], 4, axis=0), scoring="mixval")
    assert same(classifier) == 1
    pipeline = make_pipeline(FunctionTransformer(), make(freeze_depth="all")).fit(X, y)
    assert score(pipeline) == score(classifier)


def test_members_are_mixed_each_in_its_features(make, X, y):
    classifier = make(freeze_depth="auto").fit(X, y)
    assert 0 <= target_scorer(X, scoring="mixval")(classifier) <= 1
    predictor, rows = classifier._predictor(), classifier._encoding.source(classifier, X)
    found = predictor.outputs_of_features(predictor.features(rows, None))
    np.testing.assert_allclose(found, predictor.outputs(rows, None)[0], rtol=0, atol=1e-4)


def test_what_is_refused(X, y):
    with pytest.raises(ValueError, match="scoring='accuracy' needs y_target"):
        target_scorer(X)
    with pytest.raises(ValueError, match="uses neither y_target nor sample_weight"):
        target_scorer(X, y, scoring="mixval")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        target_scorer(X, y[:3])
    with pytest.raises(TypeError, match="features of a FineTunedClassifier, but got Dummy"):
        target_scorer(X, scoring="mixval")(DummyClassifier())
