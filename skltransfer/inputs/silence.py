"""Reading rows without the warnings of the libraries that decode them.

Pillow warns of damaged metadata, such as the EXIF data of many old photographs, although the image
is fine. If the user turns warnings into errors, such an image would be refused.
``warnings.catch_warnings`` does not help, because it replaces a list that all threads share. So
this module inserts one entry at the front of this list. The entry matches only in threads that are
reading a row.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

_depth = threading.local()


class _InReadingThreads:
    """Replaces the module pattern of a warning filter."""

    pattern = "(?!)"
    """The pattern that scikit-learn copies to its workers: it matches nothing."""

    def match(self, module: str) -> bool:
        return getattr(_depth, "now", 0) > 0


_FILTER = ("ignore", None, Warning, _InReadingThreads(), 0)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore the warnings of this thread, whatever the user's filters say."""
    _put_in_front(cast("list[Any]", warnings.filters))  # a list, whatever type stubs say
    _depth.now = getattr(_depth, "now", 0) + 1
    try:
        yield
    finally:
        _depth.now -= 1


def _put_in_front(filters: list[Any]) -> None:
    """Move the entry to the front, before filters that the user has added since."""
    if filters and filters[0] is _FILTER:
        return
    # In one assignment, because another thread may do the same at this moment.
    filters[:] = [_FILTER, *[entry for entry in filters if entry is not _FILTER]]
