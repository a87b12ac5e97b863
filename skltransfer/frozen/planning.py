"""Where computations start, and which intermediate activations are cached.

A *cache point* is a step whose output may be cached, so that computations may start there. A *plan*
says where one computation starts, and at which cache points its activations are cached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from skltransfer.frozen.prefix import (
    CachePoint,
    cache_points_before,
    is_cache_point,
    prefix_part,
    segments,
)
from skltransfer.frozen.resume_plan import ResumePlan

if TYPE_CHECKING:
    from skltransfer.network.runtime import Network


def resume_plans(
    network: Network,
    freeze_point: int | None,
    namespace_of: Callable[[int | None], bytes],
    engine: str,
    kept: Collection[int] = (),
) -> tuple[ResumePlan, ...]:
    """Return all plans for activations at a freeze point, from the least computation to the most.

    The last plan starts at X.

    Parameters
    ----------
    network : Network
        The backbone.
    freeze_point : int or None
        Step whose output is needed; None is the rows themselves.
    namespace_of : callable
        Returns the namespace of a step's output in the cache; for None, that of the rows
        themselves.
    engine : str
        The engine.
    kept : collection of int
        Earlier steps whose outputs are also cached.
    """
    steps = [point.step for point in cache_points_before(network, freeze_point, engine)]

    def plan(name: str, begin: int | None, start: bytes | None) -> ResumePlan:
        passed = steps if begin is None else steps[steps.index(begin) + 1 :]
        return ResumePlan(
            name,
            partial(prefix_part, network, begin, freeze_point, engine),
            tuple(segments(network, begin, freeze_point)),
            start,
            tuple(namespace_of(step) if step in kept else None for step in passed),
        )

    short = [plan(network.features.steps[s].name, s, namespace_of(s)) for s in reversed(steps)]
    read = [] if freeze_point is None else [plan("cached rows", None, namespace_of(None))]
    return (*short, *read, plan("X", None, None))


def in_order(freeze_points: Collection[int | None]) -> list[int | None]:
    """Order freeze points: None (the rows themselves) first, then the deepest first."""
    return sorted({*freeze_points}, key=lambda point: (point is not None, -(point or 0)))


def cached_on_the_way(
    network: Network, freeze_points: Collection[int | None], engine: str
) -> set[int]:
    """Return the steps to cache so that nothing runs twice.

    These are the requested freeze points. If one of them is not a cache point, the last cache point
    before it takes its place.
    """
    found: set[int] = set()
    for point in freeze_points:
        if point is not None and is_cache_point(network, point, engine):
            found.add(point)
        else:
            before = cache_points_before(network, point, engine)
            found.update(cache_point.step for cache_point in before[-1:])
    return found


def explained(
    name: str,
    n_rows: int,
    computed: Mapping[str, int],
    points: Collection[CachePoint],
    kept: Collection[int],
) -> str:
    """Describe in one line where computations started, which earlier outputs were cached, and why.

    Parameters
    ----------
    name : str
        The layer whose activations were requested.
    n_rows : int
        Number of rows.
    computed : mapping of str to int
        Number of rows computed from each starting point.
    points : collection of CachePoint
        The cache points before this layer.
    kept : collection of int
        Steps of the cache points whose activations were cached.
    """
    sources = [f"{n} computed from {start}" for start, n in computed.items()]
    sources.insert(0, f"{n_rows - sum(computed.values())} from the cache")
    choices = [f"{point.name} ({_figures(point, kept)})" for point in points]
    passed = f" Cache points passed: {'; '.join(choices)}." if computed and choices else ""
    return f"{name}: of {n_rows} rows, {', '.join(sources)}.{passed}"


def _figures(point: CachePoint, kept: Collection[int]) -> str:
    if point.step in kept:
        choice = "kept for later freeze points"
    elif point.worth_keeping:
        choice = "not kept, less than half of the cache would be left"
    else:
        choice = "not kept, loading would save too little"
    return f"{point.n_bytes / 1e3:.0f} KB, {point.milliseconds:.2f} ms: {choice}"
