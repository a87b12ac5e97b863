"""The network up to a cut, seen as a line of stations from any of which the rest can be computed.

Stations are the ends of stages. A compiled piece gives what passes at each of them besides its
own result. TensorFlow's optimizer keeps what a graph gives, so it joins no operations across a
station, and a piece that starts there computes the same bits as one that passes through: with
oneDNN's kernels, whose bits depend on their input alone. With others there are no stations: XLA,
for one, joins what it likes.
OpenVINO does join operations, and chooses kernels by what is around them. So with it the network
is a chain of pieces, each compiled by itself, that meet at the stations worth keeping: the bits
are the same from wherever the chain is entered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from skltransfer.backend import backend_name, kernels
from skltransfer.frozen.engines import FrozenPart, chained, compile_part, engine_facts
from skltransfer.frozen.openvino import Piece
from skltransfer.network.batch_invariance import Blocks, most_block_rows
from skltransfer.network.execution import needed_steps, run_steps
from skltransfer.network.graph import Graph, keras_class
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network, in_float32

_MULTIPLICATIONS_PER_SECOND = 1e11
"""Two cores with AVX-512 ran the bundled network at 1.1e11."""

_BYTES_PER_SECOND = 1e9
"""A row with its checksum, written to memory or read: one thread measured 1.0 to 1.6e9."""

_WORTH_A_GUESS = 3.0
"""Nobody asked for a station yet, so keeping it must save so many times what it costs."""

_STEADY = {
    *("InputLayer", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Relu6", "Add"),
    *("ZeroPadding2D", "MaxPooling2D", "Concatenate", "Dropout", "Rescaling"),
}
"""Steps that treat the rows of a block alike."""

_ALWAYS_KEPT = 32768
"""Bytes of a row that are kept without arithmetic: they cost no more than looking them up."""


@dataclass(frozen=True)
class Station:
    """A place where the network may be entered.

    Attributes
    ----------
    stop : int or None
        Step whose output passes there; None: pixels.
    name : str
        Name of that step.
    n_bytes : int
        Size of a row in float32.
    milliseconds : float
        Estimated time to compute a row from the station before that is worth keeping.
    worth_keeping : bool
        Whether that is so much longer than writing and reading the row that it is kept before
        anybody has asked for it.
    """

    stop: int | None
    name: str
    n_bytes: int
    milliseconds: float
    worth_keeping: bool


def is_end(network: Network, cut: int | None) -> bool:
    """Whether everything is frozen up to `cut`, so that rows are pooled features."""
    return cut == len(network.features.steps) - 1


def row_shape(network: Network, cut: int | None) -> tuple[int, ...]:
    """Shape of a row of activations at `cut`; of pixels where nothing is frozen."""
    if cut is None:
        return (*network.input_size, 3)
    shape = network.features.steps[cut].shape
    return shape[-1:] if is_end(network, cut) else shape


def name_of(network: Network, cut: int | None) -> str:
    """Name of the layer at `cut`."""
    return "input" if cut is None else network.features.steps[cut].name


def stations_before(network: Network, cut: int | None, engine: str) -> list[Station]:
    """Stations on the way to `cut`, from the input on."""
    if cut is None or (engine != "openvino" and not _begins_anywhere(network)):
        return []
    found = network.part(("stations", cut), lambda: _found_stations(network, cut))
    return [s for s in found if s.worth_keeping] if engine == "openvino" else found


def _begins_anywhere(network: Network) -> bool:
    """Whether Keras' backend computes the same bits from wherever it starts."""
    return kernels() == "onednn" and network.precision == "float32"


def is_station(network: Network, cut: int | None, engine: str) -> bool:
    """Whether later cuts can be computed from the activations at `cut`; the end counts too."""
    end = len(network.features.steps) - 1
    stops = [station.stop for station in stations_before(network, end, engine)]
    return cut is not None and cut in (*stops, end)


def facts(network: Network, engine: str) -> dict[str, Any]:
    """What the bits of activations depend on beside the network's weights and the picture."""
    if engine != "openvino":
        return engine_facts(engine)
    end = len(network.features.steps) - 1
    links = [station.stop for station in stations_before(network, end, engine)]
    return {**engine_facts(engine), "links": links}


def stretches(network: Network, start: int | None, cut: int | None) -> list[str]:
    """Names of the stretches from `start` to `cut`, under which work is counted."""
    if cut is None:
        return []
    stops = [start, *_stops_between(network, start, cut), cut]
    names = [name_of(network, stop) for stop in stops]
    return [f"{network.spec.name}:{before}:{behind}" for before, behind in pairwise(names)]


