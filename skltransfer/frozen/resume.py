"""From where activations are computed, and which others are kept on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from skltransfer.frozen.engines import FrozenPart
from skltransfer.frozen.prefix import Station, stations_before, stretches, trunk_part
from skltransfer.network.runtime import Network


@dataclass(frozen=True)
class Way:
    """One way to a row: from pixels, or from a row further up that the cache has.

    Attributes
    ----------
    name : str
        Where it begins.
    part : callable
        Gives the compiled piece; called when rows go this way.
    segments : tuple of str
        Stretches of the network that it runs through, under which work is counted.
    start : bytes or None
        Group of the cache where its input is looked up; None: pixels are read.
    kept : tuple of bytes or None
        For each of the rows that pass on the way the group in which they are kept, or None.
    """

    name: str
    part: Callable[[], FrozenPart]
    segments: tuple[str, ...] = ()
    start: bytes | None = None
    kept: tuple[bytes | None, ...] = ()


def ways_to(
    network: Network,
    cut: int | None,
    group_of: Callable[[int | None], bytes],
    engine: str,
    kept: Collection[int] = (),
) -> tuple[Way, ...]:
    """All ways to the activations at `cut`, the shortest first, that from pixels last.

    Parameters
    ----------
    network : Network
        The backbone.
    cut : int or None
        Step whose output is wanted; None: pixels.
    group_of : callable
        From a step, or None for pixels, to its group in the cache.
    engine : str
        Who computes.
    kept : collection of int
        Steps on the way whose outputs are kept too.
    """
    stops = [station.stop for station in stations_before(network, cut, engine)]

    def way(name: str, begin: int | None, start: bytes | None) -> Way:
        passed = stops if begin is None else stops[stops.index(begin) + 1 :]
        return Way(
            name,
            partial(trunk_part, network, begin, cut, engine),
            tuple(stretches(network, begin, cut)),
            start,
            tuple(group_of(stop) if stop in kept else None for stop in passed),
        )

    short = [way(network.features.steps[s].name, s, group_of(s)) for s in reversed(stops)]
    decoded = [way("decoded pixels", None, group_of(None))] if cut is not None else []
    return (*short, *decoded, way("pixels", None, None))


def explained(
    name: str,
    n_rows: int,
    computed: Mapping[str, int],
    stations: Collection[Station],
    kept: Collection[int],
) -> str:
    """Say in one line from where rows came, what was kept on the way, and why.

    Parameters
    ----------
    name : str
        The layer whose activations were wanted.
    n_rows : int
        How many.
    computed : mapping of str to int
        How many were computed from where.
    stations : collection of Station
        Those on the way.
    kept : collection of int
        Steps of those that were kept.
    """
    sources = [f"{n} computed from {start}" for start, n in computed.items()]
    sources.insert(0, f"{n_rows - sum(computed.values())} had been kept")
    choices = [f"{station.name} ({_figures(station, kept)})" for station in stations]
    passed = f" On the way: {'; '.join(choices)}." if computed and choices else ""
    return f"{name}: of {n_rows} rows {', '.join(sources)}.{passed}"


def _figures(station: Station, kept: Collection[int]) -> str:
    if station.stop in kept:
        choice = "kept for later cuts"
    elif station.worth_keeping:
        choice = "not kept, less than half of the cache would be left"
    else:
        choice = "not kept, loading would save too little"
    return f"{station.n_bytes / 1e3:.0f} KB, {station.milliseconds:.2f} ms: {choice}"
