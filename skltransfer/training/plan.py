"""What a fit is about to take, measured on a few rows, and the one bar that shows how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from skltransfer._progress import Bar, progress_bar
from skltransfer.frozen.engines import FrozenPart
from skltransfer.inputs import ImageReadError, PixelRule
from skltransfer.training.train_step import Program, count

_ROWS_READ_AT_FIRST = 4
_ROWS_RUN_AT_FIRST = 4
_SHARE_OF_FORWARD = 1 / 3  # a training step is a forward and twice as much backward
_BYTES = {3: "KB", 6: "MB", 9: "GB"}
_UNITS = (("s", 1), ("min", 60), ("h", 3600))


@dataclass(frozen=True)
class Costs:
    """Milliseconds that one picture takes.

    Attributes
    ----------
    frozen : float
        From what is stored to activations at the cut.
    trained : float
        In a step of training.
    """

    frozen: float = 0.0
    trained: float = 0.0


@dataclass(frozen=True)
class Workload:
    """What is to be done.

    Attributes
    ----------
    n_rows, n_epochs : int
        Pictures, and how often each is trained on.
    n_views : int or None
        Fixed views of a picture, itself being one; None: another one each epoch.
    n_weights : int
        Weights that learn.
    row_bytes : int
        Size of the activations of one view.
    costs : Costs
        Of one picture.
    """

    n_rows: int
    n_epochs: int
    n_views: int | None
    n_weights: int
    row_bytes: int
    costs: Costs

    @property
    def milliseconds(self) -> float:
        """Time for all, if the cache has nothing."""
        n_views = self.n_epochs + 1 if self.n_views is None else self.n_views
        rounds = self.n_epochs + _SHARE_OF_FORWARD
        return self.n_rows * (n_views * self.costs.frozen + rounds * self.costs.trained)

    @property
    def bytes(self) -> int:
        """Activations that are held in memory at the same time."""
        return self.n_rows * (self.n_views or 0) * self.row_bytes

    def __str__(self) -> str:
        """One line for the user."""
        epochs = f"{self.n_epochs} epoch" + "s" * (self.n_epochs != 1)
        told = (
            f"fine-tuning {self.n_rows:,} pictures, {epochs}, {_short(self.n_weights)} weights: "
            f"about {_duration(self.milliseconds / 1e3)}"
        )
        if self.n_views is None:
            return f"{told}; the cache is idle, as n_views=None draws views anew"
        return f"{told}, less what the cache has; activations {_size(self.bytes)}"


class FitProgress:
    """Shows how far a fit is, in shares of the time that was estimated."""

    def __init__(self, bar: Bar, work: Workload | None = None):
        self._bar = bar
        self._costs = work.costs if work else Costs()
        self._drawn = work is not None and work.n_views is None
        self._n_epochs = work.n_epochs if work else 0

    def frozen(self, n_rows: int) -> None:
        """Note rows that have come through the frozen part."""
        self._bar(n_rows * self._costs.frozen)

    def started(self, n_rows: int) -> None:
        """Note that the head has its starting point, from `n_rows` rows."""
        self._bar(n_rows * self._costs.trained * _SHARE_OF_FORWARD)

    def trained(self, n_rows: int) -> None:
        """Note rows that were trained on; views drawn anew ran through the frozen part for it."""
        self._bar(n_rows * (self._costs.trained + self._drawn * self._costs.frozen))

    def epoch(self, history: dict[str, list[float]]) -> None:
        """Show the values of the last epoch."""
        number = len(history["loss"])
        values = [f"{name} {values[-1]:.4f}" for name, values in history.items()]
        self._bar.tell("  ".join([f"epoch {number}/{max(number, self._n_epochs)}", *values]))


@contextmanager
def fit_progress(plan: Callable[[], Workload], verbose: int) -> Iterator[FitProgress]:
    """Tell what a fit will take, then show one bar; nothing, and no plan is made, if not verbose.

    Yields
    ------
    FitProgress
        To be told what is done.
    """
    if not verbose:
        yield FitProgress(Bar())
        return
    work = plan()
    print(work, file=sys.stderr)
    with progress_bar("fine-tuning", work.milliseconds, verbose, counted=False) as bar:
        yield FitProgress(bar, work)
        bar.finish()


def measure(
    program: Program,
    part: FrozenPart,
    source,
    rule: PixelRule,
    batch_size: int,
    n_threads: int,
) -> Costs:
    """Take the time of one block and one step, on rows that show nothing, and of a few reads.

    Threads read while the network computes, so that the slower of both counts.
    """
    block = np.zeros((_ROWS_RUN_AT_FIRST, *part.input_shape), np.float32)
    running = _milliseconds(lambda: part(block)) / len(block)
    reading = _reading_time(source, rule) / n_threads
    n_rows = min(batch_size, len(source))
    training = _milliseconds(_training_step(program, n_rows)) / n_rows
    return Costs(max(running, reading), training)


def _training_step(program: Program, n_rows: int) -> Callable[[], object]:
    """Function that takes a step with ones for everything."""
    gradient, update = program.batch_gradient(n_rows), program.update()
    arguments = [np.ones(shape, np.float32) for shape in program.batch_shapes(n_rows)]
    weights = [np.ones(count(program.shapes), np.float32) for _ in range(5)]

    def step():
        theta, first, second, rates, decays = weights
        found, _ = gradient(theta, *arguments[1:])
        return update(theta, first, second, found, rates, decays, 0.0, 1)

    return step


def _reading_time(source, rule: PixelRule) -> float:
    """Milliseconds to read one of the first pictures; 0 where one of them cannot be read."""
    rows = range(min(_ROWS_READ_AT_FIRST, len(source)))
    pixels = np.empty((len(rows), *rule.size, 3), np.float32)
    try:
        return _milliseconds(lambda: source.load_block(list(rows), rule, pixels)) / len(rows)
    except ImageReadError:
        return 0.0


def _milliseconds(run: Callable[[], object]) -> float:
    """Time of a second run; the first pays for what is set up once."""
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
