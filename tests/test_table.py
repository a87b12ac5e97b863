"""A table beside the input: its laws, what it is good for, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)

import skltransfer
from conftest import rows_of_stretches
from skltransfer import (
    FeatureMapDisplay,
    FineTunedClassifier,
    FineTunedRegressor,
    LargestErrorsDisplay,
    SaliencyDisplay,
    TopLossesDisplay,
    cache_info,
)
from toy_texts import make_network


def transformer():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]), (StandardScaler(), ["price"])
    )


@pytest.fixture(scope="module")
def frame(cats_and_dogs):
    """Photographs, some of which occur twice with other rows of the table."""
    rng = np.random.default_rng(1)
    photos = [*cats_and_dogs[0], *cats_and_dogs[0][:4]]
    kinds = rng.choice(["new", "used"], 28)
    table = {"kind": pd.Categorical(kinds), "price": 100 * rng.standard_normal(28) + 700}
    return pd.DataFrame({"photo": photos, **table})


@pytest.fixture(scope="module")
def labels(frame):
    """Whether a photograph is light, or dark and the row cheap: both are needed."""
    light = np.array([photo.mean() for photo in frame["photo"]]) > 100
    return np.where(light ^ (frame["price"].to_numpy() > 700), "yes", "no")


@pytest.fixture
def make(tiny):
    def estimator(kind=FineTunedClassifier, **settings):
        given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "random_state": 0}
        return kind(tiny, **{"tabular": transformer(), **given, **settings})

    return estimator


def outputs(fitted, X):
    return fitted.predict_proba(X) if hasattr(fitted, "predict_proba") else fitted.predict(X)


# Law 5: weights are repetition ------------------------------------------------------------------

WAYS = {
    "head alone": (FineTunedClassifier, {"freeze_depth": "all"}),
    "hidden layer": (FineTunedClassifier, {"freeze_depth": 0, "head_units": (6,)}),
    "fixed views": (FineTunedClassifier, {"augment": "flip", "n_views": 2}),
    "last stage": (FineTunedRegressor, {"freeze_depth": -1}),
    "new views": (FineTunedRegressor, {"augment": "flip"}),
    "early stopping": (FineTunedRegressor, {"early_stopping": True, "validation_fraction": 0.3}),
    "moments of batches": (FineTunedRegressor, {"freeze_depth": 0, "batch_norm": "train"}),
}


@pytest.mark.parametrize("kind, settings", WAYS.values(), ids=WAYS)
def test_a_weight_equals_repetition_in_any_order(make, frame, labels, kind, settings):
    rng = np.random.default_rng(0)
    y = (labels == "yes") * 3.0 if kind is FineTunedRegressor else labels
    weights = rng.integers(0, 3, 28)
    rows = rng.permutation(np.repeat(np.arange(28), weights))
    weighted = make(kind, **settings).fit(frame, y, sample_weight=weights)
    repeated = make(kind, **settings).fit(frame.iloc[rows], y[rows])
    assert_array_equal(outputs(weighted, frame), outputs(repeated, frame))


def test_a_weight_equals_repetition_with_several_labels(make, frame, labels):
    y = np.stack([labels == "yes", frame["price"] > 700], axis=1).astype(int)
    weights = np.arange(28) % 3
    rows = np.repeat(np.arange(28), weights)[::-1]
    weighted = make().fit(frame, y, sample_weight=weights)
    repeated = make().fit(frame.iloc[rows], y[rows])
    assert_array_equal(weighted.predict_proba(frame), repeated.predict_proba(frame))


def test_the_transformer_sees_each_pair_of_input_and_table_once_in_order_of_content(
    make, frame, labels
):
    seen = []

    class Recording(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None, **others):
            seen.append((X["price"].tolist(), y.tolist(), others))
            return self

        def transform(self, X):
            return X[["price"]]

    twice = np.r_[np.arange(28), np.arange(28)]
    for rows in (np.arange(28), twice[::-1]):
        make(tabular=Recording(), epochs=0).fit(frame.iloc[rows], labels[rows])
    assert len(seen[0][0]) == 28
    assert seen[0] == seen[1]
    assert seen[0][2] == {}


# Laws 3, 4, 6, 8 and 9 --------------------------------------------------------------------------


@pytest.mark.parametrize("depth", ["all", -1])
def test_neither_order_nor_company_nor_the_cache_matters(make, frame, labels, depth):
    fitted = make(freeze_depth=depth).fit(frame, labels)
    expected = fitted.predict_proba(frame)
    order = np.random.default_rng(0).permutation(28)
    assert_array_equal(fitted.predict_proba(frame.iloc[order]), expected[order])
    assert_array_equal(fitted.predict_proba(frame.iloc[[3]]), expected[[3]])
    uncached = make(freeze_depth=depth, cache=None).fit(frame, labels)
    assert_array_equal(uncached.predict_proba(frame), expected)


def test_a_pickle_predicts_the_same(make, frame, labels):
    fitted = make().fit(frame, labels)
    copy = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copy.predict_proba(frame), fitted.predict_proba(frame))


def test_the_seed_reaches_the_transformer(make, frame, labels):
    tabular = make_column_transformer((QuantileTransformer(n_quantiles=5), ["price"]))
    fitted = make(tabular=tabular, input_column="photo").fit(frame, labels)
    assert isinstance(fitted.tabular_.named_transformers_["quantiletransformer"].random_state, int)
    assert tabular.transformers[0][1].random_state is None


def test_frozen_weights_do_not_move(make, frame, labels):
    fitted = make(freeze_depth="all").fit(frame, labels)
    before, step = fitted.backbone_.weights, fitted._train_steps()[-1]
    tuned = step.tuned(before, fitted._states[-1].params, fitted._states[-1].fixed)
    for old, new in zip(before, tuned, strict=True):
        assert_array_equal(old, new)


def test_a_search_runs_every_image_once_whatever_the_table(make, frame, labels, tmp_path):
    grid = {"freeze_depth": ["all", -1], "tabular__standardscaler__with_mean": [True, False]}
    GridSearchCV(make(cache=tmp_path), grid, cv=2).fit(frame, labels)
    assert set(cache_info(tmp_path).rows_computed.values()) == rows_of_stretches(24)


# What it is good for ----------------------------------------------------------------------------


def test_a_target_that_needs_both_is_learned_from_both(make, frame):
    numbers = np.array([p.mean() for p in frame["photo"]]) + 0.2 * frame["price"].to_numpy()
    both = make(FineTunedRegressor).fit(frame, numbers).score(frame, numbers)
    photos = make(FineTunedRegressor, tabular=None).fit(frame[["photo"]], numbers)
    assert both > 0.9 > photos.score(frame[["photo"]], numbers)


@pytest.mark.parametrize("factor", [1e-6, 1e9])
def test_the_units_of_a_column_do_not_matter(make, frame, labels, factor):
    expected = make().fit(frame, labels).predict_proba(frame)
    tabular = make_column_transformer(
        (OneHotEncoder(), ["kind"]), (FunctionTransformer(lambda price: factor * price), ["price"])
    )
    found = make(tabular=tabular).fit(frame, labels).predict_proba(frame)
    assert_allclose(found, expected, atol=1e-3)


def test_dense_and_sparse_and_frames_are_the_same(make, frame, labels):
    kinds = {"dense": np.asarray, "sparse": csr_array, "frame": pd.DataFrame}
    prices = [
        FunctionTransformer(lambda X, make_it=make_it: make_it(X[["price"]].to_numpy()))
        for make_it in kinds.values()
    ]
    found = [make(tabular=each).fit(frame, labels).predict_proba(frame) for each in prices]
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[2])


def test_frames_of_polars_are_the_same(make, frame, labels, paths):
    table = {"photo": list(map(str, paths)), "price": frame["price"].tolist()[:8]}
    tabular = make_column_transformer((StandardScaler(), ["price"]))
    of_pandas = make(tabular=tabular).fit(pd.DataFrame(table), [0, 1] * 4)
    of_polars = make(tabular=tabular).fit(pl.DataFrame(table), [0, 1] * 4)
    expected = of_pandas.predict_proba(pd.DataFrame(table))
    assert_array_equal(of_polars.predict_proba(pl.DataFrame(table)), expected)
    assert of_polars.feature_names_in_.tolist() == ["photo", "price"]
    assert of_polars.n_features_in_ == 2


def test_y_reaches_the_transformer(make, frame, labels):
    tabular = make_column_transformer((TargetEncoder(), ["kind"]))
    fitted = make(tabular=tabular).fit(frame, labels)
    assert fitted.tabular_.named_transformers_["targetencoder"].classes_.tolist() == ["no", "yes"]


def test_unreadable_rows_are_left_out_of_both(make, frame, labels, paths):
    photos = [*map(str, paths), "no such.png"]
    table = frame.iloc[:9].assign(photo=photos)
    with pytest.warns(UserWarning, match="1 of 9"):
        fitted = make(on_error="nan").fit(table, labels[:9])
    assert fitted.failed_rows_.tolist() == [8]
    expected = make().fit(table[:8], labels[:8]).predict_proba(table[:8])
    with pytest.warns(UserWarning, match="1 of 9"):
        found = fitted.predict_proba(table)
    assert_array_equal(found[:8], expected)
    assert np.isnan(found[8]).all()


def test_training_goes_on_with_the_first_transformer(make, frame, labels):
    fitted = make(warm_start=True).fit(frame, labels)
    first = fitted.tabular_
    fitted.fit(frame.assign(price=frame["price"] + 5), labels)
    assert fitted.tabular_ is first
    fitted.partial_fit(frame, labels)
    assert fitted.n_iter_ == 3
    with pytest.raises(ValueError, match="The first fit had a table beside the input"):
        fitted.set_params(tabular=None).fit(frame[["photo"]], labels)


def test_averaged_views_share_a_table(make, frame, labels):
    fitted = make(augment="flip", n_views=2, tta=True).fit(frame, labels)
    one = fitted.set_params(tta=False).predict_proba(frame)
    assert not np.array_equal(fitted.set_params(tta=True).predict_proba(frame), one)


@pytest.mark.parametrize("settings", [{}, {"freeze_depth": "all", "head_units": (4,)}])
def test_the_keras_model_has_two_inputs(make, frame, labels, settings):
    fitted = make(**settings).fit(frame, labels)
    model = fitted.to_keras()
    table = fitted.tabular_.transform(frame[["kind", "price"]])
    found = model([np.stack(frame["photo"].tolist()).astype(np.float32), np.float32(table)])
    assert_allclose(np.asarray(found), fitted.predict_proba(frame), atol=1e-4)


def test_a_fit_without_a_table_forgets_the_one_before(make, frame, labels):
    fitted = make().fit(frame, labels).set_params(tabular=None).fit(frame[["photo"]], labels)
    assert fitted.tabular_ is None
    expected = make(tabular=None).fit(frame[["photo"]], labels).predict_proba(frame[["photo"]])
    assert_array_equal(fitted.predict_proba(frame[["photo"]]), expected)


def test_texts_and_sounds_take_tables(frame, labels):
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(["c0b0", "c0b1", "c1b1"], 1 + n % 4)) for n in range(12)]
    clips = [(16000, rng.normal(0, 3000, 16000).astype(np.int16)) for _ in range(4)]
    weights, rows = [2, 0, 1, 1], [3, 2, 0, 0]
    for backbone, inputs in ((make_network(), words[:4]), ("speech_embedding", clips)):
        X = pd.DataFrame({"input": inputs, "price": frame["price"][:4]})
        settings = {"tabular": StandardScaler(), "freeze_depth": -1, "epochs": 1}
        weighted = FineTunedClassifier(backbone, random_state=0, **settings)
        weighted.fit(X, [0, 1, 1, 0], sample_weight=weights)
        repeated = FineTunedClassifier(backbone, random_state=0, **settings)
        repeated.fit(X.iloc[rows], [0, 1, 0, 0])
        assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


@pytest.mark.parametrize("settings", [{"freeze_depth": -1}, {"head_units": (4,)}])
@pytest.mark.usefixtures("closed_figures")
def test_displays_show_the_images_of_a_frame(make, frame, labels, settings):
    fitted = make(**settings).fit(frame, labels)
    assert len(TopLossesDisplay.from_estimator(fitted, frame, labels, n_images=2).images) == 2
    FeatureMapDisplay.from_estimator(fitted, frame, labels)
    assert len(SaliencyDisplay.from_estimator(fitted, frame[:2]).images) == 2
    fitted = make(FineTunedRegressor, **settings).fit(frame, frame["price"])
    display = LargestErrorsDisplay.from_estimator(fitted, frame, frame["price"], n_images=3)
    assert_array_equal(display.images[0], frame["photo"][display.rows[0]])


# What is refused --------------------------------------------------------------------------------


def holes(frame):
    return frame.assign(price=frame["price"].where(frame.index != 5))


REFUSED = {
    "no frame": (lambda frame: frame.to_numpy(), {}, TypeError, "X is a ndarray. Pass a pandas"),
    "no such column": (
        lambda frame: frame,
        {"input_column": "foto"},
        ValueError,
        "input_column='foto' is not a column of X. It has 'photo', 'kind', 'price'",
    ),
    "no other": (lambda frame: frame[["photo"]], {}, ValueError, "but X has no others"),
    "two inputs": (
        lambda frame: frame.assign(note="good"),
        {},
        ValueError,
        "'photo', 'note' could be meant. Set input_column='photo'",
    ),
    "no input": (
        lambda frame: frame[["kind", "price"]],
        {},
        ValueError,
        "all columns hold numbers, dates or categories",
    ),
    "nothing said": (
        lambda frame: frame,
        {"tabular": None},
        ValueError,
        r"FineTunedClassifier\(tabular=make_column_transformer\(...\), input_column='photo'\)",
    ),
    "a hole": (holes, {}, ValueError, "gives nan for row 5 of X, in its column 2. Impute"),
    "no numbers": (
        lambda frame: frame,
        {"tabular": FunctionTransformer(lambda X: X[["kind"]].astype(str))},
        ValueError,
        "but the head reads numbers. Encode them, for instance with OneHotEncoder",
    ),
    "fewer rows": (
        lambda frame: frame,
        {"tabular": FunctionTransformer(lambda X: np.zeros((3, 1)))},
        ValueError,
        r"an array of shape \(3, 1\) for 28 rows of X, but must give one row for each, with",
    ),
    "no transformer": (lambda frame: frame, {"tabular": "price"}, ValueError, "'tabular' param"),
}


@pytest.mark.parametrize("change, settings, error, message", REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused(make, frame, labels, change, settings, error, message):
    estimator = make(**settings)
    with pytest.raises(error, match=message):
        estimator.fit(change(frame), labels)
    assert not hasattr(estimator, "tabular_")


def test_holes_may_be_filled(make, frame, labels):
    filled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    tabular = make_column_transformer((filled, ["price"]))
    fitted = make(tabular=tabular, input_column="photo").fit(holes(frame), labels)
    assert np.isfinite(fitted.predict_proba(holes(frame))).all()
    with pytest.raises(ValueError, match="gives .* columns, but gave 2 in fit"):
        fitted.tabular_.transform = lambda X: np.zeros((len(X), 3))
        fitted.predict(frame)


def test_other_columns_than_in_fit_are_refused(make, frame, labels):
    fitted = make().fit(frame, labels)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame.rename(columns={"price": "cost"}))
    with pytest.raises(TypeError, match="X is a list"):
        fitted.predict(list(frame["photo"]))


def test_a_file_without_pickle_cannot_hold_a_transformer(make, frame, labels, tmp_path):
    for estimator in (make(), make().fit(frame, labels)):
        with pytest.raises(TypeError, match=r"joblib.dump\(.*skops.io.dump"):
            estimator.save(tmp_path / "file")


def test_an_export_of_a_table_is_refused_by_name(make, frame, labels, tmp_path):
    fitted = make(epochs=0).fit(frame, labels)
    with pytest.raises(ValueError, match="An estimator with tabular= cannot be exported: export"):
        skltransfer.export(fitted, tmp_path / "model.onnx")
