"""The extractor among scikit-learn's own tools: on paths and on arrays."""

from __future__ import annotations

import io

import joblib
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from conftest import make_tiny_model
from skltransfer import PretrainedFeatureExtractor, register_backbone

Y = np.arange(24) % 2


@pytest.fixture(scope="module")
def images():
    """Twenty-four images of two kinds: with stripes that lie, and that stand."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (24, 20, 20, 3))
    images[0::2, ::4] += 180
    images[1::2, :, ::4] += 180
    return images.astype(np.uint8)


@pytest.fixture(scope="module")
def files(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stripes")
    names = [str(folder / f"{row}.png") for row in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(name)
    return np.array(names, dtype=object)


@pytest.fixture(params=["arrays", "paths"])
def X(request, images, files):
    return images if request.param == "arrays" else files


@pytest.fixture
def pipeline(tiny):
    return make_pipeline(
        PretrainedFeatureExtractor(tiny), StandardScaler(), LogisticRegression(C=10)
    )


def encoded(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


def test_pipeline(pipeline, X):
    assert pipeline.fit(X, Y).score(X, Y) == 1.0
    assert_array_equal(clone(pipeline).fit(X, Y).predict_proba(X), pipeline.predict_proba(X))
    assert list(pipeline[:-1].get_feature_names_out()[:2]) == ["tiny_0", "tiny_1"]


def test_cross_validation(pipeline, X):
    scores = cross_val_score(pipeline, X, Y, cv=3)
    assert scores.mean() > 0.9
    assert_array_equal(cross_val_score(pipeline, X, Y, cv=3), scores)
    assert cross_val_predict(pipeline, X, Y, cv=3).shape == (24,)


def test_kinds_of_images_agree_in_a_pipeline(pipeline, images, files):
    expected = pipeline.fit(images, Y).predict_proba(images)
    kinds = [
        list(files),
        [encoded(image) for image in images],
        [Image.fromarray(image) for image in images],
        list(images),
    ]
    for kind in kinds:
        assert_array_equal(clone(pipeline).fit(kind, Y).predict_proba(kind), expected)


def test_images_of_different_sizes(pipeline, images):
    X = [image[: 12 + row % 8, : 20 - row % 5] for row, image in enumerate(images)]
    assert pipeline.fit(X, Y).score(X, Y) > 0.9
    assert len(cross_val_score(pipeline, X, Y, cv=3)) == 3


def test_union_of_two_backbones(tiny, X):
    other = register_backbone("other", make_tiny_model(1), preprocessing="torch")
    union = make_union(PretrainedFeatureExtractor(tiny), PretrainedFeatureExtractor(other))
    parts = [clone(part).fit_transform(X) for _, part in union.transformer_list]
    assert_array_equal(union.fit_transform(X), np.hstack(parts))
    names = union.get_feature_names_out()
    assert names[0] == "pretrainedfeatureextractor-1__tiny_0"
    assert names[-1] == "pretrainedfeatureextractor-2__other_11"
    threaded = clone(union).set_params(n_jobs=2)
    with joblib.parallel_config("threading"):
        assert_array_equal(threaded.fit(X).transform(X), np.hstack(parts))


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("column", ["file", ["file"]])
def test_a_column_of_paths(tiny, files, library, column):
    frames = pytest.importorskip(library)
    colours = ["red", "blue", "green"] * 8
    frame = frames.DataFrame({"colour": colours, "file": list(files), "price": np.arange(24.0)})
    transformer = ColumnTransformer(
        [
            ("image", PretrainedFeatureExtractor(tiny), column),
            ("colour", OneHotEncoder(sparse_output=False), ["colour"]),
            ("price", StandardScaler(), ["price"]),
        ]
    )
    features = transformer.fit_transform(frame)
    assert_array_equal(
        features[:, :12].astype(np.float32), PretrainedFeatureExtractor(tiny).fit_transform(files)
    )
    assert list(transformer.get_feature_names_out()[[0, 12]]) == [
        "image__tiny_0",
        "colour__colour_blue",
    ]
    model = make_pipeline(transformer, LogisticRegression(max_iter=1000)).fit(frame, Y)
    assert model.score(frame, Y) == 1.0
    table = transformer.set_output(transform=library).fit_transform(frame)
    assert isinstance(table, frames.DataFrame)
    assert table.shape == (24, 16)
    extractor = transformer.named_transformers_["image"]
    assert hasattr(extractor, "feature_names_in_") == isinstance(column, list)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_features_as_a_frame(tiny, X, library):
    frames = pytest.importorskip(library)
    extractor = PretrainedFeatureExtractor(tiny, layer="stem")
    features = extractor.fit_transform(X)
    table = extractor.set_output(transform=library).transform(X)
    assert isinstance(table, frames.DataFrame)
    assert list(table.columns) == [f"stem_{index}" for index in range(8)]
    assert {str(dtype).lower() for dtype in table.dtypes} == {"float32"}
    assert_array_equal(table.to_numpy(), features)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_series_and_frames_of_paths(tiny, files, library):
    frames = pytest.importorskip(library)
    extractor = PretrainedFeatureExtractor(tiny)
    features = extractor.fit_transform(files)
    series = frames.Series(list(files))
    frame = frames.DataFrame({"file": list(files)})
    assert_array_equal(extractor.fit_transform(series), features)
    assert_array_equal(extractor.fit_transform(frame), features)
    assert list(extractor.feature_names_in_) == ["file"]
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        extractor.transform(frames.DataFrame({"path": list(files)}))


def test_the_index_of_a_frame_is_kept(tiny, files):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(files, index=np.arange(24)[::-1])
    table = PretrainedFeatureExtractor(tiny).set_output(transform="pandas").fit_transform(series)
    assert_array_equal(table.index, series.index)


def test_a_frame_of_numbers(tiny):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5, 2, 3], "b": [0.1, 0.2, -4]})
    extractor = PretrainedFeatureExtractor(tiny).fit(frame)
    assert list(extractor.feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="feature names should match"):
        extractor.transform(frame[["b", "a"]])


def test_grid_search_over_layers_and_poolings_with_workers(pipeline, X):
    """Workers are handed the registered network and find each other's features."""
    grid = {
        "pretrainedfeatureextractor__layer": [None, "stem", ["stem", "top"]],
        "pretrainedfeatureextractor__pooling": ["avg", "max"],
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise").fit(X, Y)
    assert search.best_score_ > 0.9
    here = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, Y)
    assert_array_equal(search.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])
    assert search.cv_results_["param_pretrainedfeatureextractor__layer"].tolist()[::2] == [
        None, "stem", ["stem", "top"],
    ]  # fmt: skip


