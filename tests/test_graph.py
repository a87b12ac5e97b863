"""A Keras model as a graph: its steps, their names, and where one tensor passes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from skltransfer.backbones.functional_models import has_graph
from skltransfer.backend import as_array
from skltransfer.network.execution import run_steps
from skltransfer.network.graph import graph_of

RNG = np.random.default_rng(0)


def residual_model():
    """Unnamed layers and operations: two convolutions, a sum, a pooling."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    stem = layers.ReLU()(x)
    x = layers.Conv2D(4, 3, padding="same")(stem)
    x = ops.relu(x + stem)
    return keras.Model(inputs, layers.MaxPooling2D()(x))


RESIDUAL_NAMES = [
    *("conv2d", "batch_normalization", "re_lu", "conv2d_1", "add", "relu", "max_pooling2d"),
]


def block(channels, name):
    """Build a nested functional model whose layers have the same names in every copy."""
    inputs = keras.Input((None, None, channels))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, layers.ReLU(name="relu")(x), name=name)


def nested_model():
    """A functional model with a functional block, a sequential one and one that is used twice."""
    inputs = keras.Input((8, 8, 3))
    twice = block(4, "twice")
    x = block(3, "first")(inputs)
    second = [layers.Conv2D(4, 1, name="conv"), layers.ELU(name="elu")]
    x = keras.Sequential(second, name="second")(x)
    return keras.Model(inputs, twice(twice(x)))


def sequential_model():
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Dropout(0.5), layers.ReLU()]
    )


class OpaqueModel(keras.Model):
    """Python code of its own, so a single step."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs) + 1.0


class ChangedModel(keras.Model):
    """Built from a graph, but its call is not that graph."""

    def call(self, inputs):
        return super().call(inputs) + 1.0


class TrainedOtherwise(keras.Model):
    """A graph with a training step of its own, which changes nothing here."""

    def train_step(self, data):
        return {}


def names(graph):
    return [step.name for step in graph.steps]


def computed(graph, x):
    return as_array(run_steps(graph, None, [len(graph.steps) - 1], x)[0])


@pytest.mark.parametrize("build", [residual_model, nested_model, sequential_model])
def test_steps_compute_what_the_model_computes(build):
    model = build()
    x = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    expected = as_array(model(x, training=False))
    found = computed(graph_of(model), x)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_names_are_those_of_the_model():
    for _ in range(2):
        layers.Conv2D(1, 1)(keras.Input((8, 8, 3))) + 1.0
        model = residual_model()
        assert set(names(graph_of(model))) == {made.name for made in model.operations[1:]}


def test_renumbered_names_are_those_of_a_fresh_process():
    for _ in range(3):
        layers.Conv2D(1, 1)(keras.Input((8, 8, 3))) + 1.0
        assert names(graph_of(residual_model(), renumber=True)) == RESIDUAL_NAMES


def test_renumbered_names_are_what_keras_gives_in_a_fresh_process(in_fresh_process):
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from test_graph import residual_model
print(*[operation.name for operation in residual_model().operations[1:]])
"""
    output, _ = in_fresh_process(script, Path(__file__).parent)
    assert sorted(output.split()) == sorted(RESIDUAL_NAMES)


def test_a_name_means_one_step_in_nested_models_too():
    graph = graph_of(nested_model())
    assert names(graph) == [
        *("conv", "relu", "conv_1", "elu", "conv_2", "relu_1", "conv_2_call2", "relu_1_call2"),
    ]
    assert len({id(step.operation) for step in graph.steps}) == 6
    assert [graph.position[name] for name in names(graph)] == list(range(8))


def test_names_stay_in_a_part_of_the_graph():
    inputs = keras.Input((8, 8, 3))
    made_first = layers.Conv2D(2, 1)
    features = layers.Conv2D(4, 1)(inputs)
    graph = graph_of(keras.Model(inputs, made_first(features)), renumber=True)
    assert names(graph) == ["conv2d_1", "conv2d"]
    assert names(graph.until(0)) == ["conv2d_1"]
    assert graph.until(0).output is graph.steps[0].output


