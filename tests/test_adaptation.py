"""Adaptation to rows of another domain, without labels: laws, methods and refusals."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import check_grad
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skltransfer import (
    FineTunedRegressor,
    TargetRows,
    cache_info,
    clear_cache,
    load,
)
from skltransfer.adaptation.last_layer import Labelled, Unlabelled, adapted_layer
from skltransfer.tasks.classification import SoftmaxCrossEntropy
from skltransfer.tasks.confusion import WithConfusion, confusion

CASES = {
    "statistics": {"adaptation": "statistics", "freeze_depth": "all"},
    "statistics, everything": {"adaptation": "statistics", "freeze_depth": 0},
    "self": {"adaptation": "self", "freeze_depth": "all"},
    "mcc": {"adaptation": "mcc", "freeze_depth": "all"},
    "mcc, last stage": {"adaptation": "mcc", "freeze_depth": -1, "head_units": 5},
    "all of them": {"adaptation": ("mcc", "self", "statistics"), "freeze_depth": -1},
}


@pytest.fixture(params=CASES)
def settings(request):
    return CASES[request.param]


@pytest.fixture
def X_target(X):
    """Another domain: darker images, as many as are no whole number of batches."""
    return (X[:15] // 2).astype(np.uint8)


# Laws ------------------------------------------------------------------------------------------


def test_the_order_and_number_of_rows_change_nothing(make, X, y, X_target, settings):
    expected = make(**settings).fit(X, y, X_target=X_target).predict_proba(X)
    order, of_target = np.random.default_rng(0).permutation(24), np.arange(15)[::-1]
    found = make(**settings).fit(X[order], y[order], X_target=X_target[of_target])
    assert_array_equal(found.predict_proba(X), expected)
    weights = np.arange(24) % 3
    rows = np.repeat(np.arange(24), weights)
    weighted = make(**settings).fit(X, y, sample_weight=weights, X_target=X_target)
    repeated = make(**settings).fit(X[rows], y[rows], X_target=X_target)
    assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


def test_neither_cache_nor_container_changes_a_bit(make, X, y, X_target, settings, tmp_path):
    expected = make(**settings).fit(X, y, X_target=X_target).predict_proba(X)
    for cache in (None, tmp_path):
        found = make(cache=cache, **settings).fit(X, y, X_target=list(X_target))
        assert_array_equal(found.predict_proba(X), expected)


def test_saved_and_opened_it_predicts_the_same(make, X, y, X_target, settings, tmp_path):
    classifier = make(**settings).fit(X, y, X_target=X_target)
    classifier.save(tmp_path / "adapted")
    joblib.dump(classifier, tmp_path / "dumped")
    for twin in (load(tmp_path / "adapted"), joblib.load(tmp_path / "dumped")):
        assert_array_equal(twin.predict_proba(X), classifier.predict_proba(X))


def test_the_fit_is_for_the_target(make, X, y, X_target, settings):
    plain = make(**{**settings, "adaptation": None}).fit(X, y)
    adapted = make(**settings).fit(X, y, X_target=X_target)
    assert not np.array_equal(plain.predict_proba(X), adapted.predict_proba(X))
    assert_allclose(adapted.predict_proba(X).sum(axis=1), 1)


# What the methods do -----------------------------------------------------------------------------


def test_statistics_undo_a_shift_of_the_features(make, X, y):
    """Of 15 rows, the moments count 15 / (15 + 64)."""
    classifier = make(freeze_depth="all", epochs=0)
    before = classifier.fit(X, y)._states[-1].standardizer
    classifier.set_params(adaptation="statistics").fit(X, y, X_target=X[::2])
    features = classifier._predictor().prefix.features(
        classifier._encoding.source(classifier, X[::2])
    )[0]
    own = features.mean(axis=0)
    expected = before[0] + 12 / (12 + 64) * (own - before[0])
    assert_allclose(classifier._states[-1].standardizer[0], expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_batch_norm_are_mixed_by_the_number_of_rows(make, X, y, X_target):
    own = make(freeze_depth=0, epochs=0, batch_norm="adapt").fit(X, y)
    of_target = make(freeze_depth=0, epochs=0, batch_norm="adapt").fit(X_target, y[:15])
    adapted = make(freeze_depth=0, epochs=0, adaptation="statistics").fit(X, y, X_target=X_target)
    expected = own._states[-1].fixed + 15 / (15 + 64) * (
        of_target._states[-1].fixed - own._states[-1].fixed
    )
    assert_allclose(adapted._states[-1].fixed, expected, rtol=1e-5, atol=1e-5)


def two_clusters(shift):
    """Two clusters, and the same ones moved beyond the border between them."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    centres = np.array([[-2.0, 0.0], [2.0, 0.0]])
    source = centres[labels] + rng.normal(0, 0.3, (60, 2))
    target = source + np.array([shift, 0.0])
    return source.astype(np.float32), target.astype(np.float32), labels


