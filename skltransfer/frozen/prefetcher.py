"""Threads that work ahead of their consumers, started when there is work."""

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
    """Return the number of reading threads: one for each core unless `n_jobs` says otherwise."""
    return computing_threads() if n_jobs in (None, -1) else int(effective_n_jobs(n_jobs))


class Prefetcher:
    """Threads that start nothing new once the caller fails or is interrupted.

    Parameters
    ----------
    count : callable
        Returns the number of threads. It is called when the first thread is needed, because
        counting cores takes 0.3 ms, a tenth of the time of a pass whose rows are all cached.

    Attributes
    ----------
    are_wanted : bool
        Whether results are still needed; long tasks may check it.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._counted = count
        self.are_wanted = True

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Drop tasks that have not started, and wait for those that have."""
        self.are_wanted = False
        if "_pool" in self.__dict__:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
        """Call `function` with `item` in a thread."""
        return self._pool.submit(function, item)

    def map_ahead(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item]
    ) -> Iterator[_Result]:
        """Yield results in the order of `items`, while threads work on the next ones.

        Parameters
        ----------
        function : callable
            The function to call.
        items : iterable
            Its arguments. While the caller uses a result, the number of items that are waiting or
            being computed is at most one more than the number of threads.
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
    """Call `function` in this thread, for tasks so short that another thread would not pay off."""
    future: Future[_Result] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    return future
