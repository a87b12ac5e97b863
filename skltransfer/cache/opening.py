"""Opening the cache that an estimator's parameter `cache` names, once per folder and process."""

from __future__ import annotations

import os
import threading
import warnings

from skltransfer._types import is_url
from skltransfer.cache.activation_cache import ROWS_FOLDER, ActivationCache
from skltransfer.cache.capacity import disk_budget
from skltransfer.cache.null_cache import NullCache
from skltransfer.cache.session import session
from skltransfer.cache.store import CacheWarning, bytes_under

_VERSION_FOLDER = "skltransfer-activations-4"
"""The number changes with the format, so that versions with different formats share no files."""

_null_cache = NullCache()
_opened: dict[str, ActivationCache] = {}
_opening = threading.Lock()


def open_cache(
    location: str | os.PathLike[str] | None, *, budget: int | None = None
) -> ActivationCache | NullCache:
    """Open the cache that an estimator's parameter `cache` specifies.

    Parameters
    ----------
    location : str, path or None
        "memory" is shared by this process and the workers that it starts, and deleted when this
        process ends. A directory is shared by all processes and runs that name it, and created if
        necessary. None stores nothing.
    budget : int, default=None
        Maximum number of bytes; in each process, the first call for a location sets it. For
        "memory", None means a quarter of the free memory or of the container's limit, whichever is
        less, but no more than is free where the rows are kept. For a directory, None means half of
        the disk space that is free or already taken by the cache.

    Returns
    -------
    ActivationCache or NullCache
        The same object for the same location.

    Raises
    ------
    TypeError, ValueError
        If `location` is none of these, such as a URL or the path of a file.
    """
    if location is None:
        return _null_cache
    if location == "memory":
        try:
            folder, session_budget = session()
        except OSError as error:
            warnings.warn(f"cache='memory' keeps nothing: {error}.", CacheWarning, stacklevel=2)
            return _null_cache
        return _open(folder, session_budget if budget is None else budget)
    folder = os.path.join(_directory(location), _VERSION_FOLDER)
    return _open(folder, budget)


def _directory(location: str | os.PathLike[str]) -> str:
    """Return the absolute path of a directory, which may not exist yet."""
    choices = "give 'memory', the path of a directory, or None"
    if not isinstance(location, (str, os.PathLike)) or isinstance(os.fspath(location), bytes):
        raise TypeError(f"cache={location!r} is not a path; {choices}.")
    if is_url(location):
        raise ValueError(
            f"cache={str(location)!r} is a URL, but the cache must be a local or mounted "
            f"directory; {choices}."
        )
    location = os.fspath(location)
    refusal = f"cache={location!r} is not a directory; {choices}."
    if not location or "\0" in location:
        raise ValueError(refusal)
    path = os.path.realpath(os.path.expanduser(location))
    if os.path.exists(path) and not os.path.isdir(path):
        raise ValueError(refusal)
    return path


def _open(folder: str, budget: int | None) -> ActivationCache:
    with _opening:
        if folder not in _opened:
            if budget is None:
                budget = disk_budget(folder, bytes_under(os.path.join(folder, ROWS_FOLDER)))
            _opened[folder] = ActivationCache(folder, budget)
        return _opened[folder]


def _after_fork() -> None:
    """In a forked child process, give the caches that it inherited new locks and counts."""
    global _opening
    _opening = threading.Lock()
    caches: list[ActivationCache | NullCache] = [_null_cache, *_opened.values()]
    for cache in caches:
        cache.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
