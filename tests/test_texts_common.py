"""Scikit-learn's checks on texts: rows of numbers become words for a tiny random network."""

from __future__ import annotations

import warnings

import pytest
from sklearn.base import is_classifier
from sklearn.utils.estimator_checks import estimator_checks_generator

from skltransfer import FineTunedClassifier, FineTunedRegressor, PretrainedFeatureExtractor
from toy_texts import make_network, make_network_of_numbers

NUMBERS = make_network_of_numbers()
SETTINGS = {"epochs": 1, "batch_size": 16, "random_state": 0, "engine": "tensorflow"}
ESTIMATORS = (
    PretrainedFeatureExtractor(NUMBERS, engine="tensorflow"),
    FineTunedClassifier(NUMBERS, **SETTINGS),
    FineTunedRegressor(NUMBERS, **SETTINGS),
)


def checks():
    for estimator in ESTIMATORS:
        for made, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            yield pytest.param(made, check, id=f"{type(estimator).__name__}-{name}")


@pytest.mark.parametrize("estimator, check", list(checks()))
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        # scikit-learn casts infinity in y to int.
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        check(estimator)


@pytest.mark.parametrize("kind", [PretrainedFeatureExtractor, FineTunedClassifier])
def test_tags_say_that_texts_are_read(kind):
    tags = kind(make_network()).__sklearn_tags__()
    assert tags.input_tags.string and not tags.input_tags.two_d_array
    assert kind().__sklearn_tags__().input_tags.two_d_array
    assert is_classifier(kind(make_network())) == (kind is FineTunedClassifier)


def test_tags_need_neither_weights_nor_a_folder_that_is_there(tmp_path):
    assert PretrainedFeatureExtractor("minilm_l6").__sklearn_tags__().input_tags.string
    for missing in (tmp_path, tmp_path / "none", str(tmp_path)):
        tags = PretrainedFeatureExtractor(missing).__sklearn_tags__()
        assert tags.input_tags.two_d_array
