"""The prefix: the network up to a freeze point, and the cache points from which it can be computed.

*Cache points* are ends of stages; their outputs may be cached, and computations may start there. A
compiled part of the network also returns the activations at the cache points that it passes.

With TensorFlow and oneDNN, a part that starts at a cache point computes the same bits as one that
passes through it. One reason is that cache points are outputs of the graph: TensorFlow's optimizer
preserves outputs, so it fuses no operations across them. The other reason is that the results of
oneDNN's kernels depend only on their input. With other kernels there are no cache points, because
XLA, for example, fuses operations freely.

OpenVINO fuses operations, and chooses kernels by their context. So with OpenVINO, the network is a
chain of separately compiled segments, which meet at the cache points that are worth keeping. The
bits are then the same wherever a computation enters the chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from skltransfer.backend import backend_name, kernels
from skltransfer.frozen.engines import FrozenPart, chained, compile_part, engine_key_fields
from skltransfer.frozen.openvino import CompiledSegment
from skltransfer.inputs._input import Rows, RowSpec, TensorSpec, trial_rows
from skltransfer.network.batch_invariance import InvariantBatches, most_block_rows
from skltransfer.network.carried_input import row_shape, run_from
from skltransfer.network.execution import needed_steps
from skltransfer.network.graph import Graph, keras_class
from skltransfer.network.packed_rows import PackedRows
from skltransfer.network.packs import noise
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network, in_float32

_MULTIPLICATIONS_PER_SECOND = 1e11
"""Assumed speed of the network; two cores with AVX-512 ran the bundled network at 1.1e11."""

_BYTES_PER_SECOND = 1e9
"""Assumed speed of writing or reading rows with checksums; 1.0e9 to 1.6e9 were measured."""

_WORTH_A_GUESS = 3.0
"""Activations that nobody requested are cached only if caching saves this many times the time that
it takes."""

_STEADY = {
    *("InputLayer", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Relu6", "Add"),
    *("ZeroPadding2D", "MaxPooling2D", "Concatenate", "Dropout", "Rescaling"),
}
"""Kinds of steps that treat all rows of a block alike, whatever their position."""

_ALWAYS_KEPT = 32768
"""Rows of up to this many bytes are always worth caching, because storing them costs no more than a
lookup."""

_USUAL_LENGTH = 64
"""Length assumed for rows of unknown length, to estimate their cost."""


@dataclass(frozen=True)
class CachePoint:
    """A step whose output may be cached, so that computations may start there.

    Attributes
    ----------
    step : int
        The step whose output is cached.
    name : str
        Name of that step.
    n_bytes : int
        Size of the output for one row, in float32.
    milliseconds : float
        Estimated time to compute a row from the preceding cache point that is worth keeping.
    worth_keeping : bool
        Whether the output is cached even if nobody requests it, because it is small, or because
        computing it takes much longer than writing and reading it.
    """

    step: int
    name: str
    n_bytes: int
    milliseconds: float
    worth_keeping: bool


def is_end(network: Network, freeze_point: int | None) -> bool:
    """Return whether everything is frozen, so that rows are pooled features."""
    return freeze_point == network.end


def row_spec(network: Network, freeze_point: int | None) -> RowSpec:
    """Return the specification of activations at a freeze point; for None, that of input rows.

    If later steps read masks that are computed from the network's input, activations also contain
    this input; see `carried_input`.
    """
    if freeze_point is None:
        return network.row_spec
    if is_end(network, freeze_point):
        return (TensorSpec((network.n_features,)),)
    return (TensorSpec(row_shape(network.features, freeze_point)),)


def name_of(network: Network, freeze_point: int | None) -> str:
    """Return the name of the layer at a freeze point."""
    return "input" if freeze_point is None else network.features.steps[freeze_point].name


def position_of(network: Network, freeze_point: int | None) -> int | None:
    """Return the position of a freeze point among all steps of the network.

    This position does not depend on where the features end.
    """
    if freeze_point is None:
        return None
    return network.graph.position[network.features.steps[freeze_point].name]


def cache_points_before(
    network: Network, freeze_point: int | None, engine: str
) -> list[CachePoint]:
    """Return the cache points between the input and a freeze point."""
    if freeze_point is None or (engine != "openvino" and not _begins_anywhere(network)):
        return []
    key = ("cache points", freeze_point)
    found = network.part(key, lambda: _found_cache_points(network, freeze_point))
    return [point for point in found if point.worth_keeping] if engine == "openvino" else found


def _begins_anywhere(network: Network) -> bool:
    """Return whether Keras' backend computes the same bits, whichever step it starts from."""
    return kernels() == "onednn" and network.precision == "float32"


