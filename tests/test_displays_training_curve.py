"""`TrainingCurveDisplay`: every number of the history is on its axis, and nothing else."""

from __future__ import annotations

import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skltransfer import TrainingCurveDisplay

pytestmark = pytest.mark.usefixtures("closed_figures")

HISTORY = {
    "loss": [0.9, 0.5, 0.2],
    "val_loss": [0.8, 0.6, 0.7],
    "val_accuracy": [0.5, 0.75, 0.75],
}


# Laws --------------------------------------------------------------------------------------


def test_every_value_of_the_history_is_drawn_at_its_epoch():
    display = TrainingCurveDisplay.from_history(HISTORY)
    assert list(display.lines_) == list(HISTORY)
    for name, line in display.lines_.items():
        assert_array_equal(line.get_xdata(), [1, 2, 3])
        assert_array_equal(line.get_ydata(), HISTORY[name])


def test_losses_are_on_the_left_and_accuracies_on_the_right():
    display = TrainingCurveDisplay.from_history(HISTORY)
    assert display.lines_["loss"].axes is display.lines_["val_loss"].axes is display.ax_
    assert display.lines_["val_accuracy"].axes is display.score_ax_ is not display.ax_
    assert display.ax_.get_ylabel() == "loss"
    assert display.score_ax_.get_ylabel() == "accuracy"


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 7, 40])
def test_ticks_stand_at_whole_epochs(n_epochs):
    display = TrainingCurveDisplay.from_history({"loss": [0.5] * n_epochs})
    low, high = display.ax_.get_xlim()
    ticks = [tick for tick in display.ax_.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) and 1 <= tick <= n_epochs for tick in ticks)


def test_the_best_epoch_is_that_whose_weights_early_stopping_keeps():
    assert TrainingCurveDisplay.from_history(HISTORY).best_epoch_ == 2
    assert TrainingCurveDisplay.from_history({"loss": [0.1]}).best_epoch_ is None


# From estimators ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda c: c, make_pipeline])
def test_the_history_of_an_estimator_is_drawn(make, X, y, wrap):
    classifier = make(early_stopping=True, validation_fraction=0.25)
    display = TrainingCurveDisplay.from_estimator(wrap(classifier).fit(X, y))
    assert display.history == classifier.history_
    assert set(display.lines_) == {"loss", "val_loss", "val_accuracy"}


def test_a_history_without_validation_has_no_right_axis(make, X, y):
    display = TrainingCurveDisplay.from_estimator(make().fit(X, y))
    assert display.score_ax_ is None
    assert len(display.figure_.axes) == 1


def test_accuracies_alone_have_the_only_axis():
    display = TrainingCurveDisplay.from_history({"accuracy": [0.5, 0.6]})
    assert display.score_ax_ is display.ax_
    assert display.ax_.get_ylabel() == "accuracy"


def test_the_style_of_lines_is_the_users_too():
    display = TrainingCurveDisplay.from_history(HISTORY, line_kw={"lw": 5, "marker": None})
    assert {line.get_linewidth() for line in display.lines_.values()} == {5}


# What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("freeze_depth", ["all", -1])
def test_a_fit_without_epochs_has_no_curve(make, X, y, freeze_depth):
    classifier = make(epochs=0, freeze_depth=freeze_depth).fit(X, y)
    with pytest.raises(ValueError, match="epochs=0, so no epoch was trained.*epochs=1 or"):
        TrainingCurveDisplay.from_estimator(classifier)


def test_an_estimator_without_history_is_refused(make, X, y):
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(make())
    other = LogisticRegression().fit(X.reshape(len(X), -1) / 255, y)
    with pytest.raises(TypeError, match="LogisticRegression has none.*from_history"):
        TrainingCurveDisplay.from_estimator(other)


def test_what_is_no_history_is_refused():
    with pytest.raises(TypeError, match="history is of type list; it must be a dict"):
        TrainingCurveDisplay.from_history([0.5])
    with pytest.raises(ValueError, match=r"history=\{'loss': \[\]\} has no epoch"):
        TrainingCurveDisplay.from_history({"loss": []})
