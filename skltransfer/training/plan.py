"""An estimate of how long a fit will take, from measurements on a few rows, and a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.inputs._input import Array, Source, empty_rows, part_of
from skltransfer.inputs.errors import ReadError
from skltransfer.progress import Bar, progress_bar, tell
from skltransfer.training.train_step import TrainStep, count

if TYPE_CHECKING:
    from skltransfer.frozen.engines import FrozenPart

_ROWS_READ_AT_FIRST = 4
_ROWS_RUN_AT_FIRST = 4
_SHARE_OF_FORWARD = 1 / 3  # a training step is a forward pass and a backward pass of twice the cost
_BYTES = {3: "KB", 6: "MB", 9: "GB"}
_UNITS = (("s", 1), ("min", 60), ("h", 3600))


@dataclass(frozen=True)
class Costs:
    """Milliseconds that one row takes.

    Attributes
    ----------
    frozen : float
        Time to read the row and compute its activations at the freeze point.
    trained : float
        Time to train on the row once.
    """

    frozen: float = 0.0
    trained: float = 0.0


def of_members(members: Iterable[Costs]) -> Costs:
    """Combine the costs of members, the copies of the network that are trained.

    Members share the layers that all of them freeze, so the frozen part counts only once.
    """
    costs = list(members)
    trained = sum(one.trained for one in costs) / len(costs)
    return Costs(max(one.frozen for one in costs), trained)


@dataclass(frozen=True)
class Workload:
    """The work of a fit.

    Attributes
    ----------
    n_rows, n_epochs : int
        Number of rows, and number of passes over them.
    n_views : int or None
        Number of fixed views of a row, including the row itself; None draws a new view each epoch.
    n_weights : int
        Number of trained weights.
    row_bytes : int
        Size of the activations of one view of a row, for all members.
    costs : Costs
        Costs of one row. The cost of the frozen part counts only the share of activations that is
        not cached; the cost of training is the mean over the members.
    cached : float, default=0.0
        Share of the activations that is cached, from 0 to 1.
    n_members : int, default=1
        Number of members, each trained on all rows.
    """

    n_rows: int
    n_epochs: int
    n_views: int | None
    n_weights: int
    row_bytes: int
    costs: Costs
    cached: float = 0.0
    n_members: int = 1

    @property
    def milliseconds(self) -> float:
        """Estimated duration of the fit."""
        rounds = self.n_members * (self.n_epochs + _SHARE_OF_FORWARD)
        n_views = self.n_members * self.n_epochs + 1 if self.n_views is None else self.n_views
        return self.n_rows * (n_views * self.costs.frozen + rounds * self.costs.trained)

    @property
    def bytes(self) -> int:
        """Bytes of activations in memory at the same time."""
        return self.n_rows * (self.n_views or 0) * self.row_bytes

    def __str__(self) -> str:
        """Return one line for the user."""
        epochs = f"{self.n_epochs} epoch" + "s" * (self.n_epochs != 1)
        told = (
            f"fine-tuning {self.n_rows:,} rows, {epochs}, {_short(self.n_weights)} weights: "
            f"about {_duration(self.milliseconds / 1e3)}"
        )
        if self.n_views is None:
            return f"{told}; the cache is idle, as n_views=None draws new views every epoch"
        cached = f", {self.cached:.0%} of them cached" if self.cached else ""
        return f"{told}; activations {_size(self.bytes)}{cached}"


class FitProgress:
    """Shows the progress of a fit, as a share of the estimated time."""

    def __init__(self, bar: Bar, work: Workload | None = None):
        self._bar = bar
        self._costs = work.costs if work else Costs()
        self._drawn = work is not None and work.n_views is None
        self._n_epochs = work.n_epochs if work else 0

    def frozen(self, n_rows: int) -> None:
        """Record rows that have passed the frozen part."""
        self._bar(n_rows * self._costs.frozen)

    def started(self, n_rows: int) -> None:
        """Record that the head has been initialised from `n_rows` rows."""
        self._bar(n_rows * self._costs.trained * _SHARE_OF_FORWARD)

    def trained(self, n_rows: int) -> None:
        """Record rows that were trained on; if they are new views, the frozen part ran as well."""
        self._bar(n_rows * (self._costs.trained + self._drawn * self._costs.frozen))

    def epoch(self, history: dict[str, list[float]]) -> None:
        """Show the metrics of the last epoch."""
        number = len(history["loss"])
        values = [f"{name} {values[-1]:.4f}" for name, values in history.items()]
        self._bar.tell("  ".join([f"epoch {number}/{max(number, self._n_epochs)}", *values]))


@contextmanager
def fit_progress(plan: Callable[[], Workload], verbose: int) -> Iterator[FitProgress]:
    """If `verbose`, print an estimate and show a progress bar.

    Yields
    ------
    FitProgress
        Receives the progress.
    """
    if not verbose:
        yield FitProgress(Bar())
        return
    tell("building the network, and timing it on a few rows …")
    work = plan()
    tell(str(work))
    with progress_bar("fine-tuning", work.milliseconds, verbose, counted=False) as bar:
        yield FitProgress(bar, work)
        bar.finish()


def measure(
    step: TrainStep, part: FrozenPart, source: Source, batch_size: int, n_threads: int
) -> Costs:
    """Measure the time for reading a few rows, for the frozen part, and for a training step.

    The frozen part and the training step run on rows of noise. In a fit, threads read rows while
    the frozen part computes, so only the slower of reading and frozen part counts.
    """
    block = part_of(step.network.trial_rows(), slice(_ROWS_RUN_AT_FIRST))
    n_run = len(block[0])
    running = _milliseconds(lambda: part(block)) / n_run
    reading = _reading_time(source, part) / n_threads
    n_rows = min(batch_size, len(source))
    rows = part(block)[np.arange(n_rows) % n_run]
    training = _milliseconds(_training_step(step, rows)) / n_rows
    return Costs(max(running, reading), training)


def _training_step(step: TrainStep, rows: Array) -> Callable[[], object]:
    """Return a function that trains on the given rows once, with ones for all other arguments."""
    gradient, update = step.batch_gradient(len(rows)), step.update()
    params, fixed, standardizer, _, *others = (
        np.ones([1 if side is None else side for side in shape], np.float32)
        for shape in step.batch_shapes(len(rows))
    )
    moments = [np.ones(count(step.shapes), np.float32) for _ in range(4)]

    def take() -> object:
        exp_avg, exp_avg_sq, rates, decays = moments
        found, _ = gradient(params, fixed, standardizer, rows, *others)
        return update(params, exp_avg, exp_avg_sq, found, rates, decays, 0.0, 1)

    return take


def _reading_time(source: Source, part: FrozenPart) -> float:
    """Return the mean milliseconds to read one of the first rows; 0 if any cannot be read."""
    rows = range(min(_ROWS_READ_AT_FIRST, len(source)))
    out = empty_rows(part.row_spec, len(rows))
    try:
        return _milliseconds(lambda: source.load(rows, out)) / len(rows)
    except ReadError:
        return 0.0


def _milliseconds(run: Callable[[], object]) -> float:
    """Time a second run, because the first includes one-time setup."""
    run()
    began = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - began)


def _duration(seconds: float) -> str:
    """Round to one unit, as in "12 s" and "4 min"."""
    name, length = [unit for unit in _UNITS if seconds >= 1.5 * unit[1] or unit[1] == 1][-1]
    value = seconds / length
    return f"{value:.1f} {name}" if name == "h" and value < 10 else f"{max(1, round(value))} {name}"


def _size(n_bytes: float) -> str:
    power = 9 if n_bytes >= 1e9 else 6 if n_bytes >= 1e6 else 3
    return f"{n_bytes / 10**power:.1f} {_BYTES[power]}"


def _short(number: int) -> str:
    """Write a large number as in "2.1 M"."""
    if number < 1e4:
        return f"{number:,}"
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"
