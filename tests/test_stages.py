"""Where networks are cut: law 2, the stages of every architecture, and `freeze_depth`."""

from __future__ import annotations

import gc

import keras
import numpy as np
import pytest
from keras import layers, ops

from conftest import make_tiny_model
from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.architectures import architecture_of
from skltransfer.backbones.building import build_model
from skltransfer.backbones.efficientnet_lite import LITE2, build_efficientnet_lite
from skltransfer.backbones.registry import resolve
from skltransfer.backend import as_array, backend_name, outlined
from skltransfer.network.execution import run_steps
from skltransfer.network.freeze_points import possible_freeze_points
from skltransfer.network.graph import graph_of
from skltransfer.network.runtime import network_of
from skltransfer.network.stages import find_stages, resolve_freeze_depth

RNG = np.random.default_rng(0)
LITE0_ENDS = [
    *("stem_activation", "block1a_project_bn", "block2b_add", "block3b_add", "block4c_add"),
    *("block5c_add", "block6d_add", "top_activation"),
]


def pixels(model, side=None):
    height, width, channels = model.inputs[0].shape[1:]
    return RNG.uniform(-1, 1, (2, side or height, side or width, channels)).astype(np.float32)


def assert_close(found, expected):
    expected = as_array(expected)
    assert np.abs(as_array(found) - expected).max() <= 1e-5 * np.abs(expected).max()


def ends(model, stage_pattern=None):
    """Names of the last layers of a model's stages."""
    return [stage.layer for stage in find_stages(graph_of(model, renumber=True), stage_pattern)]


def assert_law_2(model, cuts):
    graph = graph_of(model)
    last = len(graph.steps) - 1
    x = pixels(model)
    expected = model(x, training=False)
    prefixes = run_steps(graph, None, list(cuts), x)
    for cut, prefix in zip(cuts, prefixes, strict=True):
        (suffix,) = run_steps(graph, cut, [last], prefix)
        assert_close(suffix, expected)


# Small models -----------------------------------------------------------------------------------


def normalised(x, filters, stride=1, activation=True):
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if activation else x


def residual_model():
    """A stem, two residual blocks with identity and projection shortcuts, a sum at the end."""
    inputs = keras.Input((16, 16, 3))
    x = stem = normalised(inputs, 4)
    x = normalised(normalised(x, 4), 4, activation=False)
    x = down = layers.ReLU(name="first")(layers.Add()([stem, x]))
    x = normalised(normalised(x, 8, stride=2), 8, activation=False)
    x = layers.Add()([layers.Conv2D(8, 1, strides=2)(down), x])
    return keras.Model(inputs, layers.ReLU(name="second")(x))


def preactivated_model():
    """Residual blocks that begin with their normalisation; their sums stay linear."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    for index, stride in enumerate((1, 2)):
        before = layers.ReLU(name=f"before{index}")(layers.BatchNormalization()(x))
        shortcut = layers.Conv2D(4, 1, strides=stride)(before)
        x = normalised(before, 4, stride)
        x = layers.Add(name=f"sum{index}")([layers.Conv2D(4, 1)(x), shortcut])
    x = layers.ReLU(name="after")(layers.BatchNormalization()(x))
    return keras.Model(inputs, x)


def sequential_model():
    """The textbook's network: activations inside the convolutions, poolings between them."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Rescaling(2.0),
            layers.Conv2D(4, 3, activation="relu", name="one"),
            layers.Conv2D(4, 3, activation="relu", name="two"),
            layers.MaxPooling2D(name="pool"),
            layers.Dropout(0.5),
            layers.Conv2D(8, 3, activation="relu", name="three"),
        ]
    )


def nested_model():
    """A transfer learner's network: a base in a base, a pooling and a classifier behind it."""
    inputs = keras.Input((16, 16, 3))
    inner = keras.Input((16, 16, 3))
    base = keras.Model(inner, normalised(normalised(inner, 4), 8, stride=2), name="base")
    x = normalised(base(layers.Rescaling(0.5)(inputs), training=False), 8, stride=2)
    return keras.Model(inputs, x)


