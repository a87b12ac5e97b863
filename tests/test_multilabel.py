"""FineTunedClassifier with several labels a row: what y may be, rare labels, and what comes out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_predict

from skltransfer import FineTunedClassifier, load
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.backend import as_array, as_tensor
from skltransfer.tasks.multilabel import MultiLabel, SigmoidCrossEntropy
from skltransfer.tasks.weighting import merge_rows


@pytest.fixture(scope="module")
def marked():
    """Images with any of three marks, and which they have; the third is rare."""
    rng = np.random.default_rng(0)
    y = (rng.random((40, 3)) < [0.5, 0.4, 0.2]).astype(int)
    images = rng.integers(0, 60, (40, 16, 16, 3))
    images[:, :5] += 190 * y[:, 0, None, None, None]
    images[:, 11:, :, :1] += 190 * y[:, 1, None, None, None]
    images[:, :, 6:9, 2:] += 120 * y[:, 2, None, None, None]
    return np.clip(images, 0, 255).astype(np.uint8), y


@pytest.fixture
def make(tiny):
    def classifier(**settings):
        given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "random_state": 0}
        return FineTunedClassifier(tiny, **{**given, **settings})

    return classifier


def test_labels_are_learned_and_everything_that_predicts_agrees(make, marked):
    X, y = marked
    fitted = make(epochs=20, freeze_depth=0).fit(X[:30], y[:30])
    probabilities, decision = fitted.predict_proba(X), fitted.decision_function(X)
    assert fitted.score(X[30:], y[30:]) > 0.6
    assert_array_equal(fitted.predict(X), probabilities > 0.5)
    assert_array_equal(fitted.predict(X), decision > 0)
    assert_allclose(fitted.predict_log_proba(X), np.log(probabilities), rtol=1e-6)
    assert fitted.score(X, y) == accuracy_score(y, fitted.predict(X))
    assert_array_equal(fitted.classes_, [0, 1, 2])
    assert fitted.label_names_ is None


CONTAINERS = {
    "ints": lambda y: y.astype(np.int32),
    "bools": lambda y: y.astype(bool),
    "floats": lambda y: y.astype(np.float32),
    "objects": lambda y: y.astype(object),
    "lists": lambda y: y.tolist(),
    "matrix": csr_matrix,
    "sparse array": lambda y: csr_array(y).tocsc(),
    "frame": lambda y: pd.DataFrame(y, columns=["top", "bottom", "bar"]),
}


@pytest.mark.parametrize("given", CONTAINERS.values(), ids=CONTAINERS)
def test_the_container_of_y_changes_no_number_and_comes_back(make, marked, given, tmp_path):
    X, y = marked
    expected = make().fit(X, y)
    fitted = make().fit(X, given(y))
    assert_array_equal(fitted._states[-1].params, expected._states[-1].params)
    fitted.save(tmp_path / "labels.skltransfer")
    for each in (fitted, load(tmp_path / "labels.skltransfer")):
        found = each.predict(X)
        dense = found.toarray() if hasattr(found, "toarray") else found
        assert_array_equal(dense, expected.predict(X))
        assert isinstance(found, csr_matrix) == isinstance(given(y), csr_matrix)
        assert isinstance(found, csr_array) == hasattr(given(y), "tocsc") - isinstance(
            given(y), csr_matrix
        )


def test_columns_of_a_frame_are_kept_as_names(make, marked, tmp_path):
    X, y = marked
    fitted = make(epochs=0).fit(X, pd.DataFrame(y, columns=["top", "bottom", "bar"]))
    fitted.save(tmp_path / "labels.skltransfer")
    for each in (fitted, load(tmp_path / "labels.skltransfer")):
        assert each.label_names_.tolist() == ["top", "bottom", "bar"]
        assert_array_equal(each.classes_, [0, 1, 2])


def test_a_single_column_is_one_label(make, marked):
    X, y = marked
    expected = make().fit(X, y[:, 0]).predict_proba(X)
    for column in (y[:, :1], csr_matrix(y[:, :1])):
        with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
            assert_array_equal(make().fit(X, column).predict_proba(X), expected)


def test_one_class_a_row_in_columns_is_told(make, marked):
    X, y = marked
    with pytest.warns(UserWarning, match=r"exactly one 1 in every row.*y\.argmax\(axis=1\)"):
        fitted = make(epochs=0).fit(X, np.eye(3, dtype=int)[y[:, 0]])
    assert fitted.predict(X).shape == (40, 3)


def test_labels_that_never_change_have_finite_logits(make, marked):
    X, y = marked
    y = np.column_stack([y[:, 0], np.zeros(40, int), np.ones(40, int)])
    start = make(epochs=0).fit(X, y)
    assert np.abs(start.decision_function(X)).max() < 20
    assert_array_equal(start.predict(X)[:, 1:], y[:, 1:])
    for settings in ({"head_units": (4,)}, {"class_weight": "balanced"}):
        decision = make(**settings).fit(X, y).decision_function(X)
        assert np.abs(decision).max() < 100


def test_rows_without_weight_are_not_judged(make, marked):
    X, y = marked
    y = y.astype(float)
    weights = np.ones(40)
    y[3], weights[3] = [np.nan, -1, 7], 0
    fitted = make().fit(X, y, sample_weight=weights)
    others = np.arange(40) != 3
    expected = make().fit(X[others], y[others])
    assert_array_equal(fitted._states[-1].params, expected._states[-1].params)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_head_starts_from_a_logistic_regression_for_each_label(smoothing):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 12)).astype(np.float32)
    y = (features[:, :2] + rng.standard_normal((60, 2)) > 0).astype(int)
    weights = rng.integers(1, 4, 60).astype(float)
    task = MultiLabel(2, None, "int64", "array", [{1: 3.0}, {}], smoothing)
    rows = merge_rows([bytes([row]) for row in range(60)], y, weights)
    kernel, bias = task.linear_probe(features, task.targets(rows, rows).values, weights)
    for label, factor in enumerate((3.0, 1.0)):
        model = LogisticRegression(C=60 / 12, tol=1e-8, max_iter=5000)
        twice, of = np.concatenate([features, features]), weights * np.where(y[:, label], factor, 1)
        halves = np.concatenate([of * (1 - smoothing / 2), of * smoothing / 2])
        model.fit(twice, np.r_[y[:, label], 1 - y[:, label]], sample_weight=halves)
        found = features @ kernel[:, label] + bias[label]
        assert_allclose(found, model.decision_function(features), atol=5e-3)


def test_the_loss_is_that_of_scikit_learn_by_numpy_and_by_keras():
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((30, 2)).astype(np.float32)
    y, sizes = rng.integers(0, 2, (30, 2)), rng.random((30, 2)).astype(np.float32)
    targets = np.where(y, sizes, -sizes)
    loss, shares = SigmoidCrossEntropy(), np.full((30, 1), 1 / 30, np.float32)
    probabilities = 1 / (1 + np.exp(-outputs.astype(float)))
    expected = [
        log_loss(y[:, k], probabilities[:, k], sample_weight=sizes[:, k]) * sizes[:, k].mean()
        for k in (0, 1)
    ]
    found = loss.of_arrays(outputs, targets, shares)
    assert_allclose(found.loss, np.mean(expected), rtol=1e-5)
    by_keras = as_array(loss.of_tensors(as_tensor(outputs), as_tensor(targets)))
    assert_allclose(by_keras.mean(), found.loss, rtol=1e-5)
    step = 1e-2 * rng.standard_normal(outputs.shape).astype(np.float32)
    up, down = (loss.of_arrays(outputs + s * step, targets, shares).loss for s in (1, -1))
    assert_allclose((found.slope * step).sum(), (up - down) / 2, atol=1e-6)


def test_balanced_weights_make_both_values_of_a_label_weigh_the_same():
    y = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
    rows = merge_rows([bytes([row]) for row in range(4)], y, np.ones(4))
    task = MultiLabel(2, None, "int64", "array", "balanced")
    values = task.targets(rows, rows).values
    assert_allclose(values[:, 0], [2, -2 / 3, -2 / 3, -2 / 3])
    assert_allclose(values[:, 1], -1)


def test_early_stopping_tells_the_loss_and_the_share_of_rows_that_are_right(make, marked):
    X, y = marked
    fitted = make(early_stopping=True, epochs=3).fit(X, y)
    assert set(fitted.history_) == {"loss", "val_loss", "val_accuracy"}


def test_an_unreadable_row_gets_what_is_most_frequent(make, paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    y = np.tile([[1, 0, 0], [1, 0, 1]], (4, 1))
    y[0] = [1, 1, 1]
    with pytest.warns(UnreadableImagesWarning, match=r"of the classes \[1\] is left") as caught:
        fitted = make(on_error="nan").fit([broken, *paths[1:]], y)
    assert caught[0].message.rows == [0]
    with pytest.warns(UnreadableImagesWarning):
        assert fitted.predict([broken]).tolist() == [[1, 0, 1]]


def test_partial_fit_takes_the_numbers_of_the_labels(make, marked):
    X, y = marked
    fitted = make().partial_fit(X, y, np.arange(3)).partial_fit(X[:5], y[:5])
    assert_array_equal(fitted._task.totals[:, 1], y.sum(axis=0) + y[:5].sum(axis=0))
    for classes, message in [
        (None, "classes must be passed on the first call"),
        (np.arange(2), "y has 3 labels in each row, but classes, or the first fit, has 2"),
        (
            [1, 2, 3],
            r"classes is \[1, 2, 3\], but for 3 labels in each row it must be np.arange\(3\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            make().partial_fit(X, y, classes)
    with pytest.raises(ValueError, match="one label in each row, but the first fit had several"):
        fitted.partial_fit(X, y[:, 0])
    with pytest.raises(ValueError, match="several labels in each row, but the first fit had one"):
        make(warm_start=True).fit(X, y[:, 0]).fit(X, y)
    with pytest.raises(ValueError, match="y has 2 labels in each row, but classes, or the"):
        make(warm_start=True).fit(X, y).fit(X, y[:, :2])


TAGS = "y holds a list of tags for each row, such as .*MultiLabelBinarizer"
REFUSED = {
    "minus one and one": (
        lambda y: 2 * y - 1,
        r"but several labels in each row.*\(y > 0\).astype\(int\)",
    ),
    "one and two": (lambda y: y + 1, r"has 2 in row .*Pass y - 1"),
    "classes": (lambda y: y * 4, "has 4 in row .*MultiOutputClassifier"),
    "a name": (lambda y: pd.DataFrame(y * 4, columns=[*"abc"]), r"column 1 \('b'\), but several"),
    "sparse": (lambda y: csr_matrix(y * 4), "has .*4.* in row"),
    "fractions": (lambda y: y * 0.5, "has .*0.5.* in row"),
    "NaN": (lambda y: np.where(y, np.nan, 0), "has .*nan.* in row"),
    "tags": (lambda y: [["a", "b"][: 1 + row % 2] for row in range(40)], TAGS),
    "sets": (lambda y: [{"a"}] * 40, TAGS),
    "texts": (lambda y: [["a", "b"]] * 40, TAGS),
    "a column of tags": (lambda y: pd.Series([["a"], ["b", "c"]] * 20), TAGS),
}


@pytest.mark.parametrize("change, message", REFUSED.values(), ids=REFUSED)
def test_what_is_no_label_is_refused(make, marked, change, message):
    with pytest.raises(ValueError, match=message):
        make().fit(marked[0], change(marked[1]))


WEIGHTS = {
    "a dict": ({0: 1.0}, "Pass a list with a dict for each label"),
    "too short": ([{0: 1.0}], "does not fit y with 3 labels in each row"),
    "another key": ([{2: 1.0}, {}, {}], "has {2: 1.0} for label 0, but a dict with factors for 0"),
    "negative": ([{}, {1: -1.0}, {}], "the factor -1.0. Factors must be finite numbers, 0 or more"),
    "nothing left": ([{0: 0.0, 1: 0.0}] * 3, "leaves no weight to any label"),
}


@pytest.mark.parametrize("weights, message", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_do_not_fit_are_refused(make, marked, weights, message):
    X, y = marked
    with pytest.raises(ValueError, match=message):
        make(class_weight=weights).fit(X, y)


def test_a_list_of_weights_is_refused_for_one_label(make, marked):
    with pytest.raises(ValueError, match="is a list, as for several labels in each row, but y"):
        make(class_weight=[{0: 1.0}]).fit(marked[0], marked[1][:, 0])


def test_cross_validation_gives_probabilities_of_all_labels(make, marked):
    X, y = marked
    found = cross_val_predict(make(epochs=0), X, y, cv=3, method="predict_proba")
    assert found.shape == (40, 3)
    assert ((found > 0) & (found < 1)).all()