def test_search_over_backbones(pipeline, tiny, images):
    other = register_backbone("other", make_tiny_model(1), preprocessing="torch")
    grid = {"pretrainedfeatureextractor__backbone": ["tiny", other, tiny]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(images, Y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == scores[2]


def test_a_bare_model_as_backbone(X):
    """It is cloned without being copied, hashed by its content, and goes to workers."""
    model = make_tiny_model()
    extractor = PretrainedFeatureExtractor(model)
    assert clone(extractor).backbone is model
    assert joblib.hash(extractor) == joblib.hash(PretrainedFeatureExtractor(make_tiny_model()))
    assert joblib.hash(extractor) != joblib.hash(PretrainedFeatureExtractor(make_tiny_model(1)))
    features = extractor.fit_transform(X)
    handle = register_backbone("bare", model)
    assert_array_equal(PretrainedFeatureExtractor(handle).fit_transform(X), features)
    assert repr(extractor).startswith("PretrainedFeatureExtractor(backbone=<")


def test_a_pipeline_with_memory(tiny, images, tmp_path):
    cached = Pipeline(
        [("features", PretrainedFeatureExtractor(tiny)), ("model", LogisticRegression())],
        memory=str(tmp_path),
    )
    assert_array_equal(cached.fit(images, Y).predict(images), cached.fit(images, Y).predict(images))


def test_dumped_and_loaded_pipeline(pipeline, X, tmp_path):
    probabilities = pipeline.fit(X, Y).predict_proba(X)
    joblib.dump(pipeline, tmp_path / "pipeline.joblib")
    loaded = joblib.load(tmp_path / "pipeline.joblib")
    assert_array_equal(loaded.predict_proba(X), probabilities)


def test_metadata_is_routed_past_the_extractor(tiny, images):
    weights = np.ones(24)
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            PretrainedFeatureExtractor(tiny),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        pipeline.fit(images, Y, sample_weight=weights)
        assert PretrainedFeatureExtractor(tiny).get_metadata_routing().fit.requests == {}


def test_after_a_step_that_makes_images(tiny, images):
    flip = FunctionTransformer(lambda images: images[:, :, ::-1])
    features = make_pipeline(flip, PretrainedFeatureExtractor(tiny)).fit_transform(images)
    direct = PretrainedFeatureExtractor(tiny).fit_transform(images[:, :, ::-1])
    assert_array_equal(features, direct)


def test_nested_parameters(tiny):
    union = FeatureUnion([("a", PretrainedFeatureExtractor(tiny))])
    assert union.set_params(a__pooling="max").get_params()["a__pooling"] == "max"
    with pytest.raises(ValueError, match="Invalid parameter 'poolling'"):
        union.set_params(a__poolling="max")