def gated_model():
    """Squeeze-and-excite, and a swish that is spelled out."""
    inputs = keras.Input((16, 16, 3))
    x = normalised(inputs, 4)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    x = layers.Multiply(name="excited")([x, gate])
    x = normalised(x, 8, stride=2, activation=False)
    return keras.Model(inputs, layers.Multiply(name="swish")([x, ops.sigmoid(x)]))


def branched_model():
    """Two modules of parallel branches that are put side by side."""
    x = inputs = keras.Input((16, 16, 3))
    for index, stride in enumerate((1, 2)):
        left = normalised(x, 4, stride)
        right = normalised(layers.AveragePooling2D(3, stride, padding="same")(x), 4)
        x = layers.Concatenate(name=f"module{index}")([left, right])
    return keras.Model(inputs, x)


@keras.saving.register_keras_serializable("test_stages")
class Halving(layers.Layer):
    """A block of a user's own: convolution and activation in one layer."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.convolution = layers.Conv2D(4, 3, strides=2, padding="same")

    def build(self, shape):
        self.convolution.build(shape)

    def call(self, inputs):
        return ops.relu(self.convolution(inputs))

    def compute_output_shape(self, shape):
        return self.convolution.compute_output_shape(shape)


def own_layers_model():
    return keras.Sequential(
        [keras.Input((16, 16, 3)), Halving(name="a"), Halving(name="b"), Halving(name="c")]
    )


SMALL = {
    make_tiny_model: ["block", "top"],
    residual_model: ["first", "second"],
    preactivated_model: ["sum0", "after"],
    sequential_model: ["pool", "three"],
    nested_model: ["re_lu", "re_lu_1", "re_lu_2"],
    gated_model: ["excited", "swish"],
    branched_model: ["module0", "module1"],
    own_layers_model: ["a", "b", "c"],
}


@pytest.mark.parametrize("build", SMALL)
def test_stages_are_stretches_between_two_halvings(build):
    assert ends(build()) == SMALL[build]


@pytest.mark.parametrize("build", SMALL)
def test_law_2_suffix_of_prefix_is_the_model_at_every_cut(build):
    model = build()
    assert_law_2(model, graph_of(model).bottlenecks)


@pytest.mark.parametrize("build", SMALL)
def test_a_cut_leaves_nothing_to_finish(build):
    graph = graph_of(build())
    allowed = [graph.steps[cut].name for cut in possible_freeze_points(graph)]
    kinds = ("conv", "batch_norm", "dropout", "rescaling", "sigmoid", "stem_", "average_pooling")
    assert not [name for name in allowed if name.startswith(kinds)]


def test_an_activation_behind_a_linear_bottleneck_is_waited_for():
    inputs = keras.Input((16, 16, 3))
    narrow = normalised(inputs, 4, activation=False)
    model = keras.Model(inputs, normalised(normalised(narrow, 8), 4, 2))
    assert ends(model) == ["batch_normalization", "re_lu_1"]
    with_activation = keras.Model(inputs, normalised(layers.ReLU(name="end")(narrow), 4, 2))
    assert ends(with_activation)[0] == "end"


def test_a_model_that_learns_nothing_before_its_end_is_one_stage():
    inputs = keras.Input((16, 16, 3))
    x = layers.MaxPooling2D()(layers.Rescaling(1.0)(inputs))
    assert ends(keras.Model(inputs, layers.Conv2D(2, 1, name="only")(x))) == ["only"]
    assert ends(keras.Model(inputs, layers.MaxPooling2D(name="none")(x))) == ["none"]


# Architectures ----------------------------------------------------------------------------------


def test_lite0_is_its_stem_and_seven_groups_of_blocks():
    assert [stage.layer for stage in lite0().stages] == LITE0_ENDS
    assert [stage.index for stage in lite0().stages] == list(range(8))


def test_law_2_at_every_cut_of_the_bundled_network():
    model = build_model(resolve("efficientnet_lite0"), (32, 32))
    assert_law_2(model, possible_freeze_points(graph_of(model)))


def test_lite2_has_the_stages_of_lite0_and_law_2_holds_at_every_cut():
    model = build_efficientnet_lite((32, 32, 3), LITE2)
    assert_law_2(model, possible_freeze_points(graph_of(model)))
    pattern = architecture_of({"kind": "bundled"}).stage_pattern({"name": LITE2})
    assert ends(model, pattern) == [
        *("stem_activation", "block1a_project_bn", "block2c_add", "block3c_add", "block4d_add"),
        *("block5d_add", "block6e_add", "top_activation"),
    ]


NUMBER_OF_STAGES = {
    "ConvNeXt": 5,  # the patches' stem, then four stages
    "DenseNet": 5,  # the stem, then four dense blocks
    "EfficientNetB": 8,  # the stem, then seven groups
    "EfficientNetV2B": 7,  # the stem, then six groups
    "EfficientNetV2S": 7,
    "EfficientNetV2M": 8,
    "EfficientNetV2L": 8,
    "InceptionV3": 5,
    "InceptionResNetV2": 5,
    "MobileNet": 5,
    "MobileNetV2": 8,  # the stem, then seven groups
    "MobileNetV3Large": 7,  # the stem, then the six widths of blocks
    "MobileNetV3Small": 6,
    "NASNet": 2,  # the stem; every cell reads the two before it, so no more tensor passes alone
    "ResNet": 5,
    "VGG": 5,
    "Xception": 5,
}
SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
SMALLEST_OF_THEIR_KIND = [  # the others have more of the same blocks
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "EfficientNetV2S"),
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small"),
    *("MobileNetV3Large", "NASNetMobile", "ResNet50", "ResNet50V2", "VGG16", "Xception"),
]
FINISHED = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.Activation,
    layers.ReLU,
    layers.Add,
)


def assert_partition(graph, stages):
    """Stages follow each other to the end, each with weights to learn."""
    assert [stage.index for stage in stages] == list(range(len(stages)))
    assert [graph.steps[stage.stop].name for stage in stages] == [s.layer for s in stages]
    assert stages[-1].stop == len(graph.steps) - 1
    start = 0
    for stage in stages:
        steps = graph.steps[start : stage.stop + 1]
        assert any(getattr(step.operation, "trainable_weights", ()) for step in steps), stage
        start = stage.stop + 1


def assert_nothing_crosses(graph, stages):
    """Behind a stage, only the tensor at its end is read: no residual block is split."""
    for stage in stages:
        crossing = {
            before
            for behind in range(stage.stop + 1, len(graph.steps))
            for before in graph.producers[behind]
            if before <= stage.stop
        }
        assert crossing <= {stage.stop}, stage


def is_finished(graph, index):
    """Whether a step is a normalisation, activation or sum, or only pools or joins such."""
    operation = graph.steps[index].operation
    activation = getattr(operation, "activation", None)
    if isinstance(operation, FINISHED) or type(operation).__name__ in ("Add", "CustomScaleLayer"):
        return True
    if isinstance(operation, layers.Conv2D):
        return activation is not None and activation.__name__ != "linear"
    assert isinstance(operation, layers.MaxPooling2D | layers.Concatenate | layers.ZeroPadding2D)
    return all(is_finished(graph, before) for before in graph.producers[index])


def assert_segments_compose(model, graph, stages, side):
    """Law 2 at every stage: pieces that read one another's ends alone make the whole model."""
    x = pixels(model, side)
    expected = model(x, training=False)
    start = None
    for stage in stages:
        (x,) = run_steps(graph, start, [stage.stop], x)
        start = stage.stop
    assert_close(x, expected)


