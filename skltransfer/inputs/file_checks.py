"""Finding the files that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from joblib import Parallel, delayed

from skltransfer.inputs.errors import ReadError
from skltransfer.inputs.reading import reason
from skltransfer.progress import progress_bar


def unreadable_files(
    paths: Iterable[str],
    check: Callable[[str], None],
    noun: str,
    n_jobs: int | None,
    verbose: int,
) -> dict[str, str]:
    """Return the files that a check refuses, with the reasons.

    Parameters
    ----------
    paths : iterable of str
        Files.
    check : callable
        Raises ReadError for the path of a file that cannot be read.
    noun : str
        What the files hold, in the plural.
    n_jobs : int or None
        Number of threads. None uses one for each core.
    verbose : int
        1 or more shows a progress bar.

    Returns
    -------
    dict of str to str
        For the path of each refused file, the reason and the way out, in the order of `paths`.
    """
    paths = list(paths)
    threads = Parallel(n_jobs=n_jobs or -1, require="sharedmem", return_as="generator")
    refused = {}
    with progress_bar(f"checking {noun}", len(paths), verbose) as advance:
        found = threads(delayed(_refusal)(check, path) for path in paths)
        for path, refusal in zip(paths, found, strict=True):
            advance(1)
            if refusal is not None:
                refused[path] = refusal
    return refused


def _refusal(check: Callable[[str], None], path: str) -> str | None:
    """Return why a file cannot be read; None if it can."""
    try:
        check(path)
    except ReadError as error:
        cause = error.__cause__
        return reason(cause) if isinstance(cause, Exception) else str(error)
    return None
