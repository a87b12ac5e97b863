"""Threads that work ahead of those who need their results, started when there is work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, Self, TypeVar

from joblib import effective_n_jobs

from skltransfer.backend import computing_threads

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def thread_count(n_jobs: int | None) -> int:
    """Threads for reading pictures: one for each core of this process unless told otherwise."""
    return computing_threads() if n_jobs in (None, -1) else int(effective_n_jobs(n_jobs))


class ThreadsAhead:
    """Threads that begin nothing new once the caller fails or is interrupted.

    Parameters
    ----------
    count : callable
        Gives their number when the first is needed: to count cores takes 0.3 ms, a tenth of a
        pass of which every row is in the cache.

    Attributes
    ----------
    are_wanted : bool
        Whether anybody still waits for results; what takes long may look.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._counted = count
        self.are_wanted = True

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Drop what has not begun, and wait for what has."""
        self.are_wanted = False
        if "_pool" in self.__dict__:
            self._pool.shutdown(cancel_futures=True)

    def map_ahead(
        self,
        function: Callable[[_Item], _Result],
        items: Iterable[_Item],
        n_ahead: int | None = None,
    ) -> Iterator[_Result]:
        """Results in the order of `items`, while threads work on the next ones.

        Parameters
        ----------
        function : callable
            What threads do.
        items : iterable
            What they do it to.
        n_ahead : int or None, default=None
            Results that may wait to be taken; None: one more than there are threads.
        """
        waiting: deque[Future[_Result]] = deque()
        remaining = iter(items)
        while True:
            try:
                item = next(remaining)
            except StopIteration:
                break
            except Exception:  # what came before it is done, and counts
                yield from _results(waiting)
                raise
            waiting.append(self._pool.submit(function, item))
            del item
            if len(waiting) > (self._count + 1 if n_ahead is None else n_ahead):
                yield waiting.popleft().result()
        yield from _results(waiting)

    @cached_property
    def _count(self) -> int:
        return self._counted()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._count, thread_name_prefix="skltransfer")


def _results(waiting: deque[Future[_Result]]) -> Iterator[_Result]:
    while waiting:
        yield waiting.popleft().result()
