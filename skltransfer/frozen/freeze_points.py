"""The depths at which a network can be frozen."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer._tables import Table, column, joined, with_commas
from skltransfer.backbones.registry import is_downloaded, resolve
from skltransfer.frozen.engines import FrozenPart, compile_part
from skltransfer.frozen.prefix import row_spec, rows_to_pack
from skltransfer.inputs._input import Rows, part_of
from skltransfer.inputs.sizes import as_ints, check_size
from skltransfer.network.carried_input import run_from
from skltransfer.network.packed_rows import PackedRows
from skltransfer.network.runtime import Network, network_of

if TYPE_CHECKING:
    from skltransfer._types import Size, Weights
    from skltransfer.backbones.types import Backbone as AnyBackbone
    from skltransfer.network.graph import Graph
    from skltransfer.network.stages import Stage

_TIMED_RUNS = 5
_ROWS_TIMED = 4
_BYTES_PER_VALUE = 4  # float32


def _kilobytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e3:,.1f}"


def _milliseconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


@dataclass(frozen=True)
class FreezePoint:
    """One row of `freeze_points`: a stage, and the network up to its end.

    Attributes
    ----------
    index : int
        ``freeze_depth=index`` freezes this stage and all stages before it. The first stage has
        index 1.
    layer : str
        Last layer of the stage; ``freeze_depth=layer`` means the same.
    shape : tuple of int or None
        Shape of one row of activations, without the batch axis; None stands for a length that
        differs by row.
    parameters : int
        Number of weights of this stage, including BatchNorm statistics.
    frozen_parameters : int
        Number of weights up to the end of this stage.
    bytes : int
        Size of one row of activations in float32; if rows differ in length, the size of one
        position.
    milliseconds : float
        Time from pixels to these activations for one image on this machine; NaN if not measured.
    """

    index: int = column("freeze_depth")
    layer: str = column("last layer", right=False)
    shape: tuple[int | None, ...] = column("activation", joined)
    parameters: int = column("parameters", with_commas)
    frozen_parameters: int = column("frozen up to here", with_commas)
    bytes: int = column("KB/image", _kilobytes)
    milliseconds: float = column("ms/image", _milliseconds)


def freeze_points(
    backbone: AnyBackbone = "efficientnet_lite0",
    *,
    weights: Weights = None,
    input_size: Size | None = None,
    measure: bool = True,
) -> Table[FreezePoint]:
    """List the stages of a network; ``freeze_depth`` freezes a network up to the end of a stage.

    Parameters
    ----------
    backbone : str, Path, BackboneSpec or keras.Model, default="efficientnet_lite0"
        As in the estimators.
    weights : None, "imagenet", str or Path, default=None
        As in the estimators, except that None means the network's own weights, or random weights
        if the own ones would have to be downloaded. Neither stages nor times depend on the weights.
    input_size : tuple of int, default=None
        (height, width) in pixels that the network sees; None is its native size.
    measure : bool, default=True
        Whether to measure the time of each stage, as the median of a few runs. Keras' backend runs
        the stages, even where OpenVINO would compute the frozen part. Measuring takes seconds, or a
        minute for large networks.

    Returns
    -------
    Table of FreezePoint
        An immutable sequence that prints as a table, with one row for each stage, starting at the
        input.

    Raises
    ------
    ValueError, TypeError
        If the backbone is unknown, or does not take images of `input_size`.

    See Also
    --------
    list_backbones : Lists the networks.

    Examples
    --------
    >>> from skltransfer import freeze_points
    >>> freeze_points(measure=False)[-2].layer
    'block6d_add'
    """
    check_size("input_size", input_size)
    spec = resolve(backbone, _weights_at_hand(backbone, weights))
    network = network_of(spec, as_ints(input_size or spec.input.size))
    times = accumulate(_stage_times(network)) if measure else [math.nan] * len(network.stages)
    return Table(_rows(network, list(times)))


def _weights_at_hand(backbone: AnyBackbone, weights: Weights) -> Weights:
    """Return `weights`; if it is None, return weights that need no download."""
    return "imagenet" if weights is None and not is_downloaded(backbone) else weights


def _rows(network: Network, times: list[float]) -> Iterator[FreezePoint]:
    graph = network.features
    frozen = 0
    for stage, (start, stop), elapsed in zip(
        network.stages, _bounds(network.stages), times, strict=True
    ):
        owned = _n_parameters(graph, start, stop)
        frozen += owned
        shape = graph.steps[stop].shape
        size = _BYTES_PER_VALUE * math.prod(side or 1 for side in shape)
        yield FreezePoint(stage.index + 1, stage.layer, shape, owned, frozen, size, elapsed)


def _bounds(stages: tuple[Stage, ...]) -> list[tuple[int | None, int]]:
    """Return for each stage the step before it (None for the first stage) and its last step."""
    stops = [stage.stop for stage in stages]
    return list(zip([None, *stops[:-1]], stops, strict=True))


def _n_parameters(graph: Graph, start: int | None, stop: int) -> int:
    first = 0 if start is None else start + 1
    weights = {id(w): w for step in graph.steps[first : stop + 1] for w in step.weights}
    return sum(math.prod(weight.shape) for weight in weights.values())


def _stage_times(network: Network) -> Iterator[float]:
    """Yield the milliseconds that each stage takes for one row."""
    trial = network.trial_rows()
    rows = part_of(trial, np.arange(_ROWS_TIMED) % len(trial[0]))
    for start, stop in _bounds(network.stages):
        spec = row_spec(network, start)
        compute = _stage_function(network, start, stop)
        is_ragged = any(tensor.is_ragged for tensor in spec)
        tried = rows_to_pack(network, start) if is_ragged else rows
        part = compile_part(compute, spec, trial=tried)
        yield _median_milliseconds(part, rows) / _ROWS_TIMED
        rows = (part(rows),)


def _stage_function(network: Network, start: int | None, stop: int) -> Callable[..., Any]:
    def compute(*tensors: Any, lengths: Any = None) -> Any:
        x = network.preprocess(*tensors) if start is None else tensors[0]
        pack = None if lengths is None else PackedRows.of(x, lengths)
        return run_from(network.features, start, [stop], x, network.arrays, lengths=pack)[0]

    return compute


def _median_milliseconds(part: FrozenPart, rows: Rows) -> float:
    part(rows)  # the first run includes one-time setup
    elapsed = []
    for _ in range(_TIMED_RUNS):
        began = time.perf_counter()
        part(rows)
        elapsed.append(1e3 * (time.perf_counter() - began))
    return statistics.median(elapsed)
