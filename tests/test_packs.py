"""Law 4 for rows of different lengths: packs change no bit, or are not made."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skltransfer.inputs._input import TensorSpec
from skltransfer.network.kernels import dense
from skltransfer.network.packed_rows import PackedRows
from skltransfer.network.packs import RowsInPacks, in_packs, noise, packs

SPEC = (TensorSpec((None, 2)),)
RESULTS = (TensorSpec((2,)), TensorSpec((None, 2)))


def parts(x, lengths):
    return np.split(x[0], np.cumsum(lengths))[:-1]


def sums(x, lengths):
    """The sum of each row, and each row."""
    return np.stack([np.sum(row, axis=0) for row in parts(x, lengths)]), x


def ragged(*lengths):
    rows = np.empty(len(lengths), object)
    for place, length in enumerate(lengths):
        rows[place] = np.random.default_rng(place).normal(size=(length, 2)).astype(np.float32)
    return rows


def tried(compute):
    return in_packs(RowsInPacks(compute, SPEC, RESULTS), (), noise(SPEC))


@given(st.lists(st.integers(1, 200), max_size=150), st.sampled_from([0, 1, 128]))
def test_every_row_is_in_one_pack_and_only_rows_that_fit_share_one(lengths, n_positions):
    found = packs(lengths, n_positions)
    assert sorted(row for pack in found for row in pack) == list(range(len(lengths)))
    assert all(len(pack) == 1 or sum(lengths[r] for r in pack) <= n_positions for pack in found)


def test_packs_are_mostly_full():
    lengths = np.random.default_rng(0).integers(5, 30, 64).tolist()
    assert len(packs(lengths, 128)) <= np.ceil(sum(lengths) / 128) + 1


def test_a_function_that_tells_rows_apart_runs_on_packs():
    run, rows = tried(sums), ragged(3, 70, 200, 9, 60)
    assert run.n_positions == 128
    whole, each = run((rows,), chosen=(0, 1))
    assert_array_equal(whole, [row.sum(axis=0) for row in rows])
    for found, row in zip(each, rows, strict=True):
        assert_array_equal(found, row)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, lengths: (
            sums(x, lengths)[0],
            x + np.float32(1e-6) * np.arange(x.shape[1])[:, None],
        ),
        lambda x, lengths: (sums(x, lengths)[0], x - x.max()),
        lambda x, lengths: (sums(x, lengths)[0] * np.float32(1 + 1e-6 * len(lengths)), x),
        lambda x, lengths: (sums(x, lengths)[0] + np.float32(1e-6 * x.shape[1]), x),
    ],
    ids=["by place", "by company", "by number", "by size"],
)
def test_a_function_in_which_rows_are_not_alike_runs_row_by_row(compute):
    assert tried(compute).n_positions == 0


def test_a_row_that_overflows_spoils_no_other():
    def spilling(x, lengths):
        with np.errstate(invalid="ignore"):
            return sums(x, lengths)[0] + 0 * x.sum(), x

    rows = ragged(3, 4, 5)
    run = RowsInPacks(spilling, SPEC, RESULTS, n_positions=128)
    expected = run((rows[:2],))[0]
    rows[2][0, 0] = np.inf
    found = run((rows,))[0]
    assert_array_equal(found[:2], expected)
    assert np.isnan(found[2]).any()


@pytest.mark.parametrize("pooling", ["avg", "max", "cls", "last"])
def test_each_row_is_pooled_by_itself(pooling):
    rows = ragged(3, 1, 8)
    x = np.concatenate([*rows, np.full((4, 2), 1e6, np.float32)])[None]
    found = PackedRows.of(x, np.array([3, 1, 8], np.int32)).pooled(x, pooling)
    expected = {
        "avg": lambda row: row.mean(axis=0),
        "max": lambda row: row.max(axis=0),
        "cls": lambda row: row[0],
        "last": lambda row: row[-1],
    }[pooling]
    assert_allclose(np.asarray(found), [expected(row) for row in rows], rtol=1e-6)


def test_what_is_filled_up_is_a_row_of_its_own_at_each_position():
    x = np.ones((1, 7), np.int32)
    rows = PackedRows.of(x, np.array([3, 2], np.int32))
    assert_array_equal(rows.restarted(np.cumsum(x, axis=1), x)[0], [1, 2, 3, 1, 2, 1, 1])
    is_read = np.kron(np.eye(2), np.ones((3, 3)))[:5, :5].astype(bool)
    assert_array_equal(np.asarray(rows.readable(causal=False))[:5, :5], is_read)
    assert_array_equal(np.asarray(rows.readable(causal=True))[:5, :5], np.tril(is_read))
    assert_array_equal(np.asarray(rows.readable(causal=False))[5:, 5:], np.eye(2))


@pytest.mark.parametrize("width", [8, 1024, 1025, 3000])
def test_wide_products_are_added_up_in_parts(width):
    layer = keras.layers.Dense(5, activation="gelu")
    x = np.random.default_rng(0).normal(size=(1, 4, width)).astype(np.float32)
    expected = layer(x)
    assert_allclose(np.asarray(dense(layer, x)), np.asarray(expected), atol=1e-5)
