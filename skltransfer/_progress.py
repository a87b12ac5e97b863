"""A progress bar on standard error, shown on request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """A progress bar; this one shows nothing."""

    def __call__(self, amount: float) -> None:
        """Record that `amount` more of the total is done."""

    def tell(self, text: str) -> None:
        """Show `text` after the bar, instead of the previous text."""

    def finish(self) -> None:
        """Record that everything is done, even if less than expected."""


class RichBar(Bar):
    """A progress bar of the package rich."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress = progress
        self.task = task

    def __call__(self, amount: float) -> None:
        self.progress.advance(self.task, amount)

    def tell(self, text: str) -> None:
        self.progress.update(self.task, told=text)

    def finish(self) -> None:
        self.progress.update(self.task, total=1, completed=1)


@contextmanager
def progress_bar(title: str, total: float, verbose: int, *, counted: bool = True) -> Iterator[Bar]:
    """Show how much of `total` is done, and the time left.

    Parameters
    ----------
    title : str
        The name of the task.
    total : float
        Rows, or anything else that adds up.
    verbose : int
        0 shows nothing.
    counted : bool, default=True
        Whether the total is meaningful to the reader; otherwise only the share is shown.

    Yields
    ------
    Bar
        Takes the amount done since the last call.
    """
    if not verbose:
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    amounts = (MofNCompleteColumn(), TimeElapsedColumn()) if counted else (TaskProgressColumn(),)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(40 if counted else 15),
        *amounts,
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield RichBar(progress, progress.add_task(title, total=total, told=""))


def tell(message: str) -> None:
    """Print a message to standard error, where progress is shown."""
    print(f"skltransfer: {message}", file=sys.stderr)