def calm(model):
    """Tame random weights: the deepest nets turn a rounding into another output."""
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(0.5 * weight)


def build(name):
    side = SMALLEST.get(name, 32)
    with applications.seeded_python_random(0):
        return applications.build(name, (side, side, 3))


def skip_what_keras_does_not_build(name):
    if name == "NASNetMobile" and backend_name() == "torch":
        pytest.skip("Keras does not build it with PyTorch")


@pytest.mark.slow
@pytest.mark.parametrize("name", applications.facts())
def test_stages_of_every_architecture_of_keras_and_law_2_of_every_kind(name):
    """One build serves both: of most architectures without values, which law 2 needs."""
    skip_what_keras_does_not_build(name)
    has_values = name in SMALLEST_OF_THEIR_KIND
    model = build(name) if has_values else outlined(lambda: build(name))
    graph = graph_of(model)
    stages = find_stages(graph, applications.stage_pattern(name))
    family = max((known for known in NUMBER_OF_STAGES if name.startswith(known)), key=len)
    assert len(stages) == NUMBER_OF_STAGES[family]
    assert_partition(graph, stages)
    assert_nothing_crosses(graph, stages)
    assert all(is_finished(graph, stage.stop) for stage in stages)
    if has_values:
        calm(model)
        assert_segments_compose(model, graph, stages, SMALLEST.get(name, 32))
        del model, graph
        gc.collect()  # the layers are cycles, which hold the values