def is_cache_point(network: Network, freeze_point: int | None, engine: str) -> bool:
    """Return whether computations can start at a freeze point; True for the end of the features."""
    steps = [point.step for point in cache_points_before(network, network.end, engine)]
    return freeze_point is not None and freeze_point in (*steps, network.end)


def cache_key_fields(network: Network, engine: str) -> dict[str, Any]:
    """Return what the bits of activations depend on besides the network's weights and the row."""
    if engine != "openvino":
        return {**engine_key_fields(engine), "packs": network.takes_packs}
    points = cache_points_before(network, network.end, engine)
    links = [position_of(network, point.step) for point in points]
    return {**engine_key_fields(engine), "links": links}


def segments(network: Network, start: int | None, freeze_point: int | None) -> list[str]:
    """Return the names of the segments from `start` to a freeze point, used to count work.

    Each segment ends at the end of a stage or at the freeze point.
    """
    if freeze_point is None:
        return []
    steps = [start, *_steps_between(network, start, freeze_point), freeze_point]
    names = [name_of(network, step) for step in steps]
    return [f"{network.spec.name}:{before}:{behind}" for before, behind in pairwise(names)]


def prefix_part(
    network: Network, start: int | None, freeze_point: int | None, engine: str
) -> FrozenPart:
    """Compile the part from `start` to a freeze point; it also returns activations at cache points.

    If nothing is frozen, rows are returned unchanged.

    Raises
    ------
    ValueError
        If nothing is frozen and rows consist of several tensors, because training needs rows of one
        tensor.
    """
    if freeze_point is None:
        return _nothing_frozen(network)
    compile_prefix = _chain if engine == "openvino" else _compile
    key = ("prefix", start, freeze_point, engine)
    return network.part(key, lambda: compile_prefix(network, start, freeze_point))


def _nothing_frozen(network: Network) -> FrozenPart:
    spec = network.row_spec
    if len(spec) > 1:
        raise ValueError(
            f"backbone={network.spec.name!r} reads rows of {len(spec)} tensors, but training takes "
            "rows of one. Freeze at least its first stage."
        )
    together = 1 if spec[0].is_ragged else most_block_rows()
    same = InvariantBatches(lambda rows: (rows,), together)
    return FrozenPart(same, spec, spec[0])


def _compile(network: Network, start: int | None, freeze_point: int) -> FrozenPart:
    passed = _passed(network, start, freeze_point, backend_name())
    compute = _computation(network, start, [*passed, freeze_point])
    spec = row_spec(network, start)
    if any(tensor.is_ragged for tensor in spec):
        return compile_part(compute, spec, trial=rows_to_pack(network, start))
    return compile_part(compute, spec, block_rows(network))


def _chain(network: Network, start: int | None, freeze_point: int) -> FrozenPart:
    stops = [*_passed(network, start, freeze_point, "openvino"), freeze_point]
    parts = [
        network.part(("segment", begin, end), partial(_segment, network, begin, end))
        for begin, end in zip([start, *stops], stops, strict=False)
    ]
    whole = partial(_segment, network, start, freeze_point) if len(parts) > 1 else None
    return chained(parts, row_spec(network, start), whole, rows_to_pack(network, start))


def _segment(network: Network, start: int | None, step: int) -> CompiledSegment:
    exact = in_float32(network)
    compute = _computation(exact, start, [step], exact.arrays)
    return CompiledSegment(
        lambda x, lengths=None: compute(x, lengths=lengths)[0],
        row_spec(network, start),
        network.precision,
        network.takes_packs,
    )