def test_bottlenecks_are_where_one_tensor_passes():
    graph = graph_of(residual_model(), renumber=True)
    found = [graph.steps[index].name for index in graph.bottlenecks]
    assert found == [name for name in RESIDUAL_NAMES if name != "conv2d_1"]


def test_a_second_reader_of_the_input_hides_bottlenecks():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    graph = graph_of(keras.Model(inputs, layers.Add(name="sum")([x, inputs])))
    assert [graph.steps[index].name for index in graph.bottlenecks] == ["sum"]


def test_a_step_with_several_outputs_is_no_bottleneck():
    inputs = keras.Input((8, 8, 4))
    left, right = ops.split(layers.Conv2D(4, 1, name="conv")(inputs), 2, axis=-1)
    graph = graph_of(keras.Model(inputs, layers.Add(name="sum")([left, right])))
    assert [graph.steps[index].name for index in graph.bottlenecks] == ["conv", "sum"]


def test_producers_and_consumers_are_the_same_edges():
    graph = graph_of(nested_model())
    there = {(i, j) for j, before in enumerate(graph.producers) for i in before}
    back = {(i, j) for i, behind in enumerate(graph.consumers) for j in behind}
    assert there == back and len(there) == len(graph.steps) - 1


def test_another_input_shape():
    graph = graph_of(residual_model(), (12, 16, 3), renumber=True)
    assert graph.steps[-1].shape == (6, 8, 4)
    assert names(graph) == RESIDUAL_NAMES
    with pytest.raises(ValueError, match="expected axis -1"):
        graph_of(residual_model(), (8, 8, 1))


@contextmanager
def recursion_limit(limit):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def test_a_network_deeper_than_the_stack():
    x = inputs = keras.Input((2, 2, 3))
    for _ in range(500):
        x = ops.relu(x)
    with recursion_limit(10_000):
        model = keras.Model(inputs, keras.Model(inputs, x)(inputs))
    with recursion_limit(400):
        graph = graph_of(model, renumber=True)
    assert len(graph.steps) == 500 and graph.steps[-1].name == "relu_499"


def test_a_model_with_code_of_its_own_is_one_step():
    inputs = keras.Input((8, 8, 3))
    graph = graph_of(keras.Model(inputs, OpaqueModel()(inputs)))
    assert names(graph) == ["opaque_model"]
    assert len(graph.steps[0].weights) == 2


def test_only_a_model_that_is_called_as_its_graph_has_one():
    inputs = keras.Input((8, 8, 3))
    outputs = layers.ReLU()(inputs)
    assert has_graph(TrainedOtherwise(inputs, outputs))
    assert not has_graph(ChangedModel(inputs, outputs))
    assert not has_graph(layers.ReLU())


@pytest.mark.parametrize(
    "build",
    [
        OpaqueModel,
        lambda: keras.Sequential([layers.ReLU()]),
        lambda: ChangedModel(*[keras.Input((8, 8, 3))] * 2),
    ],
)
def test_a_model_without_a_graph_is_refused(build):
    with pytest.raises(
        ValueError, match="cannot be divided into frozen and trained layers. Build it with keras"
    ):
        graph_of(build())


def test_several_inputs_or_outputs_are_refused():
    left, right = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="'pair' has 2 inputs and 1 outputs"):
        graph_of(keras.Model([left, right], layers.Add()([left, right]), name="pair"))
    both = [layers.ReLU()(left), layers.ELU()(left)]
    with pytest.raises(ValueError, match="'fork' has 1 inputs and 2 outputs"):
        graph_of(keras.Model(left, both, name="fork"))


def test_a_model_must_end_in_one_tensor_of_a_layer():
    inputs = keras.Input((8, 8, 4))
    with pytest.raises(ValueError, match="'same' does not end in a layer with one output"):
        graph_of(keras.Model(inputs, inputs, name="same"))
    _, right = ops.split(inputs, 2, axis=-1)
    with pytest.raises(ValueError, match="'right' does not end in a layer with one output"):
        graph_of(keras.Model(inputs, right, name="right"))
