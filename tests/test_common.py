"""The conventions of scikit-learn: its own checks, and that what is documented is so."""

from __future__ import annotations

import inspect
import re
import warnings

import pytest
from numpydoc.docscrape import FunctionDoc
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from skltransfer import FineTunedClassifier, FineTunedRegressor, PretrainedFeatureExtractor

ESTIMATORS = [PretrainedFeatureExtractor, FineTunedClassifier, FineTunedRegressor]


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "tiny"])
def test_every_check_passes_and_none_is_skipped(backbone, tiny):
    require_all_passed(PretrainedFeatureExtractor(backbone), 40)


def test_every_check_of_the_classifier_passes_and_none_is_skipped():
    # One check casts infinity to int, and NumPy warns of it within scikit-learn.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        require_all_passed(FineTunedClassifier(), 59)


def test_every_check_of_the_regressor_passes_and_none_is_skipped():
    require_all_passed(FineTunedRegressor(), 50)


def require_all_passed(estimator, at_least):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) >= at_least
    assert {r["check_name"]: r["exception"] for r in results if r["status"] != "passed"} == {}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_tag_dodges_a_check(estimator):
    tags = estimator().__sklearn_tags__()
    assert tags.input_tags.two_d_array
    assert tags.requires_fit
    assert not tags.non_deterministic
    assert not tags._skip_test
    assert not tags.no_validation
    if tags.classifier_tags is not None:
        assert not tags.classifier_tags.poor_score
        assert tags.classifier_tags.multi_class
        assert tags.classifier_tags.multi_label
    if tags.regressor_tags is not None:
        assert not tags.regressor_tags.poor_score
        assert tags.target_tags.multi_output
        assert tags.target_tags.single_output


def parameters_of(estimator):
    return inspect.signature(estimator).parameters


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_documented_parameters_and_defaults_are_those_of_the_signature(estimator):
    section = re.search(r"Parameters\n-+\n(.*?)\n\n[A-Z]", inspect.getdoc(estimator), re.S)
    documented = re.findall(r"^(\w+) : .*, default=(.+)$", section.group(1), re.M)
    signature = {name: p.default for name, p in parameters_of(estimator).items()}
    as_written = {name: str(value).strip('"') for name, value in documented}
    assert as_written == {name: str(default) for name, default in signature.items()}
    assert list(as_written) == list(signature)


def test_what_two_estimators_share_is_documented_alike():
    """But for the words that speak of classes or of numbers."""
    own = {"early_stopping", "validation_fraction", "warm_start", "on_error"}
    own |= {"freeze_depth", "learning_rate", "layer_decay"}  # with other defaults
    own |= {"adaptation"}  # of which a regressor has less
    pages = [FunctionDoc(kind)["Parameters"] for kind in (FineTunedClassifier, FineTunedRegressor)]
    classifier, regressor = ({p.name: (p.type, p.desc) for p in page} for page in pages)
    shared = set(classifier) & set(regressor) - own
    assert {n: classifier[n] for n in shared} == {n: regressor[n] for n in shared}
    assert set(regressor) - set(classifier) == {"loss"}
    assert set(classifier) - set(regressor) == {"label_smoothing", "class_weight"}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_but_the_backbone_is_keyword_only(estimator):
    kinds = {name: parameter.kind for name, parameter in parameters_of(estimator).items()}
    assert kinds.pop("backbone") is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_has_a_constraint(estimator):
    assert set(estimator._parameter_constraints) == set(parameters_of(estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_repr_names_what_differs_from_the_default(estimator):
    assert repr(estimator()) == f"{estimator.__name__}()"
    assert repr(clone(estimator(batch_size=8))) == f"{estimator.__name__}(batch_size=8)"


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_documented_attributes_are_those_of_a_fitted_estimator(estimator, images, tiny):
    section = re.search(r"Attributes\n-+\n(.*?)\n\n[A-Z]", inspect.getdoc(estimator), re.S)
    documented = set(re.findall(r"^(\w+_) : ", section.group(1), re.M))
    y = [0, 1] * 4 if estimator is FineTunedRegressor else ["a", "b"] * 4
    fitted = estimator(tiny).fit(images, y)
    properties = dict(inspect.getmembers(estimator, lambda member: isinstance(member, property)))
    there = {name for name in {*vars(fitted), *properties} if re.fullmatch(r"[a-z]\w*_", name)}
    assert all(hasattr(fitted, name) for name in there)
    assert documented == there | {"feature_names_in_"}
