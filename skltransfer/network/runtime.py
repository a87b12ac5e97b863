"""A backbone built for one input size, shared by every estimator of the process."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from skltransfer._last_used import LastUsed
from skltransfer.backbones.architectures import preprocessing_of
from skltransfer.backbones.building import (
    build_model,
    build_outline,
    compute_in,
)
from skltransfer.backend import constant, kernels
from skltransfer.network.graph import Graph, graph_of
from skltransfer.network.layers import position_of_layer
from skltransfer.network.padding import takes_packing
from skltransfer.network.pooling import check_class_token, n_features
from skltransfer.network.stages import Stage, find_stages

if TYPE_CHECKING:
    from skltransfer.backbones.spec import BackboneSpec
    from skltransfer.inputs._input import Rows, RowSpec, Size

_CAPACITY = 4
_PARTS_CAPACITY = 64  # more than the parts that the candidates of a typical grid use

_Part = TypeVar("_Part")


class Network:
    """The graph of a backbone, the end of its features and its stages.

    Attributes
    ----------
    spec : BackboneSpec
        The specification from which the network was built.
    size : tuple of int
        Size of the rows that the network reads, such as (height, width).
    precision : {"float32", "bfloat16", "float16"}
        Dtype in which layers compute, as in Keras' mixed precision: weights, inputs and outputs are
        float32.
    layer : str or None
        The layer at which features end; None is the last one before the top.
    pooling : str
        How the features become one row.
    graph : Graph
        Every step, including a classification top.
    features : Graph
        The steps up to the end of the features.
    variables : list
        The variables, in the order of the spec's arrays. Their own values are not used, because
        each call passes values for them.
    """

    def __init__(self, spec: BackboneSpec, size: Size, precision: str) -> None:
        self.spec = spec
        self.size = tuple(size)
        self.precision = precision
        self.layer: str | None = None
        self.pooling = spec.input.pooling
        self.graph = self._build()
        self.features = self.graph.until(end_of_features(self.graph))
        self._preprocess = preprocessing_of(spec.preprocessing)
        self._endings: dict[tuple[str, str], Network] = {}
        self._parts: LastUsed[Any] = LastUsed(_PARTS_CAPACITY)
        self.lock = threading.RLock()

    @cached_property
    def arrays(self) -> dict[int, np.ndarray]:
        """The spec's arrays, by ``id`` of their variables."""
        return dict(zip(map(id, self.variables), self.spec.weights, strict=True))

    @cached_property
    def constants(self) -> dict[int, Any]:
        """The spec's arrays, in the form that the backend uses for frozen weights."""
        return {key: constant(array) for key, array in self.arrays.items()}

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The backbone's stages, from its input to the end of its features."""
        return find_stages(self.features, self.spec.stage_pattern)

    @cached_property
    def takes_packs(self) -> bool:
        """Whether rows of different lengths may run in packs, up to the end of the features.

        In a pack, several rows are joined into one.
        """
        return self.packs(self.features, range(len(self.features.steps)), self.pooling)

    def packs(self, graph: Graph, steps: Collection[int], pooling: str) -> bool:
        """Return whether rows of different lengths may run in packs through steps of a graph.

        With other kernels than oneDNN's, packs change bits.
        """
        return (
            kernels() == "onednn"
            and any(tensor.is_ragged for tensor in self.row_spec)
            and self.precision == "float32"
            and self.spec.preprocessing == {"kind": "none"}
            and takes_packing(graph, steps, pooling)
        )

    @property
    def row_spec(self) -> RowSpec:
        """The tensors of a row that the network reads."""
        return self.spec.input.row_spec(self.size)

    @property
    def end(self) -> int:
        """Position of the last step of the features."""
        return len(self.features.steps) - 1

    @property
    def n_features(self) -> int:
        """Width of the features of a row."""
        return n_features(self.features.steps[-1].shape, self.pooling)

    def n_features_of(self, layer: str, pooling: str) -> int:
        """Return the width of a row's features if the network ends at `layer`.

        Raises
        ------
        ValueError
            If there is no such layer, or its output cannot be pooled in this way.
        """
        position = self.position_of(layer)
        if pooling == "cls":
            check_class_token(self.graph, position, self.spec.name)
        return n_features(self.graph.steps[position].shape, pooling)

    def trial_rows(self) -> Rows:
        """Return a few rows of noise, the same in every process."""
        return self.spec.input.trial_rows(self.size)

    def ending_at(self, layer: str | None, pooling: str | None) -> Network:
        """Return the same network with another end of its features or another pooling.

        The two networks share their weights. None means the backbone's own setting.

        Raises
        ------
        ValueError
            If there is no such layer, if the layer makes several tensors, or if its output has no
            class token to pool.
        """
        own_end = self.graph.until(end_of_features(self.graph)).steps[-1].name
        end = layer or own_end
        wanted = end, pooling or self.spec.input.pooling
        if wanted == (self.features.steps[-1].name, self.pooling):
            return self
        with self.lock:
            if wanted not in self._endings:
                self._endings[wanted] = self._made_to_end_at(*wanted)
            return self._endings[wanted]

    def position_of(self, layer: str) -> int:
        """Return the position of a layer in `graph`, or raise an error that lists similar names."""
        return position_of_layer(layer, self.graph, self.spec.name, self.stages)

    def _made_to_end_at(self, layer: str, pooling: str) -> Network:
        self.constants  # noqa: B018  computed now, so that both networks share them
        other = copy.copy(self)
        for name in ("stages", "takes_packs"):  # depend on the end of the features
            other.__dict__.pop(name, None)
        other.layer, other.pooling = layer, pooling
        other.features = self.graph.ancestors_of(self.position_of(layer))
        if pooling == "cls":
            check_class_token(other.features, other.end, self.spec.name)
        other._parts = LastUsed(_PARTS_CAPACITY)
        return other

    def preprocess(self, *tensors: Any) -> Any:
        """Compute the network's input from the tensors of rows, in the dtype that it needs."""
        import keras
        from keras import ops

        x, number_format = self._preprocess(*tensors), self.graph.input.dtype
        given = keras.backend.standardize_dtype(x.dtype)
        if number_format == given:
            return x  # avoids an extra step in Keras models
        is_rounded = "int" in number_format and "float" in given
        return ops.cast(ops.round(x) if is_rounded else x, number_format)

    def part(self, key: Hashable, compile_part: Callable[[], _Part]) -> _Part:
        """Return the compiled part under `key`, made by `compile_part` if it does not exist."""
        with self.lock:
            found: _Part = self._parts.get(key, compile_part)
            return found

    def _build(self) -> Graph:
        model = build_outline(self.spec, self.size)
        if self.precision != "float32":
            compute_in(model, self.precision)
        self.variables = list(model.weights)
        return _graph(model, self.spec, self.size)


