"""Pooled outputs of arbitrary layers of a network, computed from rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skltransfer.frozen.engines import FrozenPart, chained, compile_part
from skltransfer.frozen.openvino import CompiledSegment
from skltransfer.network.execution import run_steps
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network, in_float32


def feature_part(
    network: Network, layers: tuple[str, ...], pooling: str, engine: str
) -> FrozenPart:
    """Return the part from rows to the concatenated pooled outputs of `layers`."""
    key = ("features", layers, pooling, engine)
    spec = network.row_spec
    if engine == "openvino":
        compute = feature_function(in_float32(network), layers, pooling)
        return network.part(
            key, lambda: chained([CompiledSegment(compute, spec, network.precision)], spec)
        )
    compute = feature_function(network, layers, pooling)
    return network.part(key, lambda: compile_part(compute, spec, trial=network.trial_rows()))


def feature_function(
    network: Network, layers: tuple[str, ...] = (), pooling: str | None = None
) -> Callable[..., Any]:
    """Return the function that `feature_part` compiles: from a row's tensors to its features.

    Without `layers`, the end of the features is pooled.
    """
    graph = network.graph if layers else network.features
    steps = [network.position_of(name) for name in layers] or [network.end]

    def compute(*tensors: Any) -> Any:
        x = network.preprocess(*tensors)
        outputs = run_steps(graph, None, steps, x, network.constants)
        return pooled(outputs, pooling or network.pooling)

    return compute