def _passed(network: Network, start: int | None, freeze_point: int, engine: str) -> list[int]:
    """Return the steps of the cache points between `start` and a freeze point."""
    first = -1 if start is None else start
    points = cache_points_before(network, freeze_point, engine)
    return [point.step for point in points if point.step > first]


def block_rows(network: Network) -> int:
    """Return how many rows run together: the same in every part of the network, so that bits agree.

    Convolutions and elementwise steps treat all rows of a block alike. In networks that consist of
    such steps, only the pooling at the end is tested; other networks are tested as a whole.
    """
    if any(tensor.is_ragged for tensor in network.row_spec):
        return 1
    return network.part("block rows", lambda: _part_on_trial(network)).run.n_rows


def _part_on_trial(network: Network) -> FrozenPart:
    kinds = {keras_class(step.operation) for step in network.features.steps}
    if network.precision == "float32" and kinds <= _STEADY:
        spec = TensorSpec(network.features.steps[-1].shape)
        trial = (trial_rows(spec.sides, 0.0, 1.0),)
        return compile_part(lambda x: pooled([x], network.pooling), (spec,), trial=trial)
    compute = _computation(network, None, [network.end])
    return compile_part(compute, network.row_spec, trial=network.trial_rows())


def _computation(
    network: Network,
    start: int | None,
    steps: list[int],
    weights: Mapping[int, Any] | None = None,
) -> Callable[..., Any]:
    """Return a function that computes the outputs of `steps` from rows at `start`.

    It returns the output of the last step first. Without `weights`, the network's constants are
    used.
    """

    def compute(*tensors: Any, lengths: Any = None) -> tuple[Any, ...]:
        x = network.preprocess(*tensors) if start is None else tensors[0]
        pack = None if lengths is None else PackedRows.of(x, lengths)
        values = network.constants if weights is None else weights
        *passed, last = run_from(network.features, start, steps, x, values, lengths=pack)
        last = pooled([last], network.pooling, pack) if is_end(network, steps[-1]) else last
        return (last, *passed)

    return compute


def rows_to_pack(network: Network, start: int | None) -> Rows | None:
    """Return rows at `start` for testing whether rows may run in packs; None if they never may.

    A pack is several rows of different lengths, joined into one.
    """
    if not network.takes_packs:
        return None
    return network.trial_rows() if start is None else noise(row_spec(network, start))


def _steps_between(network: Network, start: int | None, freeze_point: int) -> list[int]:
    first = -1 if start is None else start
    return [stage.stop for stage in network.stages if first < stage.stop < freeze_point]


def _found_cache_points(network: Network, freeze_point: int) -> list[CachePoint]:
    found: list[CachePoint] = []
    last_kept = None
    for step in _steps_between(network, None, freeze_point):
        point = _cache_point(network, last_kept, step)
        last_kept = step if point.worth_keeping else last_kept
        found.append(point)
    return found


def _cache_point(network: Network, start: int | None, step: int) -> CachePoint:
    """Return the cache point at `step`, with the estimated time from `start` to it."""
    graph = network.features
    n_bytes = 4 * math.prod(_usual(graph.steps[step].shape))
    seconds = _n_multiplications(graph, start, step) / _MULTIPLICATIONS_PER_SECOND
    cost = 2 * n_bytes / _BYTES_PER_SECOND
    worth_keeping = n_bytes <= _ALWAYS_KEPT or seconds > _WORTH_A_GUESS * cost
    return CachePoint(step, graph.steps[step].name, n_bytes, 1e3 * seconds, worth_keeping)


def _n_multiplications(graph: Graph, start: int | None, stop: int) -> int:
    """Count multiplications for one row: each kernel is used at each position of its output."""
    total = 0
    for index in needed_steps(graph, start, (stop,)):
        step = graph.steps[index]
        kernels = [w for w in step.weights if len(w.shape) > 1]
        total += math.prod(_usual(step.shape[:-1])) * sum(math.prod(w.shape) for w in kernels)
    return total


def _usual(shape: tuple[int | None, ...]) -> list[int]:
    return [_USUAL_LENGTH if side is None else side for side in shape]
