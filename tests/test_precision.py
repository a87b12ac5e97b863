"""Shorter number formats: near float32, asked for only, and under the same laws."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor
from skltransfer.backend import as_array, backend_name, refuses_openvino

FORMATS = {"bfloat16": 0.05, "float16": 0.01}
"""Largest difference that is let through, as a share of the largest feature."""

LABELS = [0, 1] * 4


@pytest.fixture(params=FORMATS)
def precision(request):
    return request.param


def extracted(backbone, images, **settings):
    settings = {"engine": backend_name(), "cache": None, **settings}
    return PretrainedFeatureExtractor(backbone, **settings).fit_transform(images)


@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_features_are_near_those_in_float32(request, name, images, precision):
    backbone = request.getfixturevalue(name)
    exact, found = (extracted(backbone, images, precision=p) for p in ("float32", precision))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).max() <= FORMATS[precision] * np.abs(exact).max()


def test_the_bundled_network_computes_in_them_too(golden, precision):
    images, features = golden
    found = extracted("efficientnet_lite0", images, precision=precision)
    correlation = np.corrcoef(found.ravel(), features.ravel())[0, 1]
    assert 0.99 < correlation < 1


@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_a_row_depends_on_nothing_but_itself(request, name, images, precision):
    backbone = request.getfixturevalue(name)
    features = extracted(backbone, images, precision=precision)
    order = np.random.default_rng(0).permutation(len(images))
    assert_array_equal(extracted(backbone, images[order], precision=precision), features[order])
    for row in range(len(images)):
        alone = extracted(backbone, images[row : row + 1], precision=precision)
        assert_array_equal(alone, features[row : row + 1])


def test_the_keras_model_computes_in_float32(make, images, precision):
    classifier = make(precision=precision).fit(images, LABELS)
    probabilities = as_array(classifier.to_keras()(images.astype(np.float32)))
    assert np.abs(probabilities - classifier.predict_proba(images)).max() <= 0.05
    before = classifier.predict_proba(images)
    assert_array_equal(classifier.set_params(precision="float32").predict_proba(images), before)
    classifier._precision = "float32"  # what the parameter was in fit
    np.testing.assert_allclose(probabilities, classifier.predict_proba(images), atol=1e-4)


def test_what_one_format_has_kept_is_not_the_others(tiny, images, tmp_path):
    formats = ("float32", *FORMATS)
    for _ in range(2):
        for precision in formats:
            kept = extracted(tiny, images, precision=precision, cache=tmp_path)
            assert_array_equal(kept, extracted(tiny, images, precision=precision))


@pytest.mark.parametrize("freeze_depth", ["all", -1])
def test_a_classifier_trains_on_them_in_float32(tiny, images, precision, freeze_depth, tmp_path):
    def fitted(**settings):
        settings = {"engine": backend_name(), "epochs": 2, "random_state": 0, **settings}
        classifier = FineTunedClassifier(tiny, freeze_depth=freeze_depth, **settings)
        return classifier.fit(images, LABELS)

    exact = fitted().predict_proba(images)
    found = fitted(precision=precision).predict_proba(images)
    assert_allclose(found, exact, atol=0.1)
    assert (found != exact).any()
    for cache in (None, tmp_path, tmp_path):
        again = fitted(precision=precision, cache=cache)
        assert_array_equal(again.predict_proba(images), found)
        assert again._states[-1].params.dtype == np.float32


def test_openvino_computes_in_them_or_says_why_not(tiny, images, precision):
    openvino = pytest.importorskip("openvino")
    if refuses_openvino():
        pytest.skip(refuses_openvino())
    capability = {"bfloat16": "BF16", "float16": "FP16"}[precision]
    extractor = PretrainedFeatureExtractor(tiny, engine="openvino", precision=precision, cache=None)
    if capability in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        exact = extracted(tiny, images)
        off = np.abs(extractor.fit_transform(images) - exact).max()
        assert off <= FORMATS[precision] * np.abs(exact).max()
    else:
        with pytest.raises(ValueError, match=f"does not compute in {precision} on this processor"):
            extractor.fit(images)
        assert extractor.set_params(engine="auto").fit(images).engine_ == backend_name()
