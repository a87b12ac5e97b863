"""What all displays have in common: they hold data, draw them where told, and load nothing else."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

import skltransfer
from skltransfer import (
    FeatureMapDisplay,
    FreezeDepthDisplay,
    LargestErrorsDisplay,
    SaliencyDisplay,
    TopLossesDisplay,
    TrainingCurveDisplay,
)

pytestmark = pytest.mark.usefixtures("closed_figures")

IMAGES = [np.full((4, 6, 3), 50, np.uint8)] * 3
TABLE = np.array([[0.5, 0.6], [0.7, np.nan]])

DISPLAYS = [
    TrainingCurveDisplay(history={"loss": [0.5, 0.4], "val_accuracy": [0.5, 0.6]}),
    FreezeDepthDisplay(
        depths=["all", -1],
        heads=[(), (8,)],
        **dict.fromkeys(["scores", "score_sds", "times", "time_sds"], TABLE),
    ),
    TopLossesDisplay(
        images=IMAGES,
        rows=np.arange(3),
        losses=np.ones(3),
        true_names=["cat"] * 3,
        predicted_names=["a short-haired pointing dog"] * 3,
        true_probabilities=np.full(3, 0.1),
        predicted_probabilities=np.full(3, 0.9),
    ),
    SaliencyDisplay(
        images=np.stack(IMAGES),
        heat_maps=np.ones((3, 4, 6), np.float32),
        names=["cat"] * 3,
        probabilities=np.full(3, 0.5),
    ),
    LargestErrorsDisplay(
        images=IMAGES,
        rows=np.arange(3),
        true_values=np.array([0.0, -1.5, 123456.789]),
        predicted_values=np.array([1.0, 2.5, -1e-9]),
    ),
    FeatureMapDisplay(
        positions=np.arange(6.0).reshape(3, 2),
        thumbnails=IMAGES[:1],
        thumbnail_rows=np.array([1]),
        codes=np.array([0, 1, 1]),
        names=["cat", "dog"],
    ),
]

each_display = pytest.mark.parametrize("display", DISPLAYS, ids=lambda d: type(d).__name__)


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


@each_display
def test_a_display_is_drawn_again_from_its_data(display):
    first = pixels(display.plot().figure_)
    assert display.plot().figure_.axes
    assert_array_equal(pixels(display.figure_), first)
    again = pickle.loads(pickle.dumps(type(display)(**data_of(display))))
    assert_array_equal(pixels(again.plot().figure_), first)


def data_of(display):
    return {name: value for name, value in vars(display).items() if not name.endswith("_")}


@each_display
def test_a_display_draws_where_it_is_told(display):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2)
    assert display.plot(axes[0]) is display
    assert display.ax_ is axes[0]
    assert display.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]
    half = figure.bbox.width / 2
    assert all(drawn.get_window_extent().x1 < half for drawn in figure.axes if drawn is not axes[1])


@each_display
def test_axes_put_by_hand_are_drawn_in_too(display):
    from matplotlib import pyplot

    figure = pyplot.figure()
    display.plot(figure.add_axes((0.1, 0.1, 0.3, 0.8)))
    pixels(figure)
    assert all(axes.get_position().x1 <= 0.4 + 1e-9 for axes in figure.axes)


@each_display
def test_nothing_that_is_written_is_cut_off_or_written_over(display):
    """Not even long names of classes above images in a row."""
    figure = display.plot(**({"n_columns": 3} if hasattr(display, "images") else {})).figure_
    pixels(figure)
    inside = figure.bbox.padded(1)
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    boxes = [text.get_window_extent() for text in titles]
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 and box.y1 <= inside.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@each_display
def test_several_axes_are_refused(display):
    from matplotlib import pyplot

    with pytest.raises(TypeError, match="is not one matplotlib Axes. Pass one, such as"):
        display.plot(pyplot.subplots(1, 2)[1])


@pytest.mark.parametrize("display", DISPLAYS[2:5], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize(
    "n_columns, shape", [(None, (2, 2)), (1, (3, 1)), (3, (1, 3)), (9, (1, 3))]
)
def test_grids_have_the_columns_wanted(display, n_columns, shape):
    display.plot(n_columns=n_columns)
    assert len(display.axes_) == 3
    grid = display.axes_[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape


@pytest.mark.parametrize("n_columns", [0, 1.5, True])
def test_grids_have_a_whole_number_of_columns(n_columns):
    with pytest.raises(ValueError, match=f"n_columns={n_columns!r} must be an int of 1 or more"):
        DISPLAYS[2].plot(n_columns=n_columns)


@each_display
def test_without_matplotlib_it_is_told_how_to_install_it(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    name = type(display).__name__
    with pytest.raises(
        ImportError, match=rf"{name}.plot draws .*pip install 'skltransfer\[plot\]'"
    ):
        display.plot()


def test_without_matplotlib_nothing_is_computed(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for kind in (FeatureMapDisplay, SaliencyDisplay):
        with pytest.raises(
            ImportError, match=f"{kind.__name__}.from_estimator draws with matplotl"
        ):
            kind.from_estimator("never looked at", "neither")


@pytest.mark.parametrize(
    "draw",
    [
        lambda search, X, y: TrainingCurveDisplay.from_estimator(search),
        lambda search, X, y: SaliencyDisplay.from_estimator(search, X),
        lambda search, X, y: FeatureMapDisplay.from_estimator(search, X, y),
        lambda search, X, y: TopLossesDisplay.from_estimator(search, X, y),
    ],
)
def test_a_search_that_keeps_no_estimator_is_refused(draw, make, X, y):
    search = GridSearchCV(make(epochs=0), {"head_units": [()]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(
        ValueError, match="with refit=False and keeps no fitted estimator.* refit=True"
    ):
        draw(search, X, y)


LOADS_NOTHING = """
import sys
from skltransfer import *
from skltransfer import displays
names = {name.partition(".")[0] for name in sys.modules}
print(*sorted(names & {"matplotlib", "tensorflow", "keras"}))
"""


def test_displays_are_imported_without_matplotlib_and_tensorflow(in_fresh_process):
    assert in_fresh_process(LOADS_NOTHING)[0].split() == []


def test_all_displays_are_tested_here():
    displays = {name for name in skltransfer.__all__ if name.endswith("Display")}
    assert displays == {type(display).__name__ for display in DISPLAYS}
