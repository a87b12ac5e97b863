"""A progress bar on standard error, when somebody asked for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, total: int, verbose: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` rows are done, and the time left.

    Yields
    ------
    callable
        Takes the number of rows that were done since the last call.
    """
    if not verbose:
        yield lambda n_rows: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda n_rows: progress.advance(task, n_rows)


def tell(message: str) -> None:
    """Say something on standard error, where progress is shown."""
    print(f"skltransfer: {message}", file=sys.stderr)
