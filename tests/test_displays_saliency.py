"""`SaliencyDisplay`: Grad-CAM is the weighted sum of the last feature maps, by any other way."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import SVC

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    SaliencyDisplay,
    register_backbone,
)
from skltransfer.displays._backbone_steps import backbone_step, linear_weights
from skltransfer.displays._heat_maps import look_at

pytestmark = pytest.mark.usefixtures("closed_figures")


def relu(x):
    return np.maximum(x, 0)


def enlarged(coarse, size=(16, 16)):
    """Bilinear, by another library."""
    import keras

    stacked = np.asarray(coarse, np.float32)[..., None]
    return np.asarray(keras.ops.image.resize(stacked, size))[..., 0]


def maps_of(tiny, X):
    """The last feature maps, by way of the features of every place."""
    flat = PretrainedFeatureExtractor(tiny, pooling="flatten").fit_transform(X)
    return flat.reshape(len(X), 4, 4, -1)


def grad_cam_by_keras(classifier, X, targets):
    """The recipe of the paper, on the exported model."""
    import keras
    import tensorflow as tf

    model = classifier.to_keras()
    operations = list(model.operations)
    behind = [operation.name for operation in operations].index("backbone") + 1
    watched = [operations[behind].input, operations[-1].input]
    with tf.GradientTape() as tape:
        maps, logits = keras.Model(model.inputs[0], watched)(X.astype(np.float32))
        chosen = tf.reduce_sum(tf.gather(logits, targets, axis=1, batch_dims=1))
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2), keepdims=True)
    return relu(tf.reduce_sum(weights * maps, axis=-1).numpy())


def close(found, expected):
    return assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def pipeline(tiny):
    return make_pipeline(PretrainedFeatureExtractor(tiny), StandardScaler(), LogisticRegression())


# Laws --------------------------------------------------------------------------------------


def test_grad_cam_of_a_linear_head_is_the_class_activation_map(make, tiny, X, y):
    """Zhou et al. (2016): the head's weights, times the maps."""
    classifier = make(freeze_depth="all").fit(X, y)
    layer = classifier.to_keras().layers[-2]
    kernel, scale = layer.get_weights()[0], classifier._states[-1].standardizer[1]
    for code, label in enumerate(classifier.classes_):
        display = SaliencyDisplay.from_estimator(classifier, X[:5], target=label)
        expected = relu(maps_of(tiny, X[:5]) @ (kernel[:, code] / scale) / 16)
        close(display.heat_maps, enlarged(expected))


@pytest.mark.about("tensorflow", reason="its gradient is compared")
@pytest.mark.parametrize("freeze_depth", ["all", -1, "stem", 0])
@pytest.mark.parametrize("settings", [{}, {"head_units": (5,), "head_activation": "gelu"}])
def test_grad_cam_is_that_of_the_exported_model(make, X, y, freeze_depth, settings):
    classifier = make(freeze_depth=freeze_depth, batch_norm="train", **settings).fit(X, y)
    targets = np.arange(6) % 2
    display = SaliencyDisplay.from_estimator(classifier, X[:6], target=classifier.classes_[targets])
    close(display.heat_maps, enlarged(grad_cam_by_keras(classifier, X[:6], targets)))


@pytest.mark.parametrize(
    "steps", [[], [StandardScaler()], [StandardScaler(), PCA(3, random_state=0)]]
)
@pytest.mark.parametrize("classifier", [LogisticRegression(), RidgeClassifier()])
def test_the_map_of_a_linear_pipeline_adds_up_to_its_score(tiny, X, steps, classifier):
    """Before negative values are left out, a mean over places is the change of the score."""
    y = np.arange(len(X)) % 3
    model = make_pipeline(PretrainedFeatureExtractor(tiny), *steps, classifier).fit(X, y)
    found = backbone_step(model, X[:4], "")
    slopes = linear_weights(found.tail, look_at(found).maps[0].mean(axis=(1, 2)))
    sums = maps_of(tiny, X[:4]).mean(axis=(1, 2)) @ slopes
    scores = model.decision_function(X[:4])
    close(sums - sums[0], scores - scores[0])
    for target in range(3):
        display = SaliencyDisplay.from_estimator(model, X[:4], target=target)
        close(display.heat_maps, enlarged(relu(maps_of(tiny, X[:4]) @ slopes[:, target]) / 16))


def test_a_map_depends_on_its_own_image_alone(make, X, y):
    classifier = make().fit(X, y)
    together = SaliencyDisplay.from_estimator(classifier, X)  # more than run together
    order = np.random.default_rng(0).permutation(len(X))
    permuted = SaliencyDisplay.from_estimator(classifier, X[order])
    close(permuted.heat_maps, together.heat_maps[order])
    close(SaliencyDisplay.from_estimator(classifier, X[3:4]).heat_maps, together.heat_maps[3:4])


