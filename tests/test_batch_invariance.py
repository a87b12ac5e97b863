"""Law 4 for every network: the bits of a row depend neither on its place nor on its company."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from conftest import out_of_memory
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, register_backbone
from skltransfer.backend import kernels
from skltransfer.frozen.engines import compile_part
from skltransfer.inputs._input import TensorSpec, trial_rows
from skltransfer.network import batch_invariance
from skltransfer.network.batch_invariance import InvariantBatches, in_invariant_batches

TRIAL = trial_rows((3,), 0.0, 1.0)


def tried(compute, n_rows=4):
    return in_invariant_batches(lambda rows: (compute(rows),), n_rows, (), (TRIAL,)).n_rows


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
    blocks = in_invariant_batches(lambda rows: (rows, rows - rows.max()), 4, (), (TRIAL,))
    assert blocks.n_rows == 1


def test_nan_is_like_nan():
    assert tried(lambda rows: rows * np.nan) == 4


def test_smaller_blocks_are_tried_when_memory_does_not_suffice():
    def compute(rows):
        if len(rows) > 3:
            raise out_of_memory()
        return rows

    with pytest.warns(UserWarning, match="ran out of memory on a block of 4 rows. The"):
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


MANY = trial_rows((5000,), 0.0, 1.0)[:9]
"""Of so many values that one comparison suffices."""


def by_number(rows):
    """What depends on how many rows there are, as some kernels' bits do."""
    return rows + np.float32(1e-6) * len(rows)


@pytest.mark.parametrize("n_rows", [1, 3, 4, 9])
def test_fewer_rows_than_a_block_have_the_bits_of_a_whole_one(n_rows):
    blocks = InvariantBatches(
        lambda state, rows: (np.asarray(state) * by_number(rows), rows[:, 0]), 4
    )
    for _ in range(3):
        doubled, first = blocks((MANY[:n_rows],), (np.float32(2),), chosen=(0, 1))
        assert_array_equal(doubled, 2 * (MANY[:n_rows] + np.float32(4e-6)))
        assert_array_equal(first, MANY[:n_rows, 0])


@pytest.mark.parametrize(
    ("compute", "values", "counts"),
    [
        (lambda rows: 2 * rows, MANY, [4, 3, 3, 3]),
        (lambda rows: 2 * rows, MANY[:, :1000], [4, 3, 4, 3, 3]),
        (by_number, MANY, [4, 3, 4, 4]),
    ],
    ids=["as soon as is known", "not by a few values", "not if bits differ"],
)
def test_fewer_rows_run_alone_where_that_changes_no_bit(compute, values, counts):
    seen = []

    def counted(rows):
        seen.append(len(rows))
        return (compute(rows),)

    blocks = InvariantBatches(counted, 4)
    for _ in range(3):
        blocks((values[:3],))
    assert seen == (counts if kernels() == "onednn" else [4, 4, 4])


def test_each_result_is_judged_by_values_that_tell():
    """A head of zeros has the same logits in any kernel, and says nothing of one that learned."""
    blocks = InvariantBatches(lambda factor, rows: (np.asarray(factor) * by_number(rows), rows), 4)
    for _ in range(3):
        blocks((MANY[:3],), (np.float32(0),), chosen=(0, 1))
    (product,) = blocks((MANY[:3],), (np.float32(2),), chosen=(0,))
    assert_array_equal(product, 2 * (MANY[:3] + np.float32(4e-6)))


def test_smaller_blocks_know_nothing_of_larger_ones():
    blocks = InvariantBatches(lambda rows: (rows,), 4)
    assert blocks.at_most(9) is blocks
    smaller = blocks.at_most(2)
    blocks((MANY[:1],))
    assert (smaller.n_rows, smaller._equal) == (2, {})


@pytest.fixture
def two_cores(monkeypatch):
    batch_invariance.block_threads.cache_clear()
    monkeypatch.setattr(batch_invariance, "computing_threads", lambda: 2)
    yield
    batch_invariance.block_threads.cache_clear()


def test_some_blocks_run_at_a_time(two_cores):
    both = threading.Barrier(2, timeout=60)
    blocks = InvariantBatches(lambda rows: (both.wait() * 0 + rows,), 4)
    assert_array_equal(blocks((MANY[:8],))[0], MANY[:8])


def test_an_error_of_one_block_is_raised(two_cores):
    def compute(rows):
        if rows[0, 0] == MANY[4, 0]:
            raise out_of_memory()
        return (rows,)

    with pytest.raises(type(out_of_memory())):
        InvariantBatches(compute, 4)((MANY,))


def test_results_that_nobody_wants_are_not_fetched():
    blocks = InvariantBatches(lambda rows: (None, rows), 4)
    assert_array_equal(blocks((TRIAL[:6],), chosen=(1,))[0], TRIAL[:6])


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
def many_images():
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
def test_features_of_a_row_depend_on_it_alone(network, pooling, engine, many_images):
    extractor = PretrainedFeatureExtractor(network, pooling=pooling, engine=engine, cache=None)
    assert_rows_depend_on_themselves_alone(extractor.fit(many_images).transform, many_images)


@pytest.mark.parametrize("freeze_depth", [0, "all"])
@pytest.mark.parametrize("network", ["dense", "squeeze and excite"], indirect=True)
def test_probabilities_of_a_row_depend_on_it_alone(network, freeze_depth, many_images):
    labels = np.arange(len(many_images)) % 3
    classifier = FineTunedClassifier(
        network, freeze_depth=freeze_depth, head_units=5, epochs=1, cache=None, random_state=0
    ).fit(many_images, labels)
    assert_rows_depend_on_themselves_alone(classifier.predict_proba, many_images)


def test_only_parts_that_need_it_run_row_by_row():
    from keras import ops

    spec, trial = (TensorSpec((5, 7, 3)),), (trial_rows((5, 7, 3), 0.0, 255.0),)
    parts = [compile_part(compute, spec, trial=trial) for compute in (ops.relu, ops.sigmoid)]
    if kernels() == "onednn":
        assert [part.run.n_rows for part in parts] == [4, 1]
