"""The results of a search: what freezing more or less of a network gains and costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skltransfer.displays._drawing import axes_or_new, panels_in, styled
from skltransfer.displays._search_results import depth_table, searched_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPREAD = 0.24
"""Horizontal range over which the points at one depth are spread, to separate their error bars."""

_LETTERS_IN_A_ROW = 60
"""Names are rotated if the number of depths times the length of the longest name exceeds this."""


class FreezeDepthDisplay:
    """Score and fit time of a search against freeze depth, with a line for each head size.

    Create it with :meth:`from_search`, which draws at once; `plot` draws the same data again.

    Parameters
    ----------
    depths : sequence of str, int or float
        Values of `freeze_depth`, from left to right.
    heads : sequence of tuple of int
        Values of `head_units`; each of them has a line.
    scores, score_sds : ndarray of float64, shape (n_depths, n_heads)
        Mean score and its standard deviation over the folds; NaN for untried combinations.
    times, time_sds : ndarray of float64, shape (n_depths, n_heads)
        Mean and standard deviation of the seconds of one fit.
    metric : str, default="score"
        Name of the score, for the axis.
    best_over : sequence of str, default=()
        Names of the other parameters that the search varied, for the title.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes that contain both panels, and nothing else.
    score_ax_, time_ax_ : matplotlib.axes.Axes
        The upper panel, with the scores, and the lower one, with the times.
    score_bars_, time_bars_ : list of matplotlib.container.ErrorbarContainer
        The lines, one for each of `heads`.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    freeze_points : Lists the stages that each depth freezes.
    sklearn.model_selection.GridSearchCV : The usual search.

    Notes
    -----
    If a search varies other parameters too, several candidates have the same depth and head. Of
    these, the points show the one with the best mean score, and its fit time. The title names the
    other parameters. In a halving search, only the last round that a combination of depth and head
    reached counts, so points may be based on different numbers of rows.

    Times do not include scoring. In a search, each image passes the frozen layers once, in the
    first fit that needs the image. The time of this fit includes the pass. To exclude it, call
    ``precompute`` before the search.

    Examples
    --------
    Search over freeze depths and heads, and save the plot:

    .. code-block:: python

        grid = {"freeze_depth": ["all", -1, -2], "head_units": [(), (64,)]}
        search = GridSearchCV(FineTunedClassifier(random_state=0), grid, cv=5)
        search.fit(photos.data, photos.target)
        FreezeDepthDisplay.from_search(search).figure_.savefig("freeze_depth.png")
    """

    def __init__(
        self,
        *,
        depths: Sequence[Any],
        heads: Sequence[tuple[int, ...]],
        scores: np.ndarray,
        score_sds: np.ndarray,
        times: np.ndarray,
        time_sds: np.ndarray,
        metric: str = "score",
        best_over: Sequence[str] = (),
    ) -> None:
        self.depths = depths
        self.heads = heads
        self.scores = scores
        self.score_sds = score_sds
        self.times = times
        self.time_sds = time_sds
        self.metric = metric
        self.best_over = best_over

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        metric: str | None = None,
        ax: Axes | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> FreezeDepthDisplay:
        """Draw a fitted search; `from_search` is another name of this method.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or a halving search
            A fitted search over `freeze_depth`, and possibly `head_units`, of a
            FineTunedClassifier. The classifier may be a step of a pipeline
            (``"classifier__freeze_depth"``).
        metric : str, default=None
            The score to draw if the search has several. None uses the score that `refit` names.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.errorbar``.

        Returns
        -------
        FreezeDepthDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `search` is not a search.
        ValueError
            If the search did not vary `freeze_depth`, or varied the `freeze_depth` of several
            steps; if all fits failed; or if `metric` is not a score of the search, or is missing
            although there are several scores.
        """
        if not hasattr(search, "estimator") or not hasattr(search, "refit"):
            raise TypeError(
                f"{cls.__name__} draws a fitted search, such as GridSearchCV over freeze_depth, "
                f"but got a {type(search).__name__}."
            )
        check_is_fitted(search, "cv_results_")
        chosen = searched_metric(search, metric)
        table = depth_table(search, chosen)
        if np.isnan(table.scores).all():
            raise ValueError(
                f"All scores of {chosen!r} are NaN, so there is nothing to draw: the fits or the "
                "scorer failed. GridSearchCV(..., error_score='raise') shows why."
            )
        scored_by = search.scoring if isinstance(search.scoring, str) else "score"
        name = scored_by if chosen == "score" else chosen
        return cls(**vars(table), metric=name).plot(ax, line_kw=line_kw)

    from_search = from_estimator  # the other displays have from_estimator; this one takes a search

    def plot(
        self, ax: Axes | None = None, *, line_kw: dict[str, Any] | None = None
    ) -> FreezeDepthDisplay:
        """Draw scores above times.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.errorbar``.

        Returns
        -------
        FreezeDepthDisplay
            The display itself.
        """
        self.ax_ = axes_or_new(ax, f"{type(self).__name__}.plot", (6.4, 5.6))
        self.figure_ = self.ax_.figure
        self.score_ax_, self.time_ax_ = panels_in(self.ax_, 2, 1, height_ratios=(3, 2))
        self.score_bars_ = self._lines(self.score_ax_, self.scores, self.score_sds, line_kw)
        self.time_bars_ = self._lines(self.time_ax_, self.times, self.time_sds, line_kw)
        self.score_ax_.set_ylabel(f"{self.metric.replace('_', ' ')} (mean ± sd)")
        self.score_ax_.tick_params(labelbottom=False)
        self.time_ax_.set_ylabel("seconds of a fit")
        self.time_ax_.set_ylim(bottom=0)
        self.time_ax_.set_xlabel("freeze_depth")
        if self.best_over:
            title = f"each point: the best over {', '.join(self.best_over)}"
            self.score_ax_.set_title(title, fontsize="medium", wrap=True)
        if len(self.heads) > 1:
            self.score_ax_.legend(title="head_units", loc="best")
        return self

    def _lines(
        self, ax: Axes, means: np.ndarray, sds: np.ndarray, line_kw: dict[str, Any] | None
    ) -> list[Any]:
        """Draw a line with bars of one standard deviation for each head."""
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        positions = np.arange(len(self.depths))
        n_heads = len(self.heads)
        offsets = np.linspace(-_SPREAD, _SPREAD, n_heads) / 2 if n_heads > 1 else [0.0]
        style = styled({"marker": "o", "capsize": 3}, line_kw, Line2D)
        bars = []
        for column, (head, offset) in enumerate(zip(self.heads, offsets, strict=True)):
            tried = ~np.isnan(means[:, column])
            line = {"color": f"C{column}", "label": _head_name(head), **style}
            x, y, sd = (positions + offset)[tried], means[tried, column], sds[tried, column]
            bars.append(ax.errorbar(x, y, yerr=sd, **line))
        names = [_depth_name(depth) for depth in self.depths]
        crowded = len(names) * max(map(len, names)) > _LETTERS_IN_A_ROW
        ax.set_xticks(positions, names)
        if crowded:
            plt.setp(ax.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.5, len(self.depths) - 0.5)
        return bars


def _head_name(head: tuple[int, ...]) -> str:
    return ", ".join(map(str, head)) or "() linear"


def _depth_name(depth: Any) -> str:
    return f"{depth:.3g}" if isinstance(depth, float) else str(depth)
