"""Rows of several targets, of numbers and labels, as one weighted distribution."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from skltransfer.tasks.weighting import merge_rows, split_by_weight

FEW = st.sampled_from([0.0, 0.1, -1.5, 7.0])


@st.composite
def weighted_rows(draw):
    n_rows = draw(st.integers(1, 12))
    keys = draw(st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=n_rows, max_size=n_rows))
    n_targets = draw(st.sampled_from([(), (1,), (3,)]))
    targets = draw(arrays(np.float64, (n_rows, *n_targets), elements=FEW))
    weights = draw(arrays(np.float64, n_rows, elements=st.sampled_from([1.0, 2.0, 3.0])))
    return keys, targets, weights


@given(weighted_rows(), st.randoms())
def test_neither_order_nor_repetition_changes_the_distribution(rows, random):
    keys, targets, weights = rows
    merged = merge_rows(keys, targets, weights)
    repeated = np.repeat(np.arange(len(keys)), weights.astype(int)).tolist()
    random.shuffle(repeated)
    again = merge_rows([keys[i] for i in repeated], targets[repeated], np.ones(len(repeated)))
    assert merged.keys == again.keys
    assert_array_equal(merged.targets, again.targets)
    assert_array_equal(merged.weights, again.weights)


@given(weighted_rows())
def test_every_pair_comes_once_at_its_first_row(rows):
    keys, targets, weights = rows
    merged = merge_rows(keys, targets, weights)
    pairs = list(zip(merged.keys, map(bytes, merged.targets), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert_array_equal(targets[merged.rows], merged.targets)
    assert merged.weights.sum() == weights.sum()


@given(st.integers(2, 30), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_part_of_the_weight_is_chosen_and_never_all(n_rows, fraction, seed):
    weights = np.random.default_rng(seed).uniform(0.5, 2, n_rows)
    chosen = split_by_weight(weights, fraction, np.random.default_rng(seed))
    assert 1 <= len(set(chosen.tolist())) == len(chosen) < n_rows
    assert weights[chosen[:-1]].sum() <= fraction * weights.sum()