@pytest.mark.parametrize("methods", [("self",), ("mcc",), ("self", "mcc")])
def test_the_border_moves_between_the_clusters_of_the_target(methods):
    source, target, labels = two_clusters(1.6)
    targets, ones = np.eye(2, dtype=np.float32)[labels], np.ones(60)
    layer = np.array([[-3, 3], [0, 0]], np.float32), np.zeros(2, np.float32)
    assert ((target @ layer[0] + layer[1]).argmax(axis=1) == labels).mean() < 1
    found = adapted_layer(layer, Labelled(source, targets, ones), Unlabelled(target, ones), methods)
    assert ((target @ found[0] + found[1]).argmax(axis=1) == labels).mean() == 1
    assert ((source @ found[0] + found[1]).argmax(axis=1) == labels).mean() == 1


def test_the_slope_of_the_confusion_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 4, 6).astype(float)

    def loss(flat):
        return confusion(flat.reshape(6, 3), weights).loss

    def slope(flat):
        return confusion(flat.reshape(6, 3), weights).slope.ravel()

    assert check_grad(loss, slope, rng.normal(0, 3, 18)) < 1e-6
    certain = 50 * np.eye(3)[rng.integers(0, 3, 6)]
    assert confusion(certain, weights).loss < 0.01 < confusion(0 * certain, weights).loss


def test_the_loss_in_tensors_is_that_in_arrays():
    from skltransfer.backend import as_array, as_tensor

    rng = np.random.default_rng(0)
    outputs = rng.normal(0, 2, (8, 3)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)]
    targets[5:] = 0
    shares = np.full((8, 1), 1 / 8, np.float32)
    loss = WithConfusion(SoftmaxCrossEntropy())
    of_rows = as_array(loss.of_tensors(as_tensor(outputs), as_tensor(targets)))
    assert loss.of_arrays(outputs, targets, shares).loss == pytest.approx(of_rows.mean(), abs=1e-5)


# In scikit-learn's tools -------------------------------------------------------------------------


