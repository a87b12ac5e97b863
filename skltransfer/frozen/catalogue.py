"""What there is to choose from: backbones, and the depths at which they can be frozen."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from skltransfer._sizes import as_ints, require_sizes
from skltransfer._tables import Table, column
from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.registry import BUNDLED, is_downloaded, registered_specs, resolve
from skltransfer.frozen.engines import compile_part
from skltransfer.network.execution import run_steps
from skltransfer.network.graph import Graph
from skltransfer.network.runtime import Network, network_of
from skltransfer.network.stages import Stage

if TYPE_CHECKING:
    from skltransfer._types import Size, Weights
    from skltransfer.backbones.types import Backbone as AnyBackbone

_TIMED_RUNS = 5
_ROWS_TIMED = 4
_BYTES_PER_VALUE = 4  # float32


def _with_commas(number: int) -> str:
    return f"{number:,}"


def _joined(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))


def _kilobytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e3:,.1f}"


def _milliseconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


@dataclass(frozen=True)
class Backbone:
    """One row of `list_backbones`.

    Attributes
    ----------
    name : str
        What to pass as ``backbone=``.
    source : {"bundled", "keras.applications", "registered"}
        Where it comes from: with the package, from Keras (which downloads weights), or from
        `register_backbone`.
    input_size : tuple of int
        Native (height, width) in pixels.
    parameters : int
        Number of weights without the classification top, BatchNorm's statistics included.
    """

    name: str = column("backbone", right=False)
    source: str = column("source", right=False)
    input_size: tuple[int, int] = column("input size", _joined)
    parameters: int = column("parameters", _with_commas)


@dataclass(frozen=True)
class FreezePoint:
    """One row of `freeze_points`: a stage, and the network up to its end.

    Attributes
    ----------
    index : int
        ``freeze_depth=index`` freezes this stage and those before it; the first is 1.
    layer : str
        Last layer of the stage; ``freeze_depth=layer`` means the same.
    shape : tuple of int
        Shape of one row of activations, without the batch.
    parameters : int
        Weights of this stage, BatchNorm's statistics included.
    frozen_parameters : int
        Weights up to the end of this stage.
    bytes : int
        Size of one row of activations in float32.
    milliseconds : float
        Time an image takes from pixels to these activations on this machine; NaN if not measured.
    """

    index: int = column("freeze_depth")
    layer: str = column("last layer", right=False)
    shape: tuple[int, ...] = column("activation", _joined)
    parameters: int = column("parameters", _with_commas)
    frozen_parameters: int = column("frozen up to here", _with_commas)
    bytes: int = column("KB/image", _kilobytes)
    milliseconds: float = column("ms/image", _milliseconds)


def list_backbones() -> Table[Backbone]:
    """List the networks that ``backbone=`` takes by name.

    Returns
    -------
    Table of Backbone
        An immutable sequence that reads as a table: the bundled network, those of
        ``keras.applications``, and those registered in this process. Neither Keras nor TensorFlow
        is loaded.

    See Also
    --------
    register_backbone : Adds a network of your own.
    freeze_points : Lists the stages of one network.

    Examples
    --------
    >>> from skltransfer import list_backbones
    >>> list_backbones()[0].name
    'efficientnet_lite0'
    """
    bundled = resolve(BUNDLED)
    rows = [Backbone(BUNDLED, "bundled", bundled.input_size, bundled.n_parameters)]
    for name, known in sorted(applications.facts().items()):
        size = tuple(known["input_size"])
        rows.append(Backbone(name, "keras.applications", size, known["n_parameters"]))
    for spec in registered_specs():
        rows.append(Backbone(spec.name, "registered", spec.input_size, spec.n_parameters))
    return Table(rows)


def freeze_points(
    backbone: AnyBackbone = "efficientnet_lite0",
    *,
    weights: Weights = None,
    input_size: Size | None = None,
    measure: bool = True,
) -> Table[FreezePoint]:
    """List the stages of a network: where ``freeze_depth`` can cut it.

    Parameters
    ----------
    backbone : str, Path, BackboneSpec or keras.Model, default="efficientnet_lite0"
        As in the estimators.
    weights : None, "imagenet", str or Path, default=None
        None: those at hand, random ones for a network of ``keras.applications``, since neither
        stages nor speed depend on them; nothing is downloaded. Else as in the estimators.
    input_size : tuple of int, default=None
        (height, width) in pixels that the network sees; None: its native size.
    measure : bool, default=True
        Whether to run every stage and take its time: the median of a few runs, each stage
        compiled by Keras' backend by itself, whatever computes frozen parts. It takes seconds, for
        large networks a minute.

    Returns
    -------
    Table of FreezePoint
        An immutable sequence that reads as a table, a row a stage, from the input on.

    Raises
    ------
    ValueError, TypeError
        When the backbone is unknown, or does not take pictures of `input_size`.

    See Also
    --------
    list_backbones : Lists the networks.

    Examples
    --------
    >>> from skltransfer import freeze_points
    >>> freeze_points(measure=False)[-2].layer
    'block6d_add'
    """
    require_sizes("input_size", input_size)
    spec = resolve(backbone, _weights_at_hand(backbone, weights))
    network = network_of(spec, as_ints(input_size or spec.input_size))
    times = accumulate(_stage_times(network)) if measure else [math.nan] * len(network.stages)
    return Table(_rows(network, list(times)))


def _weights_at_hand(backbone: AnyBackbone, weights: Weights) -> Weights:
    """`weights`, or for None those that the network has without a download."""
    return "imagenet" if weights is None and not is_downloaded(backbone) else weights


def _rows(network: Network, times: list[float]) -> Iterator[FreezePoint]:
    graph = network.features
    frozen = 0
    for stage, (start, stop), elapsed in zip(
        network.stages, _bounds(network.stages), times, strict=True
    ):
        owned = _n_parameters(graph, start, stop)
        frozen += owned
        shape = cast(tuple[int, ...], graph.steps[stop].shape)
        size = _BYTES_PER_VALUE * math.prod(shape)
        yield FreezePoint(stage.index + 1, stage.layer, shape, owned, frozen, size, elapsed)


def _bounds(stages: tuple[Stage, ...]) -> list[tuple[int | None, int]]:
    """Last step before each stage (None for the first), and its own last step."""
    stops = [stage.stop for stage in stages]
    return list(zip([None, *stops[:-1]], stops, strict=True))


def _n_parameters(graph: Graph, start: int | None, stop: int) -> int:
    first = 0 if start is None else start + 1
    weights = {id(w): w for step in graph.steps[first : stop + 1] for w in step.weights}
    return sum(math.prod(weight.shape) for weight in weights.values())


def _stage_times(network: Network) -> Iterator[float]:
    """Milliseconds that each stage takes for one image."""
    shape = (*network.input_size, 3)
    picture = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    block = np.repeat(picture[np.newaxis], _ROWS_TIMED, axis=0)
    for start, stop in _bounds(network.stages):
        part = compile_part(_stage_function(network, start, stop), block.shape[1:])
        yield _median_milliseconds(part, block) / len(block)
        block = part(block)


def _stage_function(network: Network, start: int | None, stop: int) -> Callable[[Any], Any]:
    def compute(x: Any) -> Any:
        x = network.preprocess(x) if start is None else x
        return run_steps(network.features, start, [stop], x, network.arrays)[0]

    return compute


def _median_milliseconds(part: Callable[[np.ndarray], Any], block: np.ndarray) -> float:
    part(block)  # the first run pays for what is set up once
    elapsed = []
    for _ in range(_TIMED_RUNS):
        began = time.perf_counter()
        part(block)
        elapsed.append(1e3 * (time.perf_counter() - began))
    return statistics.median(elapsed)
