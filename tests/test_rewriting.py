"""TensorFlow's graphs are rewritten for oneDNN's kernels, unless a variable says otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skltransfer import PretrainedFeatureExtractor, cache_info
from skltransfer.backend import kernels
from skltransfer.backend.tensorflow import functions
from skltransfer.network import runtime

SWITCH = "SKLTRANSFER_REWRITE_GRAPHS"

pytestmark = pytest.mark.about("tensorflow", reason="its graphs are what is rewritten")


@pytest.fixture
def left_alone(monkeypatch):
    """A process in which no graph is rewritten, as far as functions compiled from now on go."""
    functions.kernels.cache_clear()
    monkeypatch.setenv(SWITCH, "0")
    monkeypatch.setattr("skltransfer.estimators.base.network_of", runtime.NetworkPool().get)
    monkeypatch.setattr(functions, "with_onednn", None)  # is not called
    yield
    functions.kernels.cache_clear()


@pytest.fixture(scope="module")
def features(tiny, cats_and_dogs):
    extractor = PretrainedFeatureExtractor(tiny, engine="tensorflow", cache=None)
    return extractor.fit_transform(cats_and_dogs[0])


def test_features_are_those_of_rewritten_graphs(features, tiny, X, left_alone):
    extractor = PretrainedFeatureExtractor(tiny, engine="tensorflow", cache=None)
    found = extractor.fit_transform(X)
    assert kernels() == "tensorflow"
    assert_allclose(found, features, rtol=0, atol=1e-5 * np.abs(features).max())
    assert_array_equal(extractor.transform(X[::-1]), found[::-1])
    assert_array_equal(extractor.transform(X[:3]), found[:3])


def test_a_network_is_trained_to_the_same(make, X, y, request):
    settings = {"freeze_depth": 0, "engine": "tensorflow", "cache": None}
    expected = make(**settings).fit(X, y).predict_proba(X)
    request.getfixturevalue("left_alone")
    assert_allclose(make(**settings).fit(X, y).predict_proba(X), expected, atol=1e-3)


@pytest.mark.parametrize("chosen", ["tensorflow", "eigen"])
def test_calls_at_once_do_not_mix_their_numbers(tiny, X, left_alone, monkeypatch, chosen):
    with monkeypatch.context() as patched:
        patched.setattr(functions, "kernels", lambda: chosen)
        extractor = PretrainedFeatureExtractor(tiny, engine="tensorflow", cache=None).fit(X)
        found = extractor.transform(np.tile(X, (100, 1, 1, 1)))
        assert_array_equal(found, np.tile(extractor.transform(X), (100, 1)))


def test_rows_of_rewritten_graphs_are_not_served(tiny, X, tmp_path, request):
    extractor = PretrainedFeatureExtractor(tiny, engine="tensorflow", cache=tmp_path)
    extractor.fit_transform(X)
    request.getfixturevalue("left_alone")
    before = cache_info(tmp_path)
    extractor.fit_transform(X)
    assert cache_info(tmp_path).entries == 2 * before.entries


@pytest.mark.parametrize("value", ["", "no", "2"])
def test_other_values_are_refused(monkeypatch, value):
    monkeypatch.setenv(SWITCH, value)
    with pytest.raises(ValueError, match=rf"{SWITCH}='{value}' must be 1, .* or 0, to run them"):
        functions.rewrites_graphs()
