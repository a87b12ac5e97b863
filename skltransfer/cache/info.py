"""The report of a cache."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds and what it has done.

    Attributes
    ----------
    location : str or None
        Folder of the cache; None if nothing is cached.
    hits, misses : int
        Rows found and not found, in this process.
    refused : int
        Rows not stored because they did not fit, in this process.
    entries : int
        Stored rows.
    bytes, budget : int
        Bytes that the cache takes, and the most that it may take.
    rows_computed : dict of str to int
        Rows that ran through each segment of the network, in the order of the network, in all
        processes that share the cache.
    """

    location: str | None
    hits: int = 0
    misses: int = 0
    refused: int = 0
    entries: int = 0
    bytes: int = 0
    budget: int = 0
    rows_computed: dict[str, int] = field(default_factory=dict)
