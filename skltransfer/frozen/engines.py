"""Who computes the frozen part: rows of numbers in, rows of numbers out.

Every part runs on blocks of a few rows, or row by row where that would change the bits of a row,
so that neither the number of rows nor their order shows in the result.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skltransfer.backend import backend_name, compile_function, kernels, processor, versions
from skltransfer.frozen.openvino import Piece, RowByRow, installed_version
from skltransfer.network.batch_invariance import Blocks, in_blocks, most_block_rows, trial_rows
from skltransfer.network.execution import run_steps
from skltransfer.network.graph import Graph
from skltransfer.network.runtime import Network, in_float32


@dataclass(frozen=True)
class FrozenPart:
    """A compiled, frozen piece of a network.

    Attributes
    ----------
    blocks : Blocks or RowByRow
        From float32 rows (n, *`input_shape`) to rows (n, *`output_shape`), and to what passes on
        the way.
    input_shape, output_shape : tuple of int
        Shapes of one row.
    """

    blocks: Blocks | RowByRow
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Compute any number of rows."""
        return self.blocks(rows)[0]


def outputs_of(network: Network, layers: tuple[str, ...]) -> tuple[Graph, list[int]]:
    """The graph and the steps in it that make the outputs of `layers`.

    Raises
    ------
    ValueError
        When the network has no layer of a name, and the message tells similar names; when a layer
        makes several tensors.
    """
    if not layers:
        return network.features, [len(network.features.steps) - 1]
    for name in layers:
        if name not in network.graph.position:
            raise ValueError(_unknown_layer(name, network))
        if len(network.graph.steps[network.graph.position[name]].outputs) > 1:
            raise ValueError(
                f"layer={name!r} of backbone={network.spec.name!r} makes several tensors, and "
                "features are of one. Name the layers that read them."
            )
    return network.graph, [network.graph.position[name] for name in layers]


def _unknown_layer(name: str, network: Network) -> str:
    close = difflib.get_close_matches(name, network.graph.position, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    stages = ", ".join(repr(stage.layer) for stage in network.stages)
    return (
        f"layer={name!r} is no layer of backbone={network.spec.name!r}.{hint} Its stages end at "
        f"{stages}; freeze_points() shows them."
    )


def feature_part(
    network: Network, layers: tuple[str, ...], pooling: str, engine: str
) -> FrozenPart:
    """From pixels to the pooled outputs of `layers`, side by side."""
    key = ("features", layers, pooling, engine)
    shape = (*network.input_size, 3)
    if engine == "openvino":
        compute = feature_function(in_float32(network), layers, pooling)
        return network.part(key, lambda: chained([Piece(compute, shape, network.precision)], shape))
    compute = feature_function(network, layers, pooling)
    return network.part(key, lambda: compile_part(compute, shape))


def feature_function(network: Network, layers: tuple[str, ...], pooling: str) -> Callable:
    """What `feature_part` compiles: a function from a tensor of pixels to one of features.

    Without `layers` the features' end is pooled.
    """
    from skltransfer.network.pooling import pooled

    graph, stops = outputs_of(network, layers)

    def compute(pixels):
        pixels = network.preprocess(pixels)
        return pooled(run_steps(graph, None, stops, pixels, network.constants), pooling)

    return compute


def chained(
    pieces: Sequence[Piece],
    input_shape: tuple[int, ...],
    whole: Callable[[], Piece] | None = None,
) -> FrozenPart:
    """Pieces compiled by OpenVINO, one behind the other, from rows of `input_shape` on."""
    rows = RowByRow(pieces, whole)
    return FrozenPart(rows, tuple(input_shape), rows.shapes[0][1:])


def engine_facts(engine: str) -> dict[str, Any]:
    """What the bits of a frozen part's output depend on beside the network and its input."""
    facts = {
        "engine": engine,
        "backend": backend_name(),
        "versions": versions(),
        "processor": processor(),
    }
    if engine == "openvino":
        return {**facts, "openvino": installed_version()}
    return {**facts, "kernels": kernels(), "block_rows": most_block_rows()}


def compile_part(
    compute: Callable, input_shape: tuple[int, ...], n_rows: int | None = None
) -> FrozenPart:
    """Have the backend compile a function of one float32 tensor of rows of `input_shape`.

    It gives a tensor, or a tuple of it and of what passes on the way. Without `n_rows` it is tried
    how many rows may run together.
    """
    function = compile_function(compute, [(None, *input_shape)])
    if n_rows is None:
        blocks = in_blocks(function, most_block_rows(), (), trial_rows(input_shape, 0.0, 255.0))
    else:
        blocks = Blocks(function, n_rows)
    return FrozenPart(blocks, tuple(input_shape), function.shapes[0][1:])