def seen_whole(monkeypatch):
    """Numbers of rows of the target that fits have read."""
    from skltransfer.estimators import fine_tuned

    read, lengths = fine_tuned.read_target, []

    def reading(prefix, source, *others):
        lengths.append(len(source))
        return read(prefix, source, *others)

    monkeypatch.setattr(fine_tuned, "read_target", reading)
    return lengths


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_target", [15, 24, 16])
def test_every_fit_of_a_search_sees_the_target_whole(make, X, y, monkeypatch, routing, n_target):
    lengths = seen_whole(monkeypatch)
    target = TargetRows(X[:n_target] // 2)
    with config_context(enable_metadata_routing=routing):
        classifier = make(freeze_depth="all", adaptation="self")
        if routing:
            classifier.set_fit_request(X_target=True)
        search = GridSearchCV(classifier, {"adaptation": ["self", "mcc"]}, cv=3)
        search.fit(X, y, X_target=target)
        assert set(lengths) == {n_target}
        scores = cross_val_score(classifier, X, y, cv=3, params={"X_target": target})
        assert np.isfinite(scores).all()
    assert set(lengths) == {n_target}


@pytest.mark.parametrize("n_target", [24, 16])
def test_what_may_have_been_cut_is_refused(make, X, y, n_target):
    """16 rows are those of a fold; 24 are cut to 16."""
    classifier = make(freeze_depth="all", adaptation="self")
    with pytest.raises(ValueError, match=r"as many as X.*Wrap X_target: .*=TargetRows\(rows\)"):
        cross_val_score(
            classifier, X, y, cv=3, params={"X_target": X[:n_target]}, error_score="raise"
        )


def test_a_grid_over_none_and_self_computes_no_row_again(make, X, y, X_target):
    classifier = make(freeze_depth="all")
    clear_cache()
    with pytest.warns(UserWarning, match="X_target is ignored, because adaptation=None"):
        search = GridSearchCV(classifier, {"adaptation": [None, "self"]}, cv=3).fit(
            X, y, X_target=X_target
        )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert set(cache_info().rows_computed.values()) == {24 + 15}


def test_a_pipeline_transforms_the_target_too(make, X, y, paths, monkeypatch):
    lengths = seen_whole(monkeypatch)
    with config_context(enable_metadata_routing=True):
        steps = [
            ("brighter", FunctionTransformer(lambda images: images // 2 + 60)),
            ("classify", make(freeze_depth="all", adaptation="mcc").set_fit_request(X_target=True)),
        ]
        pipeline = Pipeline(steps, transform_input=["X_target"]).fit(X, y, X_target=X[:9])
        expected = steps[1][1].fit(X // 2 + 60, y, X_target=X[:9] // 2 + 60)
        assert_array_equal(pipeline.predict_proba(X), expected.predict_proba(X // 2 + 60))
    assert lengths == [9, 9]


def test_paths_are_a_target_as_arrays_are(make, X, y, images, paths):
    settings = {"freeze_depth": "all", "adaptation": "self", "input_size": (16, 16)}
    of_arrays = make(**settings).fit(list(X), y, X_target=list(images))
    of_paths = make(**settings).fit(list(X), y, X_target=paths)
    assert_array_equal(of_paths.predict_proba(list(X)), of_arrays.predict_proba(list(X)))


def test_columns_of_a_table_are_read_of_the_target_too(make, X):
    pd = pytest.importorskip("pandas")
    numbers = np.arange(24) % 5
    frame = pd.DataFrame({"image": list(X), "number": numbers})
    target = pd.DataFrame({"image": list(X[:15] // 2), "number": numbers[:15]})
    for depth in ("all", -1):
        settings = {"freeze_depth": depth, "adaptation": ("statistics", "mcc")}
        classifier = make(tabular=StandardScaler(), input_column="image", **settings)
        found = classifier.fit(frame, numbers > 2, X_target=target).predict_proba(target)
        again = classifier.fit(frame, numbers > 2, X_target=target[::-1]).predict_proba(target)
        assert_array_equal(found, again)


# Other targets, refusals -------------------------------------------------------------------------


def test_a_regressor_takes_statistics_alone(tiny, X, X_target):
    numbers = X.mean(axis=(1, 2, 3))
    settings = {"epochs": 1, "freeze_depth": "all", "random_state": 0}
    regressor = FineTunedRegressor(tiny, adaptation="statistics", **settings)
    assert np.isfinite(regressor.fit(X, numbers, X_target=X_target).predict(X)).all()
    with pytest.raises(ValueError, match="adaptation='self' needs one class label for each row"):
        regressor.set_params(adaptation="self").fit(X, numbers, X_target=X_target)


def test_several_labels_take_statistics_alone(make, X, X_target):
    labels = np.stack([np.arange(24) % 2, np.arange(24) % 3 == 0], axis=1).astype(int)
    make(freeze_depth="all", adaptation="statistics").fit(X, labels, X_target=X_target)
    with pytest.raises(ValueError, match="adaptation='mcc' needs one class label for each row"):
        make(freeze_depth="all", adaptation="mcc").fit(X, labels, X_target=X_target)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"adaptation": "coral"}, "adaptation='coral' must be None, one of"),
        ({"adaptation": ()}, r"adaptation=\(\) must be None"),
        ({"adaptation": "self", "batch_norm": "train"}, "batch_norm='train' takes"),
        (
            {"adaptation": "statistics", "batch_norm": "adapt"},
            "gives each domain statistics of its own",
        ),
    ],
)
def test_settings_that_are_refused(make, X, y, X_target, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings).fit(X, y, X_target=X_target)


def test_an_adaptation_of_another_type_is_refused(make, X, y):
    with pytest.raises(TypeError, match="adaptation=1 must be None, one of"):
        make(adaptation=1).fit(X, y)


def test_without_rows_of_the_target_nothing_is_adapted(make, X, y):
    with pytest.raises(ValueError, match=r"needs rows of the target domain: pass them as fit\(X"):
        make(adaptation="self").fit(X, y)


def test_training_that_goes_on_is_refused(make, X, y, X_target):
    classifier = make(adaptation="self", freeze_depth="all", warm_start=True)
    classifier.fit(X, y, X_target=X_target)
    with pytest.raises(ValueError, match="Set warm_start=False, or adaptation=None"):
        classifier.fit(X, y, X_target=X_target)
    with pytest.raises(ValueError, match="adaptation='self' needs all labelled rows at once"):
        classifier.partial_fit(X, y)


def test_target_rows_have_no_length(X):
    rows = TargetRows(X)
    assert not hasattr(rows, "__len__")
    assert not hasattr(rows, "shape")
    assert repr(TargetRows(["a"])) == "TargetRows(['a'])"
