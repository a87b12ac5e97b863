"""What a cache tells about itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds and what it has done.

    Attributes
    ----------
    location : str or None
        Folder of the cache; None where nothing is kept.
    hits, misses : int
        Rows that were found and not found, in this process.
    refused : int
        Rows that were not kept because they did not fit, in this process.
    entries : int
        Rows that are kept.
    bytes, budget : int
        Bytes that the cache takes, and may take.
    rows_computed : dict of str to int
        Rows that ran through each segment of the network, in all processes that share the cache.
    """

    location: str | None
    hits: int = 0
    misses: int = 0
    refused: int = 0
    entries: int = 0
    bytes: int = 0
    budget: int = 0
    rows_computed: dict[str, int] = field(default_factory=dict)
