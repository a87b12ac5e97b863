"""Law 4 for every network: the bits of a row depend neither on its place nor on its company."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from conftest import out_of_memory
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, register_backbone
from skltransfer._backend import kernels
from skltransfer.network._places import Blocks, in_blocks, trial_rows
from skltransfer.network.engines import compile_part

TRIAL = trial_rows((3,), 0.0, 1.0)


def tried(compute, n_rows=4):
    return in_blocks(lambda rows: (compute(rows),), n_rows, (), TRIAL).n_rows


# The trial -------------------------------------------------------------------------------------


def test_a_steady_function_runs_on_blocks():
    assert tried(lambda rows: rows**2) == 4


@pytest.mark.parametrize(
    "compute",
    [
        lambda rows: rows + np.arange(len(rows))[:, None] * np.float32(1e-6),
        lambda rows: rows - rows.max(),
        lambda rows: np.roll(rows, 1, axis=0) if len(rows) == 4 else rows,
        lambda rows: np.copysign(0.0, np.arange(len(rows)) - 1.0)[:, None],
    ],
    ids=["by place", "by company", "by neighbour", "by the sign of zero"],
)
def test_a_function_in_which_rows_are_not_alike_runs_row_by_row(compute):
    assert tried(compute) == 1


def test_a_difference_in_any_result_counts():
    blocks = in_blocks(lambda rows: (rows, rows - rows.max()), 4, (), TRIAL)
    assert blocks.n_rows == 1


def test_nan_is_like_nan():
    assert tried(lambda rows: rows * np.nan) == 4


def test_smaller_blocks_are_tried_when_memory_does_not_suffice():
    def compute(rows):
        if len(rows) > 3:
            raise out_of_memory()
        return rows

    with pytest.warns(UserWarning, match="ran out of memory on a block of 4 pictures"):
        assert tried(compute) == 2


def test_one_row_needs_no_trial():
    def compute(rows):
        raise AssertionError("tried")

    assert tried(compute, n_rows=1) == 1


def test_few_large_rows_are_tried_and_many_small_ones():
    counts = [len(trial_rows(shape, 0, 1)) for shape in [(600, 600, 3), (224, 224, 3), (5,)]]
    assert counts == [2, 3, 32]
    assert_array_equal(trial_rows((5,), 0, 1), trial_rows((5,), 0, 1))


# Blocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "lengths"), [(4, [4]), (3, [4]), (1, [4]), (9, [4, 4, 4])])
def test_fewer_rows_than_a_block_are_filled_up_with_zeros(n_rows, lengths):
    seen = []

    def compute(state, rows):
        seen.append(rows)
        return np.asarray(state) * rows, rows[:, 0]

    rows = TRIAL[:n_rows]
    doubled, first = Blocks(compute, 4)(np.float32(2), rows, chosen=(0, 1))
    assert_array_equal(doubled, 2 * rows)
    assert_array_equal(first, rows[:, 0])
    assert [len(block) for block in seen] == lengths
    assert not np.concatenate(seen)[n_rows:].any()


def test_results_that_nobody_wants_are_not_fetched():
    blocks = Blocks(lambda rows: (None, rows), 4)
    assert_array_equal(blocks(TRIAL[:6], chosen=(1,))[0], TRIAL[:6])


# Networks --------------------------------------------------------------------------------------


def squeeze_and_excite(x):
    from keras import layers

    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Multiply()([x, layers.Conv2D(21, 1, activation="sigmoid")(gate)])


def layers_of(kind):
    from keras import layers

    return {
        "layer norm": lambda x: layers.LayerNormalization()(x),
        "group norm": lambda x: layers.GroupNormalization(groups=3)(x),
        "dense": lambda x: layers.Dense(13, activation="gelu")(layers.Flatten()(x)),
        "softmax": lambda x: layers.Softmax()(x),
        "global pooling": lambda x: layers.GlobalAveragePooling2D()(x),
        "grouped convolution": lambda x: layers.Conv2D(14, 3, groups=7, activation="silu")(x),
        "squeeze and excite": squeeze_and_excite,
        "attention": lambda x: layers.MultiHeadAttention(2, 5)(*[layers.Reshape((-1, 21))(x)] * 2),
    }[kind]


KINDS = [
    *("layer norm", "group norm", "dense", "softmax", "global pooling"),
    *("grouped convolution", "squeeze and excite", "attention"),
]


@pytest.fixture(scope="module")
def many_pictures():
    return np.random.default_rng(0).integers(0, 256, (13, 26, 26, 3), dtype=np.uint8)


@pytest.fixture(params=KINDS)
def network(request):
    """A network whose rows fit no vector of a processor, and its kind."""
    import keras

    inputs = keras.Input((26, 26, 3))
    x = keras.layers.Conv2D(21, 3, strides=2, activation="relu")(inputs)
    outputs = layers_of(request.param)(x)
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    return register_backbone(request.param.replace(" ", "-"), model)


def assert_rows_depend_on_themselves_alone(compute, X):
    rows = compute(X)
    order = np.random.default_rng(0).permutation(len(X))
    assert_array_equal(compute(X[order]), rows[order])
    for shift in (1, 2, 3):
        assert_array_equal(compute(X[shift:]), rows[shift:])
    assert_array_equal(np.concatenate([compute(X[i : i + 1]) for i in range(len(X))]), rows)


@pytest.mark.parametrize("pooling", ["avg", "flatten"])
def test_features_of_a_row_depend_on_it_alone(network, pooling, engine, many_pictures):
    extractor = PretrainedFeatureExtractor(network, pooling=pooling, engine=engine, cache=None)
    assert_rows_depend_on_themselves_alone(extractor.fit(many_pictures).transform, many_pictures)


@pytest.mark.parametrize("freeze_depth", [0, "all"])
@pytest.mark.parametrize("network", ["dense", "squeeze and excite"], indirect=True)
def test_probabilities_of_a_row_depend_on_it_alone(network, freeze_depth, many_pictures):
    labels = np.arange(len(many_pictures)) % 3
    classifier = FineTunedClassifier(
        network, freeze_depth=freeze_depth, head_units=5, epochs=1, cache=None, random_state=0
    ).fit(many_pictures, labels)
    assert_rows_depend_on_themselves_alone(classifier.predict_proba, many_pictures)


def test_only_parts_that_need_it_run_row_by_row():
    from keras import ops

    parts = [compile_part(compute, (5, 7, 3)) for compute in (ops.relu, ops.sigmoid)]
    if kernels() == "onednn":
        assert [part.blocks.n_rows for part in parts] == [4, 1]
