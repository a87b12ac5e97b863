"""Where progress is shown: in a terminal, in a notebook, or as lines of a log."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from enum import Enum


class Place(Enum):
    """Where progress is shown."""

    TERMINAL = "terminal"
    NOTEBOOK = "notebook"
    LOG = "log"


def in_worker() -> bool:
    """Return whether another Python process started this one as a worker, as joblib does."""
    return multiprocessing.parent_process() is not None


def place() -> Place:
    """Return where progress is shown now.

    Workers and threads write lines even to a terminal, because several bars would overwrite each
    other.
    """
    if in_worker() or threading.current_thread() is not threading.main_thread():
        return Place.LOG
    if _in_notebook():
        return Place.NOTEBOOK
    return Place.TERMINAL if sys.stderr is not None and sys.stderr.isatty() else Place.LOG


def _in_notebook() -> bool:
    """Return whether IPython runs in a kernel, so that a front end shows its output."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
