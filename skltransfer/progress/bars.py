"""Progress bars for terminals, notebooks and logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from skltransfer.progress.amount import Amount
from skltransfer.progress.telling import tell

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

_SECONDS_TO_THE_FIRST_LINE = 5
_SECONDS_BETWEEN_LINES = 60
_LINES = 10
_SECONDS_BETWEEN_UPDATES = 0.25
_WIDTH = 24


class Bar:
    """A progress bar; this one shows nothing."""

    def __call__(self, amount: float) -> None:
        """Record that `amount` more of the total is done."""

    def tell(self, text: str) -> None:
        """Show `text` after the bar, instead of the previous text."""

    def finish(self) -> None:
        """Record that everything is done, even if it was less than `total`."""


class _AmountBar(Bar):
    """A bar that shows an amount."""

    def __init__(self, amount: Amount) -> None:
        self.amount = amount

    def __call__(self, amount: float) -> None:
        self.amount.done += amount
        self.changed()

    def tell(self, text: str) -> None:
        self.amount.told = text
        self.changed()

    def finish(self) -> None:
        self.amount.finish()
        self.changed()

    def shown(self) -> AbstractContextManager[None]:
        """Show the bar; at the end, leave its last state there."""
        raise NotImplementedError

    def changed(self) -> None:
        """Show the new amount."""
        raise NotImplementedError


class TerminalBar(_AmountBar):
    """A bar drawn by the package rich."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw the bar, and leave it there at the end."""
        from rich.console import Console
        from rich.progress import Progress

        amount = self.amount
        console = Console(stderr=True, force_jupyter=False)
        with Progress(*_columns(amount.counted), console=console) as self._progress:
            self._task = self._progress.add_task(amount.title, total=amount.total, told="")
            yield

    def changed(self) -> None:
        """Show the new amount."""
        amount = self.amount
        self._progress.update(self._task, completed=amount.done, told=amount.told)


def _columns(counted: bool) -> list[ProgressColumn]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    amounts = [MofNCompleteColumn(), TimeElapsedColumn()] if counted else [TaskProgressColumn()]
    return [
        TextColumn("{task.description}"),
        BarColumn(40 if counted else 15),
        *amounts,
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    ]


class NotebookBar(_AmountBar):
    """A text bar below a cell, updated in place; it needs no widgets."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar, and leave it there at the end."""
        from IPython import display

        show: Callable[..., Any] = display.display
        self._updated = time.monotonic()
        self._handle = show(self._content(), raw=True, display_id=True)
        try:
            yield
        finally:
            self._update()

    def changed(self) -> None:
        """Show the new amount, unless the bar was updated a moment ago."""
        if time.monotonic() - self._updated >= _SECONDS_BETWEEN_UPDATES:
            self._update()

    def _update(self) -> None:
        self._updated = time.monotonic()
        self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        amount = self.amount
        full = round(_WIDTH * amount.share)
        drawn = "█" * full + "░" * (_WIDTH - full)
        parts = (amount.title, drawn, amount.measured(), amount.times(), amount.told)
        return {"text/plain": " ".join(filter(None, parts))}


class LineBar(_AmountBar):
    """Lines instead of a bar, for logs, pipes and workers: about ten, and one more at the end."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print lines while the context is open, and one at its end."""
        self._share, self._seconds = 0.0, 0.0
        yield
        self._line()

    def changed(self) -> None:
        """Print a line if much has been done, or much time has passed, since the last one."""
        share, seconds = self.amount.share, self.amount.seconds
        if share == 1 or seconds < self._seconds + _SECONDS_TO_THE_FIRST_LINE:
            return
        if share - self._share >= 1 / _LINES or seconds - self._seconds >= _SECONDS_BETWEEN_LINES:
            self._share, self._seconds = share, seconds
            self._line()

    def _line(self) -> None:
        amount = self.amount
        line = f"{amount.title}: {amount.measured()}, {amount.times()}"
        tell(f"{line}  {amount.told}" if amount.told else line)
