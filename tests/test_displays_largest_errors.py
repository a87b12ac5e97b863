"""`LargestErrorsDisplay`, and what the displays of classes say to other targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.metrics import PredictionErrorDisplay

from skltransfer import (
    FeatureMapDisplay,
    FineTunedClassifier,
    FineTunedRegressor,
    LargestErrorsDisplay,
    SaliencyDisplay,
    TopLossesDisplay,
    TrainingCurveDisplay,
)

pytestmark = pytest.mark.usefixtures("closed_figures")

SETTINGS = {"epochs": 2, "batch_size": 8, "random_state": 0, "freeze_depth": "all"}


@pytest.fixture(scope="module")
def regressor(tiny, images):
    return FineTunedRegressor(tiny, **SETTINGS).fit(images, np.arange(8.0))


@pytest.fixture(scope="module")
def several(tiny, images):
    y = np.arange(24).reshape(8, 3) % 5 % 2
    return FineTunedClassifier(tiny, **SETTINGS).fit(images, y), y


def test_the_largest_errors_come_first_and_say_what_was_predicted(regressor, images):
    y = np.arange(8.0)
    y[3] = 500
    display = LargestErrorsDisplay.from_estimator(regressor, images, y, n_images=4)
    errors = np.abs(regressor.predict(images) - y)
    assert_array_equal(display.rows, np.argsort(-errors, kind="stable")[:4])
    assert ", true 500.0\nerror -4" in display.axes_[0].get_title()
    assert_array_equal(display.images[0], images[3])
    weights = np.arange(8) == 5
    display = LargestErrorsDisplay.from_estimator(regressor, images, y, sample_weight=weights)
    assert display.rows.tolist() == [5]


@pytest.mark.parametrize(
    ("predicted", "true", "title"),
    [
        (0.51268, 0.75, "predicted 0.5127, true 0.7500\nerror -0.2373"),
        (12, 500, "predicted 12.0, true 500.0\nerror -488.0"),
        (-3.25, -3, "predicted -3.250, true -3.000\nerror -0.250"),
        (249_000, 350_500, "predicted 249000, true 350500\nerror -101500"),
        (2e9, -1, "predicted 2.000e+09, true -1.000e+00\nerror +2.000e+09"),
        (2e-7, 0, "predicted 2.000e-07, true 0.000e+00\nerror +2.000e-07"),
        (-1e-9, 2, "predicted 0.000, true 2.000\nerror -2.000"),
        (0, 0, "predicted 0.000, true 0.000\nerror +0.000"),
    ],
)
def test_titles_give_all_numbers_to_the_same_decimal_place(images, predicted, true, title):
    display = LargestErrorsDisplay.from_predictions([true], [predicted], images[:1])
    assert display.axes_[0].get_title() == title


def test_missing_predictions_are_left_out(images):
    predicted = np.array([np.nan, *range(7)])
    display = LargestErrorsDisplay.from_predictions(np.zeros(8), predicted, images, n_images=9)
    assert display.rows.tolist() == [7, 6, 5, 4, 3, 2, 1]
    with pytest.raises(ValueError, match="No image is left to show"):
        LargestErrorsDisplay.from_predictions(np.zeros(8), np.full(8, np.nan), images)


def test_several_numbers_are_refused_with_a_way_out(images):
    y = np.zeros((8, 2))
    with pytest.raises(
        ValueError, match=r"There are 2 numbers in each row of y.*asarray\(y\)\[:, j\]"
    ):
        LargestErrorsDisplay.from_predictions(y, y, images)


def test_a_training_and_what_is_predicted_against_what_is_true_are_drawn(regressor, images):
    assert set(TrainingCurveDisplay.from_estimator(regressor).lines_) == {"loss"}
    PredictionErrorDisplay.from_estimator(
        regressor, images, np.arange(8.0), kind="actual_vs_predicted"
    )


def test_displays_of_classes_send_numbers_elsewhere(regressor, images):
    with pytest.raises(TypeError, match="FineTunedRegressor is a regressor. Use LargestErr"):
        TopLossesDisplay.from_estimator(regressor, images, np.arange(8.0))
    with pytest.raises(TypeError, match="evidence for a class, but FineTunedRegressor"):
        SaliencyDisplay.from_estimator(regressor, images)


def test_one_of_several_labels_is_shown(several, images):
    classifier, y = several
    with pytest.raises(
        ValueError, match=r"y has 3 labels .* shows one.*from_predictions\(np.asarray\(Y\)\[:, j\]"
    ):
        TopLossesDisplay.from_estimator(classifier, images, y)
    told = (
        r"y has 3 labels .* display shows one.*from_estimator\(estimator, X, np.asarray\(Y\)\[:, j"
    )
    for several_labels in (y, pd.DataFrame(y), csr_matrix(y)):
        with pytest.raises(ValueError, match=told):
            FeatureMapDisplay.from_estimator(classifier, images, several_labels)
    probabilities = classifier.predict_proba(images)
    display = TopLossesDisplay.from_predictions(y[:, 1], probabilities[:, 1], images)
    of_truth = np.where(y[:, 1] == 1, probabilities[:, 1], 1 - probabilities[:, 1])
    assert display.rows[0] == of_truth.argmin()


def test_the_most_likely_of_several_labels_is_looked_for(several, images):
    classifier, _ = several
    display = SaliencyDisplay.from_estimator(classifier, images, display_labels=["a", "b", "c"])
    likely = classifier.predict_proba(images).argmax(axis=1)
    assert display.names == [["a", "b", "c"][label] for label in likely]
    display = SaliencyDisplay.from_estimator(classifier, images, target=2)
    assert set(display.names) == {"2"}
