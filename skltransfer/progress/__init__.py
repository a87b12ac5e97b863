"""Progress for `verbose`: a bar where one can be drawn, and plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skltransfer.progress.amount import Amount
from skltransfer.progress.bars import Bar, LineBar, NotebookBar, TerminalBar
from skltransfer.progress.places import Place, place
from skltransfer.progress.telling import tell, tell_of_start

__all__ = ["Bar", "progress_bar", "tell", "tell_of_start"]

_KINDS = {Place.TERMINAL: TerminalBar, Place.NOTEBOOK: NotebookBar, Place.LOG: LineBar}


@contextmanager
def progress_bar(title: str, total: float, verbose: int, *, counted: bool = True) -> Iterator[Bar]:
    """Show how much of `total` is done, and the time left.

    Parameters
    ----------
    title : str
        The name of the task.
    total : float
        Total amount, such as the number of rows.
    verbose : int
        0 shows nothing.
    counted : bool, default=True
        Whether to show amounts; otherwise only the percentage is shown.

    Yields
    ------
    Bar
        Call it with the amount done since the last call.
    """
    if not verbose:
        yield Bar()
        return
    bar = _KINDS[place()](Amount(title, total, counted))
    with bar.shown():
        yield bar
