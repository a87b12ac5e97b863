"""A built backbone at one input size, shared by every estimator of the process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from skltransfer.backbones.building import (
    build_model,
    build_outline,
    compute_in,
    preprocessing_function,
)
from skltransfer.backbones.spec import BackboneSpec
from skltransfer.backend import constant
from skltransfer.network.graph import Graph, graph_of
from skltransfer.network.stages import Stage, find_stages

_CAPACITY = 4
_PARTS_CAPACITY = 64  # more than the candidates of a usual grid, which come round in turn


class Network:
    """The graph of a backbone, the end of its features and its stages.

    Attributes
    ----------
    spec : BackboneSpec
        What was built.
    input_size : tuple of int
        (height, width) of the pictures.
    precision : {"float32", "bfloat16", "float16"}
        Number format in which layers compute, as Keras' mixed precision has it: weights, what
        comes in and what comes out are float32.
    graph : Graph
        Every step, a classification top included.
    features : Graph
        The steps up to the end of the features.
    variables : list
        The variables in the order of the spec's arrays, from which values are handed in: their own
        mean nothing.
    parts : dict
        Compiled pieces, by what they compute; see ``engines``.
    """

    def __init__(self, spec: BackboneSpec, input_size: tuple[int, int], precision: str):
        self.spec = spec
        self.input_size = tuple(input_size)
        self.precision = precision
        self.graph = self._build()
        self.features = self.graph.until(end_of_features(self.graph))
        self._preprocess = preprocessing_function(spec)
        self.parts: OrderedDict = OrderedDict()
        self.lock = threading.RLock()

    @cached_property
    def arrays(self) -> dict[int, np.ndarray]:
        """The spec's arrays by the ``id`` of their variables."""
        return dict(zip(map(id, self.variables), self.spec.weights, strict=True))

    @cached_property
    def constants(self) -> dict[int, Any]:
        """The same as the backend takes them for what is frozen."""
        return {key: constant(array) for key, array in self.arrays.items()}

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The backbone's stages, from its input to the end of its features."""
        return find_stages(self.features, self.spec.stage_pattern)

    def preprocess(self, pixels: Any) -> Any:
        """Make the network's input of float32 pixels from 0 to 255, in its own number format."""
        from keras import ops

        x, number_format = self._preprocess(pixels), self.graph.input.dtype
        if number_format == "float32":
            return x  # without a step more in Keras models
        return ops.cast(ops.round(x) if "int" in number_format else x, number_format)

    def part(self, key, compile_part: Callable):
        """The compiled piece under `key`, made by `compile_part` when it is not there."""
        with self.lock:
            if key not in self.parts:
                self.parts[key] = compile_part()
            self.parts.move_to_end(key)
            while len(self.parts) > _PARTS_CAPACITY:
                self.parts.popitem(last=False)
            return self.parts[key]

    def _build(self) -> Graph:
        model = build_outline(self.spec, self.input_size)
        if self.precision != "float32":
            compute_in(model, self.precision)
        self.variables = list(model.weights)
        return _graph(model, self.spec, self.input_size)


class NetworkPool:
    """The networks last used; a lock makes threads share one build."""

    def __init__(self, capacity: int = _CAPACITY):
        self.capacity = capacity
        self.lock = threading.RLock()
        self.networks: OrderedDict[tuple, Network] = OrderedDict()

    def get(
        self, spec: BackboneSpec, input_size: tuple[int, int], precision: str = "float32"
    ) -> Network:
        """The network of `spec` at `input_size`, built on first use."""
        key = (spec.fingerprint, spec.wording, tuple(input_size), precision)
        with self.lock:
            if key not in self.networks:
                self.networks[key] = Network(spec, input_size, precision)
            self.networks.move_to_end(key)
            while len(self.networks) > self.capacity:
                self.networks.popitem(last=False)
            return self.networks[key]


network_of = NetworkPool().get


def in_float32(network: Network) -> Network:
    """The same network, all of it in float32."""
    return network_of(network.spec, network.input_size)


def feature_model(spec: BackboneSpec, input_size: tuple[int, int]):
    """Keras model of its own from preprocessed pictures to the end of the features."""
    import keras

    graph = _graph(build_model(spec, input_size), spec, input_size)
    features = graph.until(end_of_features(graph))
    _name_by_steps(features)
    return keras.Model(features.input, features.output, name="backbone")


def _name_by_steps(graph: Graph) -> None:
    """Name the layers of a model of our own as their steps: Keras wants each name once.

    The layers of nested models may share names, and any of them that of the input.
    """
    first_calls = {id(step.operation): step for step in reversed(graph.steps)}
    for step in first_calls.values():
        step.operation.name = step.name
    source = graph.input._keras_history.operation
    while source.name in graph.position:
        source.name += "_"


def _graph(model, spec: BackboneSpec, input_size: tuple[int, int]) -> Graph:
    channels = model.inputs[0].shape[-1]
    try:
        return graph_of(model, (*input_size, channels), renumber=spec.is_built_by_code)
    except ValueError as error:
        raise ValueError(
            f"backbone={spec.name!r} does not take pictures of input_size={input_size}: {error}"
        ) from error


def end_of_features(graph: Graph) -> int:
    """Position of the last feature map: what is left of a model without its top.

    The last step if it makes a feature map, else the last feature map or sequence of tokens that
    all later steps read, else (a network without any) the input of the last layer with weights.
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
    """Bottlenecks that are maps (h, w, c) or sequences (tokens, c), and no pooled features.

    A map of one position is one as long as none was pooled to it.
    """
    found, is_pooled = [], False
    for index in graph.bottlenecks:
        step = graph.steps[index]
        has_one = all(side == 1 for side in step.shape[:-1])
        is_pooled = is_pooled or (has_one and "Pool" in type(step.operation).__name__)
        if len(step.shape) > 1 and not (has_one and is_pooled):
            found.append(index)
    return found
