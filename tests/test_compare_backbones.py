"""Candidates against each other and a baseline: laws of the scores, words of the verdict."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import toy_sequences
from skltransfer import FineTunedClassifier, cache_info, clear_cache, compare_backbones
from skltransfer.comparison.learning_curve import Scores, folds_of
from skltransfer.comparison.probes import LinearHead
from skltransfer.comparison.verdict import Contestant, verdict


def numbers(table):
    """All that is in a table but the time."""
    return [(r.backbone, r.layer, r.input_size, r.n_labels, r.score, r.error) for r in table]


@pytest.fixture
def compare(tiny, X, y):
    def run(**settings):
        return compare_backbones(
            X, y, **{"backbones": [tiny], "cv": 3, "n_labels": [8], **settings}
        )

    return run


# Laws ------------------------------------------------------------------------------------------


def test_the_same_seed_and_any_number_of_workers_give_the_same_numbers(compare):
    first = numbers(compare().table)
    assert numbers(compare().table) == first
    assert numbers(compare(n_jobs=2).table) == first


def test_every_candidate_is_one_pass(compare):
    clear_cache()
    compare(layers=[None, "block"])
    computed = cache_info().rows_computed
    assert computed == {"tiny:input:block": 2 * 24, "tiny:block:top": 24}
    compare(layers=["block", None], n_labels=[6, 10])
    assert cache_info().rows_computed == computed


def test_the_head_is_that_of_a_frozen_classifier(tiny, X, y):
    classifier = FineTunedClassifier(tiny, freeze_depth="all", epochs=0).fit(X, y)
    features = classifier._predictor().prefix.features(classifier._encoding.source(classifier, X))[
        0
    ]
    head = LinearHead().fit(features, y)
    np.testing.assert_allclose(
        head.predict_proba(features), classifier.predict_proba(X), rtol=0, atol=1e-5
    )


def test_groups_stay_together_and_beginnings_are_stratified():
    y = np.repeat(["a", "b", "c"], [60, 30, 10])
    groups = np.arange(100) // 2
    for fold in folds_of(y, 5, groups, seed=0):
        assert set(groups[fold.train]).isdisjoint(groups[fold.test])
    for fold in folds_of(y, 5, None, seed=0):
        assert set(y[fold.train[:3]]) == {"a", "b", "c"}
        shares = [np.mean(y[fold.train[:40]] == label) for label in "abc"]
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.03)


def test_the_error_grows_with_the_overlap_of_training_parts():
    values = np.array([0.1, 0.2, 0.3])
    assert Scores(values, 0.5).error == pytest.approx(0.1 * np.sqrt(1 / 3 + 0.5))


# What comes back ---------------------------------------------------------------------------------


def test_the_table_has_the_best_first_and_baselines_last(compare):
    found = compare(layers=[None, "block"])
    assert [row.n_labels for row in found.table] == [8, 16] * 4
    full = found.table[1::2]
    assert full[0].score >= full[1].score
    assert {row.backbone for row in full[:2]} == {"tiny"}
    assert {row.backbone for row in full[2:]} == {"pixels, SVC", "pixels, logistic regression"}
    assert full[2].score >= full[3].score
    assert repr(found).startswith(found.verdict)
    assert "<table>" in found._repr_html_()


def test_a_baseline_of_ones_own_sees_rows_as_they_are(compare):
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1) / 255.0)
    found = compare(baseline=make_pipeline(flat, LogisticRegression()))
    assert found.table[-1].backbone == "Pipeline"
    assert compare(baseline=None).table[-1].backbone == "tiny"


def test_a_score_that_needs_probabilities_leaves_the_svc_out(compare):
    found = compare(scoring="neg_log_loss")
    assert "pixels, SVC" not in {row.backbone for row in found.table}
    assert found.table[0].score < 0


def test_a_scorer_that_needs_every_class_in_every_fold_is_told_how_to_go_on(tiny, X):
    y = np.repeat(["a", "b", "c"], 8)
    groups = np.concatenate([np.arange(16), np.repeat([16, 17], 4)])  # 2 groups in 3 folds
    compare = partial(compare_backbones, X, y, [tiny], cv=3, groups=groups)
    with pytest.raises(ValueError, match="without test rows of class 'c'.*labels=np.unique"):
        compare(scoring="neg_log_loss")
    needs = {"greater_is_better": False, "response_method": "predict_proba"}
    assert compare(scoring=make_scorer(log_loss, labels=np.unique(y), **needs)).table[0].score < 0


def test_other_kinds_of_rows_have_baselines_of_their_own():
    rows, labels = toy_sequences.make_sequences()
    found = compare_backbones(
        np.array(rows, object), labels, backbones=[toy_sequences.make_network()], cv=2
    )
    assert found.table[-1].backbone.startswith("means, ")


# The verdict -------------------------------------------------------------------------------------


def contestant(name, *curve, layer=None):
    wobble = np.array([-0.01, 0.0, 0.01])
    return Contestant(name, layer, None, [Scores(mean + wobble, 0.1) for mean in curve], 1.0)


@pytest.mark.parametrize(
    "score, words",
    [
        (0.9, "Transfer pays here: net scores 0.900, pixels without a network 0.700, a gain of"),
        (0.7, "Transfer does not pay here: net scores 0.700, pixels without a network 0.700."),
        (0.6, "Transfer does not pay here"),
    ],
)
def test_the_verdict_on_transfer(score, words):
    told = verdict([contestant("net", 0.5, score)], [contestant("pixels", 0.4, 0.7)], [50])
    assert told.startswith(words)
    assert "With 50 labels the gain is 0.100 ± 0.000." in told


def test_a_gain_within_its_error_is_not_called_one():
    net = Contestant("net", None, None, [Scores(np.array([0.8, 0.6, 0.73]), 0.5)], 1.0)
    told = verdict([net], [contestant("pixels", 0.7)], [])
    assert told.startswith("Transfer does not clearly pay here")
    assert "could be due to chance" in told


def test_the_verdict_on_labels_and_layers():
    best = contestant("net", 0.5, 0.9, layer="block")
    told = verdict([best, contestant("net", 0.5, 0.8)], [], [50])
    assert "More labels would probably help: from 50 labels to all of them" in told
    assert "An earlier layer is clearly better than the end of the network: by 0.100" in told
    flat = verdict([contestant("net", 0.9, 0.9)], [], [50])
    assert "It is not clear that more labels would help" in flat


def test_the_verdict_on_other_backbones():
    best, other = contestant("net", 0.9), contestant("large", 0.8, layer="block")
    told = verdict([best, contestant("net", 0.85), other, contestant("third", 0.7)], [], [])
    assert told == (
        "The best candidate is net, which scores 0.900. The best candidate of another backbone is "
        "large up to block, which scores 0.800: by 0.100 ± 0.000 clearly lower."
    )
    close = Contestant("large", None, None, [Scores(np.array([0.8, 0.95, 0.9]), 0.5)], 1.0)
    assert verdict([best, close], [], []).endswith(" lower, which could be due to chance.")
    assert "another" not in verdict([best, contestant("net", 0.8, layer="block")], [], [])


# Refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"baseline": "best"}, "baseline='best' is neither 'auto', nor None"),
        ({"n_labels": [0]}, r"n_labels=\[0\] has 0; give positive ints"),
        ({"layers": []}, "must each hold at least one value"),
        ({"on_error": "nan"}, "cannot be compared. Leave such rows out"),
    ],
)
def test_values_that_are_refused(compare, settings, message):
    with pytest.raises(ValueError, match=message):
        compare(**settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"freeze_depth": 0}, "'freeze_depth', which is not a parameter of PretrainedFeature"),
        ({"layer": "block"}, "takes layers, a list, instead of layer"),
    ],
)
def test_settings_that_are_refused(compare, settings, message):
    with pytest.raises(TypeError, match=message):
        compare(**settings)


def test_what_one_backbone_lacks_is_refused_before_anything_is_computed(compare, tiny, uneven):
    """Layers and sizes are tried with every backbone; the last combination is checked first."""
    clear_cache()
    told = "layer='block' is not a layer of backbone='uneven'.* every backbone; .* once for each"
    with pytest.raises(ValueError, match=told):
        compare(backbones=[tiny, uneven], layers=[None, "block"])
    with pytest.raises(ValueError, match="layer='blok' is not a layer .* shows them\\.$"):
        compare(layers=[None, "blok"])
    with pytest.raises(ValueError, match="input_size=\\(0, 8\\) must be None or positive ints"):
        compare(input_sizes=[None, (0, 8)])
    assert cache_info().rows_computed == {}


def test_other_targets_are_refused(tiny, X):
    with pytest.raises(ValueError, match="single class, 1; there is nothing to tell apart"):
        compare_backbones(X, np.ones(len(X), int), backbones=[tiny])
    with pytest.raises(ValueError, match="Unknown label type"):
        compare_backbones(X, np.linspace(0, 1, len(X)), backbones=[tiny])


def test_a_single_network_stands_for_a_list(compare, tiny):
    assert_array_equal(numbers(compare(backbones=tiny).table), numbers(compare().table))
