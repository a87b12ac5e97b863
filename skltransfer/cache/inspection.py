"""The activation cache from the user's point of view."""

from __future__ import annotations

import os

from skltransfer.cache import CacheInfo, open_cache


def cache_info(cache: str | os.PathLike[str] = "memory") -> CacheInfo:
    """Report what an activation cache holds and what it has saved.

    The cache stores the outputs of frozen layers, so that later fits need not compute them again.

    Parameters
    ----------
    cache : "memory", str or Path, default="memory"
        As in the estimators: the cache of this process and its workers, or a directory.

    Returns
    -------
    CacheInfo
        Hits and misses in this process; entries, bytes and their budget; and ``rows_computed``,
        which tells how many rows ran through each segment of a network (consecutive layers, usually
        a stage) in all processes that share the cache.

    See Also
    --------
    clear_cache : Empties a cache.
    precompute : Fills it before a search.

    Examples
    --------
    >>> from skltransfer import cache_info, clear_cache
    >>> clear_cache()
    >>> cache_info().entries
    0
    """
    return open_cache(cache).info()


def clear_cache(cache: str | os.PathLike[str] = "memory") -> None:
    """Empty an activation cache and set its counts to zero.

    Parameters
    ----------
    cache : "memory", str or Path, default="memory"
        As in the estimators. In a directory, only the cache's own files are removed.

    See Also
    --------
    cache_info : Reports what a cache holds.

    Examples
    --------
    >>> from skltransfer import cache_info, clear_cache
    >>> clear_cache()
    >>> cache_info().bytes
    0
    """
    open_cache(cache).clear()