def trunk_part(network: Network, start: int | None, cut: int | None, engine: str) -> FrozenPart:
    """From `start` to `cut`: the activations there, and what passes at the stations between.

    Pixels are given back as they are where nothing is frozen.
    """
    if cut is None:
        shape = row_shape(network, None)
        return FrozenPart(Blocks(lambda rows: (rows,), most_block_rows()), shape, shape)
    compile_trunk = _chain if engine == "openvino" else _compile
    return network.part(("trunk", start, cut, engine), lambda: compile_trunk(network, start, cut))


def _compile(network: Network, start: int | None, cut: int) -> FrozenPart:
    passed = _passed(network, start, cut, backend_name())
    compute = _computation(network, start, [*passed, cut])
    return compile_part(compute, row_shape(network, start), block_rows(network))


def _chain(network: Network, start: int | None, cut: int) -> FrozenPart:
    bounds = pairwise([start, *_passed(network, start, cut, "openvino"), cut])
    pieces = [network.part(("piece", *ends), partial(_piece, network, *ends)) for ends in bounds]
    whole = partial(_piece, network, start, cut) if len(pieces) > 1 else None
    return chained(pieces, row_shape(network, start), whole)


def _piece(network: Network, start: int | None, stop: int) -> Piece:
    compute = _computation(in_float32(network), start, [stop])
    return Piece(lambda x: compute(x)[0], row_shape(network, start), network.precision)


def _passed(network: Network, start: int | None, cut: int, engine: str) -> list[int]:
    """Steps of the stations between `start` and `cut`."""
    first = -1 if start is None else start
    return [s.stop for s in stations_before(network, cut, engine) if s.stop > first]


def block_rows(network: Network) -> int:
    """Rows that run together in every piece of the network, so that pieces agree to the bit.

    Convolutions and what is done value by value treat rows alike. Networks of other kinds of
    steps are tried as a whole; of the others only the mean at their end.
    """
    return network.part("block rows", lambda: _part_on_trial(network)).blocks.n_rows


def _part_on_trial(network: Network) -> FrozenPart:
    end = len(network.features.steps) - 1
    kinds = {keras_class(step.operation) for step in network.features.steps}
    if network.precision == "float32" and kinds <= _STEADY:
        shape = network.features.steps[end].shape
        return compile_part(lambda x: pooled([x], "avg"), shape)
    return compile_part(_computation(network, None, [end]), row_shape(network, None))


def _computation(network: Network, start: int | None, stops: list[int]) -> Callable:
    """Function of rows at `start` to those at the last of `stops`, then to those at the others."""

    def compute(x):
        x = network.preprocess(x) if start is None else x
        *passed, last = run_steps(network.features, start, stops, x, network.constants)
        last = pooled([last], "avg") if is_end(network, stops[-1]) else last
        return (last, *passed)

    return compute


def _stops_between(network: Network, start: int | None, cut: int) -> list[int]:
    first = -1 if start is None else start
    return [stage.stop for stage in network.stages if first < stage.stop < cut]


def _found_stations(network: Network, cut: int) -> list[Station]:
    found: list[Station] = []
    last_kept = None
    for stop in _stops_between(network, None, cut):
        station = _station(network, last_kept, stop)
        last_kept = stop if station.worth_keeping else last_kept
        found.append(station)
    return found


def _station(network: Network, start: int | None, stop: int) -> Station:
    """The station at `stop`, with the work from `start` on."""
    graph = network.features
    n_bytes = 4 * math.prod(graph.steps[stop].shape)
    seconds = _n_multiplications(graph, start, stop) / _MULTIPLICATIONS_PER_SECOND
    cost = 2 * n_bytes / _BYTES_PER_SECOND
    worth_keeping = n_bytes <= _ALWAYS_KEPT or seconds > _WORTH_A_GUESS * cost
    return Station(stop, graph.steps[stop].name, n_bytes, 1e3 * seconds, worth_keeping)


def _n_multiplications(graph: Graph, start: int | None, stop: int) -> int:
    """Multiplications for one row: every kernel is used at every position of its output."""
    total = 0
    for index in needed_steps(graph, start, (stop,)):
        step = graph.steps[index]
        kernels = [w for w in step.weights if len(w.shape) > 1]
        total += math.prod(step.shape[:-1]) * sum(math.prod(w.shape) for w in kernels)
    return total
