"""`FreezeDepthDisplay`: each point is the best candidate of its depth and head."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline

from skltransfer import FineTunedClassifier, FreezeDepthDisplay
from skltransfer.displays._search_results import depth_order, depth_table

pytestmark = pytest.mark.usefixtures("closed_figures")


def finished(candidates, scores, scoring=None, **results):
    """A search that is over, with given scores; a fit took ten times as long as its score."""
    scores = np.asarray(scores, float)
    search = GridSearchCV(FineTunedClassifier(), {}, scoring=scoring)
    search.cv_results_ = {
        "params": candidates,
        "mean_test_score": scores,
        "std_test_score": scores / 10,
        "mean_fit_time": 10 * scores,
        "std_fit_time": scores,
        **results,
    }
    return search


def grid(depths, heads, prefix=""):
    return [
        {f"{prefix}freeze_depth": depth, f"{prefix}head_units": head}
        for depth, head in product(depths, heads)
    ]


class Cheap(BaseEstimator):
    """Scores by its parameters alone."""

    def __init__(self, freeze_depth=-1, head_units=(), other=0):
        self.freeze_depth = freeze_depth
        self.head_units = head_units
        self.other = other

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def score(self, X, y):
        depth = 0 if self.freeze_depth == "all" else -self.freeze_depth
        return depth + 0.1 * len(self.head_units) + self.other


X, Y = np.zeros((40, 1)), np.arange(40) % 2


# Laws --------------------------------------------------------------------------------------


def test_depths_go_from_all_frozen_to_nothing_frozen():
    depths = [0, 2, "block5", 0.5, -3, "all", 7, -1, "block3", 0.9, -2]
    ordered = ["all", -1, -2, -3, "block5", "block3", 0.9, 0.5, 7, 2, 0]
    assert sorted(depths, key=depth_order) == ordered
    table = depth_table(finished(grid(depths, [()]), np.arange(11.0)), "score")
    assert table.depths == ordered


@pytest.mark.parametrize("seed", range(5))
def test_a_point_is_the_best_of_its_depth_and_head_in_any_order(seed):
    candidates = [
        {**candidate, "learning_rate": rate}
        for candidate in grid(["all", -1, -2], [(), (8,)])
        for rate in (1e-3, 1e-4, 1e-5)
    ]
    order = np.random.default_rng(seed).permutation(len(candidates))
    scores = np.random.default_rng(0).random(len(candidates))
    search = finished([candidates[i] for i in order], scores[order])
    table = depth_table(search, "score")
    assert_allclose(table.scores, scores.reshape(3, 2, 3).max(axis=2))
    assert_allclose(table.score_sds, table.scores / 10)
    assert_allclose(table.times, 10 * table.scores)
    assert_allclose(table.time_sds, table.scores)


def test_what_is_drawn_is_the_table():
    display = FreezeDepthDisplay.from_estimator(
        finished(grid(["all", -1], [(), (8,)]), [1, 2, 3, 4])
    )
    assert_allclose([b.lines[0].get_ydata() for b in display.score_bars_], [[1, 3], [2, 4]])
    assert_allclose([b.lines[0].get_ydata() for b in display.time_bars_], [[10, 30], [20, 40]])
    assert [tick.get_text() for tick in display.time_ax_.get_xticklabels()] == ["all", "-1"]
    legend = display.score_ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["() linear", "8"]


def test_there_is_a_legend_only_of_several_heads():
    one = FreezeDepthDisplay.from_search(finished(grid(["all", -1], [(8,)]), [1, 2]))
    assert one.score_ax_.get_legend() is None
    two = FreezeDepthDisplay.from_estimator(finished(grid([-1], [(), (8,)]), [1, 2]))
    assert two.score_ax_.get_legend() is not None


@pytest.mark.parametrize("prefix", ["", "step__"])
def test_the_title_names_what_each_point_is_the_best_over(prefix):
    candidates = [
        {**candidate, f"{prefix}learning_rate": rate, "fixed": 1, "scaler__mean": rate > 0.1}
        for candidate in grid(["all", -1], [(), (8,)], prefix)
        for rate in (0.1, 0.2)
    ]
    display = FreezeDepthDisplay.from_estimator(finished(candidates, np.arange(8)))
    assert display.best_over == ["learning_rate", "scaler__mean"]
    title = "each point: the best over learning_rate, scaler__mean"
    assert display.score_ax_.get_title() == title


def test_there_is_no_title_where_each_place_has_one_candidate():
    """Although a parameter differs from place to place."""
    candidates = [{"freeze_depth": -1, "epochs": 3}, {"freeze_depth": -2, "epochs": 9}]
    display = FreezeDepthDisplay.from_estimator(finished(candidates, [1, 2]))
    assert display.score_ax_.get_title() == ""


@pytest.mark.parametrize(
    "depths", [["all", -1, -2, 0], ["all", *(f"block{i}_add" for i in "7654321")]]
)
def test_names_of_depths_do_not_run_into_each_other(depths):
    display = FreezeDepthDisplay.from_estimator(finished(grid(depths, [()]), np.ones(len(depths))))
    display.figure_.canvas.draw()
    labels = display.time_ax_.get_xticklabels()
    assert [label.get_text() for label in labels] == list(map(str, depths))
    slanted = labels[0].get_rotation() != 0
    boxes = [label.get_window_extent() for label in labels]
    assert slanted or not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert slanted == (len(depths) == 8)


def test_heads_written_in_several_ways_are_one_line():
    candidates = grid([-1], [8]) + grid([-2], [(8,)]) + grid([-3], [[8]])
    table = depth_table(finished(candidates, [1, 2, 3]), "score")
    assert table.heads == [(8,)]
    assert_allclose(table.scores, [[1], [2], [3]])


# Searches of scikit-learn ------------------------------------------------------------------


def test_a_grid_search_is_drawn():
    search = GridSearchCV(Cheap(), {"freeze_depth": ["all", -1], "head_units": [(), (8,)]}, cv=2)
    display = FreezeDepthDisplay.from_estimator(search.fit(X, Y))
    assert_allclose(display.scores, [[0, 0.1], [1, 1.1]])
    assert_allclose(display.score_sds, 0, atol=1e-12)
    assert (display.times >= 0).all()


def test_parameters_are_found_in_nested_pipelines():
    search = GridSearchCV(
        make_pipeline(make_pipeline(Cheap())), {"pipeline__cheap__freeze_depth": [-1, -2]}, cv=2
    )
    display = FreezeDepthDisplay.from_estimator(search.fit(X, Y))
    assert display.depths == [-1, -2]
    assert display.heads == [()]


def test_what_a_candidate_leaves_out_is_as_in_the_estimator():
    parameters = [{"freeze_depth": [-2]}, {"other": [5], "head_units": [(8,)]}]
    search = GridSearchCV(Cheap(freeze_depth=-3, head_units=(4, 4)), parameters, cv=2)
    display = FreezeDepthDisplay.from_estimator(search.fit(X, Y))
    assert (display.depths, display.heads) == ([-2, -3], [(8,), (4, 4)])
    assert_allclose(display.scores, [[np.nan, 2.2], [8.1, np.nan]])


def test_a_randomised_search_draws_numbers_of_numpy():
    search = RandomizedSearchCV(
        Cheap(), {"freeze_depth": np.array([-1, -2, -3])}, n_iter=3, cv=2, random_state=0
    )
    assert FreezeDepthDisplay.from_estimator(search.fit(X, Y)).depths == [-1, -2, -3]


def test_of_a_halving_search_the_last_round_counts():
    results = {"iter": np.array([0, 0, 1])}
    search = finished(grid([-1, -2, -1], [()]), [0.9, 0.5, 0.7], **results)
    assert_allclose(depth_table(search, "score").scores, [[0.7], [0.5]])
    grid_ = {"freeze_depth": ["all", -1, -2]}
    halving = HalvingGridSearchCV(Cheap(), grid_, cv=2, min_resources=8, factor=2).fit(X, Y)
    assert FreezeDepthDisplay.from_estimator(halving).depths == ["all", -1, -2]


def test_a_search_with_several_metrics_needs_one():
    scoring = {"first": lambda e, X, y: 1.0, "second": lambda e, X, y: 2.0}
    search = GridSearchCV(Cheap(), {"freeze_depth": [-1]}, cv=2, scoring=scoring, refit=False)
    search.fit(X, Y)
    with pytest.raises(ValueError, match="metric=None .* which has 'first', 'second'. Pass one"):
        FreezeDepthDisplay.from_estimator(search)
    display = FreezeDepthDisplay.from_estimator(search, metric="second")
    assert_allclose(display.scores, [[2.0]])
    assert display.score_ax_.get_ylabel() == "second (mean ± sd)"
    refitted = search.set_params(refit="first").fit(X, Y)
    assert FreezeDepthDisplay.from_estimator(refitted).metric == "first"


def test_the_score_has_the_name_that_the_search_gave_it():
    search = finished(grid([-1], [()]), [0.5], scoring="roc_auc")
    assert FreezeDepthDisplay.from_estimator(search).score_ax_.get_ylabel() == "roc auc (mean ± sd)"


def test_a_real_search_is_drawn(make, cats_and_dogs):
    parameters = {"freeze_depth": ["all", -1], "head_units": [(), (4,)]}
    search = GridSearchCV(make(epochs=1), parameters, cv=2).fit(*cats_and_dogs)
    display = FreezeDepthDisplay.from_estimator(search)
    assert display.scores.shape == display.times.shape == (2, 2)
    assert np.isfinite(display.scores).all() and (display.times > 0).all()


def test_failed_candidates_are_left_out():
    table = depth_table(finished(grid(["all", -1, -1], [()]), [0.5, np.nan, 0.7]), "score")
    assert_allclose(table.scores, [[0.5], [0.7]])
    display = FreezeDepthDisplay.from_estimator(finished(grid(["all", -1], [()]), [0.5, np.nan]))
    assert display.depths == ["all", -1]
    assert_allclose(display.score_bars_[0].lines[0].get_ydata(), [0.5])


# What is refused ---------------------------------------------------------------------------


def test_a_search_without_freeze_depths_is_refused():
    search = GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(X, Y)
    with pytest.raises(ValueError, match="tried no freeze depths: its parameters are C. Search"):
        FreezeDepthDisplay.from_estimator(search)


def test_a_search_over_two_steps_at_once_is_refused():
    search = finished([{"a__freeze_depth": -1, "b__freeze_depth": -1}], [1.0])
    with pytest.raises(ValueError, match="varies a__freeze_depth and b__freeze_depth, but the"):
        FreezeDepthDisplay.from_estimator(search)


def test_a_search_of_failures_is_refused():
    with pytest.raises(ValueError, match="All scores of 'score' are NaN.*error_score='raise'"):
        FreezeDepthDisplay.from_estimator(finished(grid([-1], [()]), [np.nan]))


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric='auc' .* which has 'score'"):
        FreezeDepthDisplay.from_estimator(finished(grid([-1], [()]), [1.0]), metric="auc")


def test_what_is_no_fitted_search_is_refused():
    with pytest.raises(
        TypeError, match="draws a fitted search, such as .* got a LogisticRegression"
    ):
        FreezeDepthDisplay.from_estimator(LogisticRegression())
    with pytest.raises(NotFittedError):
        FreezeDepthDisplay.from_estimator(GridSearchCV(Cheap(), {"freeze_depth": [-1]}))
