"""`TopLossesDisplay`: the rows with the greatest cross-entropy, and only these are read."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skltransfer import PretrainedFeatureExtractor, TopLossesDisplay
from skltransfer._warnings import UnreadableImagesWarning

pytestmark = pytest.mark.usefixtures("closed_figures")

CLASSES = np.array(["cat", "dog", "owl"])
RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet([1, 1, 1], size=8)
TRUTH = CLASSES[RNG.integers(0, 3, 8)]


def drawn(y_true=TRUTH, y_proba=PROBABILITIES, X=None, **settings):
    X = np.zeros((len(y_true), 4, 5, 3), np.uint8) if X is None else X
    return TopLossesDisplay.from_predictions(
        y_true, y_proba, X, **{"classes": CLASSES, "n_images": 99, **settings}
    )


# Laws --------------------------------------------------------------------------------------


def test_losses_are_those_of_scikit_learn_and_fall():
    display = drawn()
    each = [
        log_loss([label], [row], labels=CLASSES)
        for label, row in zip(TRUTH, PROBABILITIES, strict=True)
    ]
    assert_allclose(display.losses, np.sort(each)[::-1])
    assert_array_equal(display.rows, np.argsort(each)[::-1])
    assert_allclose(display.losses.mean(), log_loss(TRUTH, PROBABILITIES, labels=CLASSES))


def test_fewer_images_are_the_first_of_more():
    assert_array_equal(drawn(n_images=3).rows, drawn().rows[:3])
    assert len(drawn(n_images=3).axes_) == 3


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_image(seed, images):
    order = np.random.default_rng(seed).permutation(8)
    display = drawn(X=images)
    permuted = drawn(TRUTH[order], PROBABILITIES[order], images[order])
    assert_array_equal(order[permuted.rows], display.rows)
    assert_array_equal(permuted.images, display.images)


def test_weights_are_factors_on_losses_and_none_is_absence():
    weights = np.array([0, 1, 2, 3, 0, 5, 6, 7])
    display = drawn(sample_weight=weights)
    assert set(display.rows) == set(np.flatnonzero(weights))
    assert (np.diff(weights[display.rows] * display.losses) <= 0).all()


def test_rows_of_equal_loss_keep_their_order():
    assert_array_equal(drawn(np.repeat("cat", 4), np.full((4, 3), 1 / 3)).rows, range(4))


def test_two_classes_may_have_one_column():
    second = np.array([0.9, 0.2, 0.6])
    truth = np.array(["a", "b", "b"])
    one = drawn(truth, second, classes=None)
    two = drawn(truth, np.column_stack([1 - second, second]), classes=["a", "b"])
    assert_allclose(one.losses, two.losses)
    assert_allclose(one.losses, -np.log([0.1, 0.2, 0.6]))


def test_images_of_every_kind_are_shown_alike(images, paths):
    encoded = [path.read_bytes() for path in paths]
    opened = [Image.fromarray(image) for image in images]
    rows = images.reshape(len(images), -1)
    expected = images[drawn(X=images).rows]
    for X in (images, paths, encoded, opened, pd.Series(list(map(str, paths)))):
        assert_array_equal(drawn(X=X).images, expected)
    assert_array_equal(drawn(X=rows, image_shape=(20, 24, 3)).images, expected)
    assert_array_equal(drawn(X=images / 255).images, expected)
    assert_array_equal(drawn(X=images * 2.0, pixel_range=(0, 510)).images, expected)


def test_only_what_is_shown_is_read(images, tmp_path):
    """The other files are no images at all."""
    paths = [tmp_path / f"{row}.png" for row in range(8)]
    wanted = drawn(n_images=2).rows
    for row, path in enumerate(paths):
        if row in wanted:
            Image.fromarray(images[row]).save(path)
        else:
            path.write_bytes(b"no image")
    assert_array_equal(drawn(X=paths, n_images=2).images, images[wanted])


def test_large_images_keep_their_proportions():
    stream = io.BytesIO()
    Image.new("RGB", (1000, 333), "red").save(stream, "JPEG")
    (image,) = drawn(["cat"], [[0.5, 0.2, 0.3]], [stream.getvalue()]).images
    assert image.shape == (107, 320, 3)
    assert (np.abs(image.reshape(-1, 3).astype(int) - [254, 0, 0]) <= 1).all()


# From estimators ---------------------------------------------------------------------------


@pytest.fixture
def pipeline(tiny):
    return make_pipeline(PretrainedFeatureExtractor(tiny), LogisticRegression(C=1e-4))


def test_estimators_and_their_predictions_are_drawn_alike(make, pipeline, X, y):
    search = GridSearchCV(make(epochs=0), {"head_units": [(), (4,)]}, cv=2)
    for estimator in (make(epochs=0), pipeline, search):
        estimator.fit(X, y)
        display = TopLossesDisplay.from_estimator(estimator, X, y)
        same = TopLossesDisplay.from_predictions(y, estimator.predict_proba(X), X)
        assert_array_equal(display.rows, same.rows)
        assert_array_equal(display.images, X[display.rows])
        assert display.predicted_names == estimator.predict(X)[display.rows].tolist()
        assert display.true_names == y[display.rows].tolist()


def test_rows_are_shown_as_the_estimator_reads_them(make, X, y):
    flat = X.reshape(len(X), -1) / 100.0
    classifier = make(epochs=0, image_shape=(16, 16, 3), pixel_range=(0, 2.55)).fit(flat, y)
    display = TopLossesDisplay.from_estimator(classifier, flat, y)
    assert_array_equal(display.images, X[display.rows])


def test_titles_tell_predicted_and_true_with_their_probabilities():
    display = drawn(["cat"], [[0.001, 0.9, 0.099]], display_labels=["Cat", "A" * 30, "Owl"])
    (panel,) = display.axes_
    assert panel.get_title() == f"predicted {'A' * 17}… (0.90)\ntrue Cat (0.001)"
    assert panel.title.get_color() == "tab:red"


def test_titles_of_right_predictions_say_so():
    display = drawn(["cat", "dog"], [[0.6, 0.4, 0], [0.7, 0.3, 0]])
    wrong, right = display.axes_
    assert wrong.get_title().startswith("predicted cat")
    assert right.get_title() == "right: cat\n(0.60)"
    assert right.title.get_color() == "tab:blue"


def test_certain_mistakes_have_a_finite_loss():
    assert np.isfinite(drawn(["cat"], [[0, 1, 0]]).losses).all()


def test_unreadable_images_are_left_out(make, X, y, tmp_path):
    items = [*X[:8], tmp_path / "missing.png"]
    classifier = make(epochs=0, on_error="nan").fit(X, y)
    with pytest.warns(UnreadableImagesWarning):
        display = TopLossesDisplay.from_estimator(classifier, items, y[:9], n_images=9)
    assert sorted(display.rows) == list(range(8))


# What is refused ---------------------------------------------------------------------------


def test_unknown_labels_are_refused():
    with pytest.raises(ValueError, match="y holds cow, which is not among the classes .*Leave"):
        drawn(["cat", "cow"], PROBABILITIES[:2])


def test_names_in_place_of_numbers_are_sent_to_display_labels():
    """Whoever trained on numbers and passes names is not told to leave all rows out."""
    names = ["cat", "dog", "owl"]
    with pytest.raises(ValueError) as caught:
        drawn(names[:2], PROBABILITIES[:2], classes=[0, 1, 2])
    message = str(caught.value)
    assert message.startswith("y holds cat, dog, which is not among the classes [0, 1, 2]. y must")
    assert message.endswith("use display_labels for readable names.")
    shown = drawn([0, 1], PROBABILITIES[:2], classes=[0, 1, 2], display_labels=names)
    assert sorted(shown.true_names) == ["cat", "dog"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \(8, 2\), but there are 3 classes.*with classes="):
        drawn(y_proba=PROBABILITIES[:, :2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        drawn(X=np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="display_labels has 1 names, but there are 3 classes"):
        drawn(display_labels=["cat"])
    told = r"4 names, but there are 3 classes: .* an empty class folder: .* labels='names'"
    with pytest.raises(ValueError, match=told):
        drawn(display_labels=["ant", "cat", "dog", "owl"])
    with pytest.raises(ValueError, match="from 0 to 1, but row 0 is .*predict_proba"):
        drawn(y_proba=np.log(PROBABILITIES))


@pytest.mark.parametrize("n_images", [0, -1, 2.0, True, None])
def test_numbers_of_images_that_make_no_sense_are_refused(n_images):
    with pytest.raises(ValueError, match=f"n_images={n_images!r} must be an int of 1 or more"):
        drawn(n_images=n_images)


def test_rows_of_numbers_show_nothing(make, y):
    rows = np.random.default_rng(0).normal(size=(24, 5))
    with pytest.raises(
        ValueError, match=r"X of shape \(8, 5\) holds rows of numbers.*image_shape="
    ):
        drawn(X=rows[:8])
    classifier = make(epochs=0).fit(rows, y)
    with pytest.raises(ValueError, match=r"X of shape \(24, 5\) holds rows of numbers"):
        TopLossesDisplay.from_estimator(classifier, rows, y)


def test_without_a_row_left_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="No image is left to show: .* could not be read. Pass"):
        drawn(y_proba=np.full((8, 3), np.nan))


def test_estimators_without_probabilities_are_refused(tiny, make, X, y):
    ridge = make_pipeline(PretrainedFeatureExtractor(tiny), RidgeClassifier()).fit(X, y)
    with pytest.raises(TypeError, match="RidgeClassifier has no predict_proba.*Calibrated"):
        TopLossesDisplay.from_estimator(ridge, X, y)
    with pytest.raises(NotFittedError):
        TopLossesDisplay.from_estimator(make(), X, y)