def test_the_class_is_found_where_it_was_put(red_and_green):
    """A network that sees means of colour, and a patch of one colour in a corner."""
    images = np.random.default_rng(0).integers(60, 100, (40, 32, 32, 3), dtype=np.uint8)
    labels = np.where(np.arange(40) % 2, "red", "green")
    images[labels == "red", :, :, 0] += 100
    images[labels == "green", :, :, 1] += 100
    model = FineTunedClassifier(red_and_green, freeze_depth="all", epochs=0, random_state=0)
    model.fit(images, labels)
    scene = np.full((1, 32, 32, 3), 80, np.uint8)
    scene[0, :8, 24:, 0] = 200  # red at the top right
    scene[0, 24:, :8, 1] = 200  # green at the bottom left
    red, green = (
        SaliencyDisplay.from_estimator(model, scene, target=label).heat_maps[0]
        for label in ("red", "green")
    )
    assert red[:8, 24:].min() > 3 * red[24:, :8].max()
    assert green[24:, :8].min() > 3 * green[:8, 24:].max()
    row, column = np.unravel_index(red.argmax(), red.shape)
    assert row < 8 and column >= 24


@pytest.fixture(scope="module")
def red_and_green():
    """Network whose last map is the mean colour of each of 4 x 4 squares."""
    import keras

    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Conv2D(3, 8, strides=8, activation="relu")(inputs)
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((8, 8, 3, 3), np.float32)
    kernel[..., range(3), range(3)] = 1 / 64
    model.set_weights([kernel, np.zeros(3, np.float32)])
    return register_backbone("red_and_green", model)


# Parameters --------------------------------------------------------------------------------


def test_what_is_predicted_is_explained_unless_told_otherwise(make, X, y):
    classifier = make().fit(X, y)
    predicted = classifier.predict(X[:4])
    display = SaliencyDisplay.from_estimator(classifier, X[:4])
    same = SaliencyDisplay.from_estimator(classifier, X[:4], target=predicted)
    assert display.names == predicted.tolist()
    assert_array_equal(display.heat_maps, same.heat_maps)
    assert_allclose(display.probabilities, classifier.predict_proba(X[:4]).max(axis=1))


def test_images_are_shown_as_the_network_sees_them(make, X, y, paths, images):
    classifier = make(resize="crop").fit(X, y)
    display = SaliencyDisplay.from_estimator(classifier, paths)
    assert_array_equal(display.images, SaliencyDisplay.from_estimator(classifier, images).images)
    assert display.images.shape == (8, 16, 16, 3)
    scale = np.linspace(0, 255, 16 * 16 * 3).reshape(1, 16, 16, 3).astype(np.uint8)
    assert_array_equal(SaliencyDisplay.from_estimator(classifier, scale).images, scale)


def test_searches_and_steps_before_the_network_are_seen_through(make, X, y):
    turned = make_pipeline(FunctionTransformer(lambda images: images[:, ::-1]), make())
    search = GridSearchCV(turned, {"finetunedclassifier__epochs": [1]}, cv=2).fit(X, y)
    inner = search.best_estimator_[-1]
    display = SaliencyDisplay.from_estimator(search, X[:3])
    same = SaliencyDisplay.from_estimator(inner, X[:3, ::-1])
    assert_array_equal(display.heat_maps, same.heat_maps)
    assert display.names == same.names


def test_frames_between_the_steps_are_no_trouble(pipeline, X, y):
    plain = SaliencyDisplay.from_estimator(pipeline.fit(X, y), X[:3])
    frames = clone(pipeline).set_output(transform="pandas").fit(X, y)
    close(SaliencyDisplay.from_estimator(frames, X[:3]).heat_maps, plain.heat_maps)


def test_titles_name_the_class_and_its_probability(pipeline, tiny, X, y):
    pipeline.fit(X, y)
    display = SaliencyDisplay.from_estimator(pipeline, X[:2], target="dog", display_labels="ab")
    probabilities = pipeline.predict_proba(X[:2])[:, 1]
    assert [panel.get_title().split(" (")[0] for panel in display.axes_] == ["b", "b"]
    assert_allclose(display.probabilities, probabilities)
    ridge = make_pipeline(PretrainedFeatureExtractor(tiny), RidgeClassifier()).fit(X, y)
    display = SaliencyDisplay.from_estimator(ridge, X[:1])
    assert display.axes_[0].get_title() == ridge.predict(X[:1])[0]


