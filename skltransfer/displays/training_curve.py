"""Losses and scores of a training, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.displays._checks import last_of
from skltransfer.displays._drawing import axes_or_new, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


class TrainingCurveDisplay:
    """Plot of losses and scores by epoch.

    Create it with :meth:`from_estimator` or :meth:`from_history`, which draw at once; `plot` draws
    the same data again.

    Parameters
    ----------
    history : dict of str to list of float
        One value for each epoch. Curves with names ending in "loss" are drawn against the left
        axis, all others against the right axis.

    Attributes
    ----------
    history : dict of str to list of float
        The history that was passed.
    ax_ : matplotlib.axes.Axes
        Axes of the losses, or of everything if there are no losses.
    score_ax_ : matplotlib.axes.Axes or None
        Axes of the scores, on the right; None if there are none.
    lines_ : dict of str to matplotlib.lines.Line2D
        The curves, by their names in `history`.
    best_epoch_ : int or None
        Epoch, counted from 1, with the smallest "val_loss". The plot marks it, because early
        stopping keeps the weights of this epoch. None without validation.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    FineTunedClassifier : Has the ``history_`` that is drawn.

    Examples
    --------
    Fit a classifier on photographs, and save the plot of its training:

    .. code-block:: python

        classifier = FineTunedClassifier(early_stopping=True, random_state=0)
        classifier.fit(photos.data, photos.target)
        TrainingCurveDisplay.from_estimator(classifier).figure_.savefig("training.png")
    """

    def __init__(self, *, history: Mapping[str, Sequence[float]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, line_kw: dict[str, Any] | None = None
    ) -> TrainingCurveDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : FineTunedClassifier, FineTunedRegressor, Pipeline or search
            A fitted estimator. For a pipeline, the last step is used; for a search, the best
            estimator.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator has no history.
        ValueError
            If no epoch was trained, as with ``epochs=0``.
        """
        last = last_of(estimator)
        if not isinstance(getattr(last, "history_", None), Mapping):
            raise TypeError(
                f"{cls.__name__} draws the history_ of a fitted FineTunedClassifier, but "
                f"{type(last).__name__} has none. For losses of another kind, pass a dict of "
                "lists to from_history."
            )
        if not any(len(values) for values in last.history_.values()):
            raise ValueError(
                f"This {type(last).__name__} was fitted with epochs={last.epochs}, so no epoch was "
                "trained and there is no curve to draw: the head stayed at its starting point. Fit "
                "it with epochs=1 or more."
            )
        return cls(history=last.history_).plot(ax, line_kw=line_kw)

    @classmethod
    def from_history(
        cls,
        history: Mapping[str, Sequence[float]],
        *,
        ax: Axes | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> TrainingCurveDisplay:
        """Draw a history from any source.

        Parameters
        ----------
        history : dict of str to list of float
            For each name, one value for each epoch, as in a classifier's ``history_`` or in Keras'
            ``model.fit(...).history``.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `history` is not a mapping.
        ValueError
            If `history` has no epoch.
        """
        if not isinstance(history, Mapping):
            raise TypeError(
                f"history is of type {type(history).__name__}; it must be a dict from names to "
                "one value for each epoch, such as {'loss': [0.9, 0.5]}."
            )
        if not any(len(values) for values in history.values()):
            raise ValueError(
                f"history={dict(history)!r} has no epoch; pass one value for each epoch, such as "
                "{'loss': [0.9, 0.5]}."
            )
        return cls(history=history).plot(ax, line_kw=line_kw)

    def plot(
        self, ax: Axes | None = None, *, line_kw: dict[str, Any] | None = None
    ) -> TrainingCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        TrainingCurveDisplay
            The display itself.
        """
        ax = axes_or_new(ax, f"{type(self).__name__}.plot")
        losses = [name for name in self.history if name.endswith("loss")]
        scores = [name for name in self.history if name not in losses]
        self.ax_, self.figure_ = ax, ax.figure
        self.score_ax_ = ax.twinx() if losses and scores else ax if scores else None
        self.lines_: dict[str, Line2D] = {}
        for axes, names, what in ((ax, losses, "loss"), (self.score_ax_, scores, _metric(scores))):
            if axes is None or not names:
                continue
            for name in names:
                self.lines_[name] = self._line(axes, name, line_kw)
            axes.set_ylabel(what)
        self._mark_best_epoch()
        self._dress()
        return self

    def _line(self, ax: Axes, name: str, line_kw: dict[str, Any] | None) -> Line2D:
        """Draw one curve, in a colour of its own; curves of the right axis are dashed."""
        from matplotlib.lines import Line2D

        values = self.history[name]
        style = {
            "color": f"C{len(self.lines_)}",
            "linestyle": "-" if name.endswith("loss") else "--",
            "marker": "o",
            "markersize": 4,
            "label": name.replace("_", " "),
        }
        (line,) = ax.plot(np.arange(1, len(values) + 1), values, **styled(style, line_kw, Line2D))
        return line

    def _mark_best_epoch(self) -> None:
        self.best_epoch_ = None
        if len(self.history.get("val_loss", ())):
            self.best_epoch_ = int(np.argmin(self.history["val_loss"])) + 1
            self.ax_.axvline(self.best_epoch_, color="0.6", linestyle=":", zorder=0)

    def _dress(self) -> None:
        from matplotlib.ticker import MaxNLocator

        n_epochs = max(map(len, self.history.values()))
        self.ax_.set_xlim(0.5, n_epochs + 0.5)
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.ax_.set_xlabel("epoch" if self.best_epoch_ is None else "epoch (dotted: the best)")
        lines = list(self.lines_.values())
        names = [str(line.get_label()) for line in lines]
        self.ax_.legend(
            lines,
            names,
            ncols=min(len(lines), 4),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
        )


def _metric(names: Sequence[str]) -> str:
    """Return the axis label for scores such as "val_accuracy"."""
    return ", ".join(dict.fromkeys(name.removeprefix("val_") for name in names))
