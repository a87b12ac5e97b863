"""`FeatureMapDisplay`: features, projected by scikit-learn, and some images on them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import FeatureMapDisplay, PretrainedFeatureExtractor
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.displays._projection import spread_out

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def extractor(tiny, X):
    return PretrainedFeatureExtractor(tiny).fit(X)


def drawn(estimator, X, y=None, **settings):
    return FeatureMapDisplay.from_estimator(estimator, X, y, **{"random_state": 0, **settings})


# Laws --------------------------------------------------------------------------------------


def test_positions_are_the_principal_components_of_the_features(extractor, X):
    features = extractor.transform(X).astype(np.float64)
    expected = PCA(2).fit_transform(features)
    assert_allclose(drawn(extractor, X).positions, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_position(extractor, X, seed):
    order = np.random.default_rng(seed).permutation(len(X))
    positions = drawn(extractor, X).positions
    assert_allclose(drawn(extractor, X[order]).positions, positions[order], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_chosen_rows_are_apart_and_no_other_would_fit(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(200, 2)) * [1, 1000]
    chosen = spread_out(positions, 1000, 0.1, rng)
    places = positions / np.ptp(positions, axis=0)
    apart = np.abs(places[chosen][:, None] - places[chosen]).max(axis=2)
    assert apart[~np.eye(len(chosen), dtype=bool)].min() >= 0.1
    assert (np.abs(places[:, None] - places[chosen]).max(axis=2).min(axis=1) < 0.1).all()
    assert len(spread_out(positions, 3, 0.1, rng)) == 3


def test_thumbnails_are_images_of_their_rows_and_do_not_overlap(extractor, X):
    display = drawn(extractor, X, n_thumbnails=12)
    display.figure_.canvas.draw()
    assert 2 < len(display.thumbnails) <= 12
    assert_array_equal(display.thumbnails, X[display.thumbnail_rows])
    boxes = [mark.get_window_extent() for mark in display.thumbnail_boxes_]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for row, mark in zip(display.thumbnail_rows, display.thumbnail_boxes_, strict=True):
        assert_allclose(mark.xy, display.positions[row])


def test_only_thumbnails_are_read_again(extractor, X, paths):
    """What is not shown may be gone by then."""
    display = drawn(extractor, [*X, paths[0]], n_thumbnails=0)
    assert display.thumbnails == []
    assert len(display.positions) == len(X) + 1


# What is projected -------------------------------------------------------------------------


def test_of_a_pipeline_it_is_what_the_classifier_is_given(tiny, X, y):
    steps = [PretrainedFeatureExtractor(tiny), StandardScaler()]
    model = make_pipeline(*steps, LogisticRegression()).fit(X, y)
    expected = drawn(make_pipeline(*map(clone, steps)).fit(X), X)
    assert_allclose(drawn(model, X).positions, expected.positions)
    by_hand = PCA(2).fit_transform(model[:-1].transform(X).astype(np.float64))
    assert_allclose(expected.positions, by_hand, atol=1e-6)


def test_of_a_fine_tuned_classifier_it_is_what_its_head_is_given(make, X, y):
    """A linear head is linear in it, by its own weights."""
    classifier = make(freeze_depth=0).fit(X, y)

    class Kept:
        """Projection that keeps what it is given."""

        def fit_transform(self, features):
            self.features = features
            return features[:, :2]

        def get_params(self, deep=False):
            return {}

        def __sklearn_clone__(self):
            return self

    kept = Kept()
    drawn(classifier, X, projection=kept)
    kernel, bias = classifier.to_keras().layers[-2].get_weights()
    logits = kept.features @ kernel + bias
    assert_allclose(logits[:, 1] - logits[:, 0], classifier.decision_function(X), atol=1e-3)


def test_frames_are_projected_as_arrays_are(extractor, X):
    expected = drawn(extractor, X).positions
    assert_allclose(
        drawn(clone(extractor).set_output(transform="pandas").fit(X), X).positions, expected
    )


def test_a_transformer_is_cloned_and_seeded(extractor, X):
    projection = TSNE(perplexity=5, init="random")
    display = drawn(extractor, X, projection=projection)
    assert not hasattr(projection, "embedding_")
    assert projection.random_state is None
    assert_array_equal(drawn(extractor, X, projection=projection).positions, display.positions)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("TSNE 1", "TSNE 2")
    drawn(extractor, X, projection=make_pipeline(StandardScaler(), PCA(2)))


# Drawing -----------------------------------------------------------------------------------


def test_classes_have_colours_and_a_legend(extractor, X, y):
    display = drawn(extractor, X, y, display_labels=["Cat", "Dog"])
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["Cat", "Dog"]
    for name, points in zip(["cat", "dog"], display.points_, strict=True):
        assert_array_equal(points.get_offsets(), display.positions[y == name])
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_}) == 2
    assert drawn(extractor, X).ax_.get_legend() is None


@pytest.mark.parametrize("n_classes", [11, 24])
def test_many_classes_have_as_many_colours(extractor, X, n_classes):
    display = drawn(extractor, np.concatenate([X, X]), np.arange(48) % n_classes)
    colours = {tuple(points.get_facecolor()[0]) for points in display.points_}
    assert len(colours) == n_classes


def test_the_axes_tell_how_much_they_show(extractor, X):
    shares = PCA(2).fit(extractor.transform(X).astype(np.float64)).explained_variance_ratio_
    label = f"first principal component ({shares[0]:.0%} of the variance)"
    assert drawn(extractor, X).ax_.get_xlabel() == label


def test_unreadable_images_are_left_out(tiny, X, tmp_path):
    extractor = PretrainedFeatureExtractor(tiny, on_error="nan").fit(X)
    items = [*X, tmp_path / "missing.png"]
    with pytest.warns(UnreadableImagesWarning):
        display = drawn(extractor, items, n_thumbnails=99)
    assert np.isnan(display.positions[-1]).all()
    assert len(X) not in display.thumbnail_rows
    assert_allclose(display.positions[:-1], drawn(extractor, X).positions)


def test_rows_of_numbers_are_points_without_images(tiny):
    rows = np.random.default_rng(0).normal(size=(12, 5))
    extractor = PretrainedFeatureExtractor(tiny).fit(rows)
    assert len(drawn(extractor, rows, n_thumbnails=0).positions) == 12
    with pytest.raises(ValueError, match="holds rows of numbers, which cannot be shown"):
        drawn(extractor, rows)


# What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("projection", ["tsne", None, 2])
def test_what_projects_nothing_is_refused(extractor, X, projection):
    with pytest.raises(ValueError, match=f"projection={projection!r} must be 'pca' or a scikit"):
        drawn(extractor, X, projection=projection)


def test_a_projection_to_other_than_a_plane_is_refused(extractor, X):
    with pytest.raises(ValueError, match=r"TruncatedSVD\(n_components=3.*Set n_components=2"):
        drawn(extractor, X, projection=TruncatedSVD(n_components=3))


def test_one_image_makes_no_map(extractor, X):
    with pytest.raises(ValueError, match="needs two or more images, but only 1 of X"):
        drawn(extractor, X[:1])


def test_labels_that_are_no_classes_are_refused(extractor, X):
    with pytest.raises(ValueError, match="y is continuous, but points .* Pass class labels"):
        drawn(extractor, X, np.linspace(0, 1, 24))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        drawn(extractor, X, ["a"])
    with pytest.raises(ValueError, match="n_thumbnails=-1 must be an int of 0 or more"):
        drawn(extractor, X, n_thumbnails=-1)


def test_other_estimators_are_refused(tiny, X, y):
    other = LogisticRegression().fit(X.reshape(24, -1) / 255, y)
    with pytest.raises(TypeError, match="needs a FineTunedClassifier or a Pretrained"):
        drawn(other, X)
    with pytest.raises(NotFittedError):
        drawn(PretrainedFeatureExtractor(tiny), X)


@pytest.mark.parametrize("n_rows", [2, 3, 24])
def test_any_number_of_images_of_a_classifier_is_drawn(make, X, y, n_rows):
    classifier = make(freeze_depth=-1).fit(X, y)
    assert drawn(classifier, X[:n_rows]).positions.shape == (n_rows, 2)
