"""Pooled outputs of arbitrary layers of a network, computed from rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skltransfer.frozen.engines import FrozenPart, chained, compile_part
from skltransfer.frozen.openvino import CompiledSegment
from skltransfer.network.execution import needed_steps, run_steps
from skltransfer.network.packed_rows import PackedRows
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network, in_float32


def feature_part(
    network: Network, layers: tuple[str, ...], pooling: str, engine: str
) -> FrozenPart:
    """Return the compiled part that computes the concatenated pooled outputs of `layers`."""
    key = ("features", layers, pooling, engine)
    compile_features = _compile_by_openvino if engine == "openvino" else _compile
    return network.part(key, lambda: compile_features(network, layers, pooling))


def _compile(network: Network, layers: tuple[str, ...], pooling: str) -> FrozenPart:
    compute, spec = feature_function(network, layers, pooling), network.row_spec
    is_ragged = any(tensor.is_ragged for tensor in spec)
    is_tried = not is_ragged or _takes_packs(network, layers, pooling)
    return compile_part(compute, spec, trial=network.trial_rows() if is_tried else None)


def _compile_by_openvino(network: Network, layers: tuple[str, ...], pooling: str) -> FrozenPart:
    exact, spec = in_float32(network), network.row_spec
    compute = feature_function(exact, layers, pooling, exact.arrays)
    in_packs = _takes_packs(network, layers, pooling)
    segment = CompiledSegment(
        lambda x, lengths=None: compute(x, lengths=lengths), spec, network.precision, in_packs
    )
    return chained([segment], spec, trial=network.trial_rows() if in_packs else None)


def _takes_packs(network: Network, layers: tuple[str, ...], pooling: str) -> bool:
    steps = needed_steps(network.graph, None, tuple(map(network.position_of, layers)))
    return network.packs(network.graph, steps, pooling)


def feature_function(
    network: Network,
    layers: tuple[str, ...] = (),
    pooling: str | None = None,
    weights: Mapping[int, Any] | None = None,
) -> Callable[..., Any]:
    """Return the function that `feature_part` compiles.

    It takes a row's tensors, and returns its features. Without `layers`, these are the pooled
    output of the last layer of the backbone's features. Without `weights`, the network's constants
    are used.
    """
    graph = network.graph if layers else network.features
    steps = [network.position_of(name) for name in layers] or [network.end]

    def compute(*tensors: Any, lengths: Any = None) -> Any:
        x = network.preprocess(*tensors)
        pack = None if lengths is None else PackedRows.of(x, lengths)
        values = network.constants if weights is None else weights
        outputs = run_steps(graph, None, steps, x, values, lengths=pack)
        return pooled(outputs, pooling or network.pooling, pack)

    return compute
