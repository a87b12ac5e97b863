"""How much of a task is done, how long it took, and how long it will take."""

from __future__ import annotations

import time


class Amount:
    """The state of a task.

    Parameters
    ----------
    title : str
        The name of the task.
    total : float
        Total amount.
    counted : bool
        Whether to show amounts instead of the percentage.
    """

    def __init__(self, title: str, total: float, counted: bool) -> None:
        self.title = title
        self.total = total
        self.counted = counted
        self.done = 0.0
        self.told = ""
        self._began = time.monotonic()

    @property
    def share(self) -> float:
        """Share that is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def finish(self) -> None:
        """Record that everything is done."""
        self.done = self.total

    def measured(self) -> str:
        """Return the amount done, as in "1,200/12,000" or "10%"."""
        if self.counted:
            return f"{round(self.done):,}/{round(self.total):,}"
        return f"{100 * self.share:.0f}%"

    def times(self) -> str:
        """Return the time spent and the time left, as in "0:40, 6:00 left"."""
        spent = _clock(self.seconds)
        if not 0 < self.share < 1:
            return spent
        return f"{spent}, {_clock(self.seconds * (1 / self.share - 1))} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