def test_what_speaks_for_nothing_is_drawn_cold(make, X, y):
    heat = np.zeros((1, 16, 16), np.float32)
    display = SaliencyDisplay(images=X[:1], heat_maps=heat, names=["cat"]).plot()
    assert_array_equal(display.heat_images_[0].get_alpha(), 0)


def test_the_style_of_the_heat_is_the_users_too(make, X):
    heat = np.ones((1, 16, 16), np.float32)
    display = SaliencyDisplay(images=X[:1], heat_maps=heat, names=["cat"])
    display.plot(heat_kw={"cmap": "viridis", "alpha": 0.5})
    assert display.heat_images_[0].get_cmap().name == "viridis"


# What is refused ---------------------------------------------------------------------------


def test_unknown_targets_are_refused(make, X, y):
    classifier = make(epochs=0).fit(X, y)
    with pytest.raises(
        ValueError, match=r"target holds cow, .* classes \['cat', 'dog'\]. Give one"
    ):
        SaliencyDisplay.from_estimator(classifier, X[:2], target="cow")
    with pytest.raises(ValueError, match="target has 3 labels, but X has 2 images. Give one"):
        SaliencyDisplay.from_estimator(classifier, X[:2], target=["cat"] * 3)


def test_a_network_without_places_is_refused(make, tiny, X, y):
    classifier = make(input_size=(4, 4), epochs=0).fit(X, y)
    with pytest.raises(
        ValueError, match=r"no feature map to look at.*\(1, 1, 12\).*larger input_size"
    ):
        SaliencyDisplay.from_estimator(classifier, X)


def test_a_network_that_ends_in_rows_is_refused(flat, make, X, y):
    classifier = FineTunedClassifier(flat, epochs=0, freeze_depth="all").fit(X, y)
    with pytest.raises(ValueError, match=r"no feature map to look at.* has the shape \(8,\)"):
        SaliencyDisplay.from_estimator(classifier, X)


@pytest.fixture(scope="module")
def flat():
    """Network without a feature map."""
    import keras
    from keras import layers

    inputs = keras.Input((16, 16, 3))
    x = layers.Dense(8, activation="relu")(layers.Flatten()(inputs))
    return register_backbone("flat", keras.Model(inputs, layers.Dense(8, activation="relu")(x)))


def test_rows_of_numbers_are_refused(make, y):
    rows = np.random.default_rng(0).normal(size=(24, 5))
    classifier = make(epochs=0).fit(rows, y)
    with pytest.raises(ValueError, match="fitted on rows of numbers.*set image_shape="):
        SaliencyDisplay.from_estimator(classifier, rows)


@pytest.mark.parametrize(
    "steps", [[Normalizer(), LogisticRegression()], [StandardScaler(), SVC(kernel="rbf")]]
)
def test_what_is_not_linear_is_refused(tiny, X, y, steps):
    model = make_pipeline(PretrainedFeatureExtractor(tiny), *steps).fit(X, y)
    with pytest.raises(ValueError, match="are not linear in the features.*, followed by a linear"):
        SaliencyDisplay.from_estimator(model, X[:1])


def test_what_has_no_scores_is_refused(tiny, X, y):
    extractor = PretrainedFeatureExtractor(tiny).fit(X)
    with pytest.raises(TypeError, match="The PretrainedFeatureExtractor is followed by nothing"):
        SaliencyDisplay.from_estimator(extractor, X)
    forest = make_pipeline(extractor, RandomForestClassifier(3, random_state=0)).fit(X, y)
    with pytest.raises(
        TypeError, match="followed by RandomForestClassifier, which has no decision_f"
    ):
        SaliencyDisplay.from_estimator(forest, X)


@pytest.mark.parametrize("settings", [{"pooling": "max"}, {"layer": ["stem", "top"]}])
def test_features_that_are_no_means_of_one_map_are_refused(tiny, X, y, settings):
    extractor = PretrainedFeatureExtractor(tiny, **settings)
    model = make_pipeline(extractor, LogisticRegression(max_iter=1000)).fit(X, y)
    with pytest.raises(ValueError, match="Fit it with pooling='avg' and one layer"):
        SaliencyDisplay.from_estimator(model, X)


def test_other_estimators_are_refused(make, X, y):
    other = LogisticRegression().fit(X.reshape(len(X), -1) / 255, y)
    with pytest.raises(TypeError, match="needs a FineTunedClassifier.*LogisticRegression is"):
        SaliencyDisplay.from_estimator(other, X)
    with pytest.raises(NotFittedError):
        SaliencyDisplay.from_estimator(make(), X)