def test_the_smallest_of_their_kind_are_among_the_architectures():
    assert {*SMALLEST_OF_THEIR_KIND} <= {*applications.facts()}


# freeze_depth -----------------------------------------------------------------------------------


def lite0():
    return network_of(resolve("efficientnet_lite0"), (32, 32))


def cut_name(depth):
    """Name of the last frozen layer."""
    network = lite0()
    cut = resolve_freeze_depth(depth, network.features, network.stages)
    return None if cut is None else network.features.steps[cut].name


@pytest.mark.parametrize("count", range(9))
def test_an_int_freezes_the_first_stages_and_a_negative_one_leaves_the_last(count):
    expected = LITE0_ENDS[count - 1] if count else None
    assert cut_name(count) == cut_name(np.int64(count)) == expected
    if count < 8:
        assert cut_name(count - 8) == expected


def test_all_freezes_everything():
    assert cut_name("all") == cut_name(8) == "top_activation"


def test_a_name_freezes_up_to_that_layer():
    assert cut_name("block5b_add") == "block5b_add"
    assert cut_name("top_conv") == "top_conv"


@pytest.mark.parametrize("fraction", [1e-9, 0.02, 0.1, 0.37, 0.5, 0.9, 1 - 1e-9, np.float32(0.5)])
def test_a_fraction_freezes_so_many_layers_with_weights_down_to_the_nearest_cut(fraction):
    network = lite0()
    graph = network.features
    cut = resolve_freeze_depth(fraction, graph, network.stages)
    holders = [i for i, step in enumerate(graph.steps) if step.weights]
    fits = [
        c for c in possible_freeze_points(graph) if sum(i <= c for i in holders) <= fraction * 98
    ]
    assert len(holders) == 98
    assert cut == max(fits, default=None)


def test_fractions_grow_with_the_network_frozen():
    network = lite0()
    cuts = [
        resolve_freeze_depth(fraction, network.features, network.stages)
        for fraction in np.linspace(0.01, 0.99, 50)
    ]
    assert cuts[0] is None and cuts[-1] is not None
    positions = [-1 if cut is None else cut for cut in cuts]
    assert positions == sorted(positions) and len(set(positions)) > 10


@pytest.mark.parametrize(
    "depth", [True, False, np.True_, 1.0, 0.0, -0.5, 2.5, float("nan"), None, [1], (1,)]
)
def test_other_values_are_refused(depth):
    with pytest.raises(ValueError, match="it is neither an int, a float between 0 and 1, nor a na"):
        cut_name(depth)


@pytest.mark.parametrize("depth", [9, -9, 1000])
def test_more_stages_than_there_are_are_refused_with_their_list(depth):
    with pytest.raises(ValueError, match=f"freeze_depth={depth} fits no freeze point") as caught:
        cut_name(depth)
    message = str(caught.value)
    assert "the backbone has 8 stages" in message and "an int from -8 to 8" in message
    listed = ", ".join(f"{i}: {name!r}" for i, name in enumerate(LITE0_ENDS, start=1))
    assert message.endswith(f"Frozen stages and their last layers: {listed}.")


def test_an_unknown_name_gets_similar_ones():
    with pytest.raises(ValueError, match=r"no layer of that name \(did you mean 'block5c_add' or"):
        cut_name("block5c_addd")
    with pytest.raises(ValueError, match="did you mean 'all'"):
        cut_name("alle")
    with pytest.raises(ValueError, match=r"no layer of that name\. Use 'auto', 'all'"):
        cut_name("x" * 20)


def test_a_name_inside_a_residual_block_is_refused_with_the_nearest_cuts():
    nearest = "'block5a_project_bn' and 'block5b_add'"
    told = f"last frozen layer; the nearest layers that can be are {nearest}"
    with pytest.raises(ValueError, match=told):
        cut_name("block5b_dwconv")
