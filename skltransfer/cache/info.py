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
        Number of rows that this process found and did not find in the cache.
    refused : int
        Number of rows of this process that were not stored because they did not fit.
    entries : int
        Number of stored rows.
    bytes, budget : int
        Number of bytes that the cache takes, and the most that it may take.
    rows_computed : dict of str to int
        For each segment of the network (consecutive layers, usually a stage), in the order of the
        network: how many rows ran through it, in all processes that share the cache.
    """

    location: str | None
    hits: int = 0
    misses: int = 0
    refused: int = 0
    entries: int = 0
    bytes: int = 0
    budget: int = 0
    rows_computed: dict[str, int] = field(default_factory=dict)