class NetworkPool:
    """The most recently used networks; a lock keeps threads from building the same one twice."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self.lock = threading.RLock()
        self._networks: LastUsed[Network] = LastUsed(capacity)

    def get(self, spec: BackboneSpec, size: Size, precision: str = "float32") -> Network:
        """Return the network of `spec` at a size, built on first use."""
        key = (spec.fingerprint, spec.wording, tuple(size), precision)
        with self.lock:
            return self._networks.get(key, lambda: Network(spec, size, precision))


network_of = NetworkPool().get


def in_float32(network: Network) -> Network:
    """Return the same network, entirely in float32."""
    return network_of(network.spec, network.size).ending_at(network.layer, network.pooling)


def feature_graph(spec: BackboneSpec, size: Size, layer: str | None = None) -> Graph:
    """Build a new graph from preprocessed rows to the end of the features, or to `layer`."""
    graph = _graph(build_model(spec, size), spec, size)
    end = end_of_features(graph) if layer is None else graph.position[layer]
    features = graph.ancestors_of(end)
    _name_by_steps(features)
    return features


def _name_by_steps(graph: Graph) -> None:
    """Name the layers of our own model after their steps, because Keras requires unique names.

    Layers of nested models may share names with each other and with the input.
    """
    first_calls = {id(step.operation): step for step in reversed(graph.steps)}
    for step in first_calls.values():
        step.operation.name = step.name
    source = graph.input._keras_history.operation
    while source.name in graph.position:
        source.name += "_"


def _graph(model: Any, spec: BackboneSpec, size: Size) -> Graph:
    others = tuple(model.inputs[0].shape[1 + len(size) :])
    try:
        return graph_of(model, (*size, *others), renumber=spec.is_built_by_code)
    except ValueError as error:
        raise ValueError(
            f"backbone={spec.name!r} does not take {spec.input.name}s of input_size={size}: {error}"
        ) from error


def end_of_features(graph: Graph) -> int:
    """Return the position at which features end, as in a model without its top.

    If the output of the last step is a feature map, this is the last step. If not, it is the last
    bottleneck whose output is a feature map or a sequence of tokens. If no bottleneck has such an
    output, it is the last bottleneck before the last layer with weights.
    """
    last = len(graph.steps) - 1
    if len(graph.steps[last].shape) == 3:
        return last
    maps = _feature_maps(graph)
    if maps:
        return maps[-1]
    holders = [i for i, step in enumerate(graph.steps) if step.weights]
    before_top = [i for i in graph.bottlenecks if holders and i < holders[-1]]
    return before_top[-1] if len(holders) > 1 and before_top else last


def _feature_maps(graph: Graph) -> list[int]:
    """Return bottlenecks that are maps (h, w, c) or sequences (tokens, c), but not pooled features.

    A map with a single position is included, unless it is the result of pooling.
    """
    found, is_pooled = [], False
    for index in graph.bottlenecks:
        step = graph.steps[index]
        has_one = all(side == 1 for side in step.shape[:-1])
        is_pooled = is_pooled or (has_one and "Pool" in type(step.operation).__name__)
        if len(step.shape) > 1 and not (has_one and is_pooled):
            found.append(index)
    return found
