"""The suffix and the head, compiled separately: how many rows are computed, and their bits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skltransfer.network import batch_invariance
from skltransfer.network.batch_invariance import InvariantBatches
from skltransfer.training.forward import SuffixAndHead

WIDTH, N_OUTPUTS = 2048, 2
SUFFIX, FIXED = np.array([2.0], np.float32), np.array([1.0], np.float32)
HEAD = np.random.default_rng(0).normal(size=(WIDTH, N_OUTPUTS)).astype(np.float32)
STATE = (np.concatenate([SUFFIX, HEAD.ravel()]), FIXED, np.ones((2, WIDTH), np.float32))


@pytest.fixture
def seen(monkeypatch):
    """The numbers of rows that the suffix computed."""
    monkeypatch.setattr(batch_invariance, "kernels", lambda: "onednn")
    return []


def forward_of(seen, has_suffix=True):
    def suffix(params, fixed, x):
        seen.append(len(x))
        return (x * np.asarray(params) + np.asarray(fixed),)

    def head(params, standardizer, features, *columns):
        mean, scale = np.asarray(standardizer)
        z = (features - mean) / scale
        outputs = np.stack([row @ np.asarray(params).reshape(HEAD.shape) for row in z])
        return (outputs + sum(columns),)

    blocks = InvariantBatches(suffix, 4) if has_suffix else None
    return SuffixAndHead(blocks, InvariantBatches(head, 4), 1 if has_suffix else 0)


def rows_of(n_rows):
    return np.random.default_rng(1).normal(size=(n_rows, WIDTH)).astype(np.float32)


def test_the_suffix_of_a_single_row_is_soon_computed_alone(seen):
    forward, row = forward_of(seen), rows_of(1)
    found = [forward((row,), STATE) for _ in range(4)]
    assert seen == [4, 1, 4, 1, 1, 1]  # 4,096 values of two rows were compared
    for outputs, features in found:
        assert_array_equal(outputs, found[0][0])
        assert_array_equal(features, row * 2 + 1)


def test_a_row_has_the_same_outputs_in_any_company(seen):
    forward, rows = forward_of(seen), rows_of(9)
    together = forward((rows,), STATE)
    for _ in range(3):
        alone = [forward((row[np.newaxis],), STATE) for row in rows]
        for number in (0, 1):
            expected = np.concatenate([one[number] for one in alone])
            assert_array_equal(together[number], expected)


def test_without_a_suffix_rows_are_features(seen):
    rows, columns = rows_of(3), np.ones((3, 1), np.float32)
    state = (HEAD.ravel(), *STATE[1:])
    outputs, features = forward_of(seen, has_suffix=False)((rows, columns), state)
    assert features is rows
    assert_array_equal(outputs, np.stack([row @ HEAD for row in rows - 1]) + 1)
