"""Keras' backends: what one fitted another computes, and what one learns another learns.

The other tests hold for whatever Keras runs on. Here those that are installed beside it are
started in processes of their own.
"""

from __future__ import annotations

from importlib.util import find_spec

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skltransfer import PretrainedFeatureExtractor
from skltransfer.backend import backend_name, backend_names

ELSEWHERE = """
import sys, warnings
import joblib
from sklearn.base import clone
given, found = sys.argv[1:]
X, y, extractor, classifiers = joblib.load(given)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always", UserWarning)
    features = extractor.transform(X)
    probabilities = [classifier.predict_proba(X) for classifier in classifiers]
told = [str(warning.message) for warning in told if warning.category is UserWarning]
losses = [clone(c).set_params(engine="auto").fit(X, y).history_["loss"] for c in classifiers]
joblib.dump((told, features, probabilities, losses), found)
"""

SETTINGS = [
    {"freeze_depth": "all", "head_units": 4},
    {"freeze_depth": -1, "early_stopping": True},
    {"freeze_depth": 0, "batch_norm": "train", "augment": "flip"},
]


@pytest.fixture(scope="module", params=backend_names())
def other(request):
    """A backend that this process does not have."""
    if request.param == backend_name():
        pytest.skip(f"Keras runs on {request.param} here")
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def close(found, expected):
    assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_another_backend_computes_and_learns_the_same(
    other, make, tiny, X, y, tmp_path, in_fresh_process
):
    own = backend_name()
    extractor = PretrainedFeatureExtractor(tiny, engine=own, cache=None).fit(X)
    classifiers = [make(engine=own, cache=None, **settings).fit(X, y) for settings in SETTINGS]
    joblib.dump((X, y, extractor, classifiers), tmp_path / "given")
    in_fresh_process(ELSEWHERE, tmp_path / "given", tmp_path / "found", KERAS_BACKEND=other)
    told, features, probabilities, losses = joblib.load(tmp_path / "found")
    assert len(told) == 1
    assert f"was fitted with engine={own!r}, but here " in told[0]
    close(features, extractor.transform(X))
    for classifier, rows, loss in zip(classifiers, probabilities, losses, strict=True):
        assert_allclose(rows, classifier.predict_proba(X), atol=1e-5)
        assert_allclose(loss, classifier.history_["loss"], rtol=1e-4)


def test_the_engine_is_what_keras_runs_on(tiny, X):
    extractor = PretrainedFeatureExtractor(tiny, engine=backend_name(), cache=None)
    assert extractor.fit(X).engine_ == backend_name()


@pytest.mark.parametrize("asked", backend_names())
def test_another_backend_than_that_of_keras_is_refused(tiny, X, asked):
    if asked == backend_name():
        pytest.skip("it is the one that Keras runs on")
    with pytest.raises(ValueError, match=f"set KERAS_BACKEND={asked} in the environment"):
        PretrainedFeatureExtractor(tiny, engine=asked).fit(X)
