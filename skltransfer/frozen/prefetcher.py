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
    """Threads for reading rows: one for each core of this process unless told otherwise."""
    return computing_threads() if n_jobs in (None, -1) else int(effective_n_jobs(n_jobs))


class Prefetcher:
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

    def submit(self, function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
        """Have a thread do `function` to `item`."""
        return self._pool.submit(function, item)

    def map_ahead(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item]
    ) -> Iterator[_Result]:
        """Results in the order of `items`, while threads work on the next ones.

        Parameters
        ----------
        function : callable
            What threads do.
        items : iterable
            What they do it to. As many wait to be taken as there are threads, and one more.
        """
        waiting: deque[Future[_Result]] = deque()
        for item in items:
            waiting.append(self.submit(function, item))
            if len(waiting) > self._count + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    @cached_property
    def _count(self) -> int:
        return self._counted()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._count, thread_name_prefix="skltransfer")


def done_now(function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
    """Do it in this thread, as a thread would only take time."""
    future: Future[_Result] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    return future
