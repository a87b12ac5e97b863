"""Checksums show every damage to one word, and are the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest

from activation_cache_helpers import keys_of
from skltransfer.cache.checksums import checksums, ragged_checksums

SALT = 7


def random_rows(n_rows, n_bytes):
    return np.random.default_rng(0).integers(0, 256, (n_rows, n_bytes), np.uint8)


@pytest.mark.parametrize("n_bytes", [1, 4, 8, 20, 64])
def test_each_flipped_bit_shows(n_bytes):
    row = random_rows(1, n_bytes)
    flipped = np.repeat(row, 8 * n_bytes, axis=0)
    for bit in range(8 * n_bytes):
        flipped[bit, bit // 8] ^= 1 << bit % 8
    sums = checksums(flipped, keys_of(1) * len(flipped), SALT)
    assert len({*sums.tolist(), *checksums(row, keys_of(1), SALT).tolist()}) == 8 * n_bytes + 1


def test_each_word_that_is_lost_or_changes_places_shows():
    words = np.arange(1, 17, dtype="<u4")
    kinds = [words, *(np.where(words == word, 0, words) for word in words)]
    kinds += [np.roll(words, shift) for shift in range(1, 16)]
    rows = np.array(kinds).view(np.uint8)
    assert len(set(checksums(rows, keys_of(1) * len(rows), SALT).tolist())) == len(rows)


def test_what_a_row_is_filed_under_shows():
    rows = np.zeros((3, 40), np.uint8)
    sums = {*checksums(rows, keys_of(3), SALT).tolist(), *checksums(rows, keys_of(3), 8).tolist()}
    assert len(sums) == 6


@pytest.mark.parametrize("n_bytes", [5, 48])
def test_rows_are_hashed_each_for_itself(n_bytes):
    rows, keys = random_rows(9, n_bytes), keys_of(9)
    alone = [checksums(rows[i : i + 1], keys[i : i + 1], SALT)[0] for i in range(9)]
    assert checksums(rows, keys, SALT).tolist() == alone


def test_files_that_another_machine_wrote_are_understood():
    """The figure was computed once; if it changes, so must the number of the cache's folder."""
    row = np.arange(24, dtype=np.uint8).reshape(1, -1)
    assert checksums(row, [b"key"], SALT).tolist() == [16928946346094243832]


# ---------------------------------------------------------------- ragged rows

BLOCK = 1 << 16
"""Bytes that are summed together."""


def ragged_sum(row, key=b"key", length=0, layout="f4-n", salt=SALT):
    return ragged_checksums([row], [key], [length], layout, salt).item()


@pytest.mark.parametrize("n_bytes", [1, 20, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 6])
def test_each_damaged_word_of_a_ragged_row_shows(n_bytes):
    row = random_rows(1, n_bytes)[0]
    sums = {ragged_sum(row)}
    damaged = sorted({0, n_bytes // 2, n_bytes - 1, min(BLOCK, n_bytes - 1)})
    for at in damaged:
        flipped = row.copy()
        flipped[at] ^= 128
        sums.add(ragged_sum(flipped))
    assert len(sums) == len(damaged) + 1


def test_blocks_of_a_ragged_row_that_are_lost_or_change_places_show():
    row = np.repeat(np.arange(1, 5, dtype=np.uint8), BLOCK)
    rows = [row, *(np.roll(row, BLOCK * shift) for shift in (1, 2, 3))]
    rows += [row[: BLOCK * n] for n in range(4)]
    rows += [np.append(row, np.zeros(BLOCK, np.uint8))]
    assert len(set(map(ragged_sum, rows))) == len(rows) - 1  # zeros at the end show by the length
    assert ragged_sum(rows[0], length=4) != ragged_sum(rows[-1], length=5)


def test_all_that_shapes_a_ragged_row_shows():
    row = np.zeros(8, np.uint8)
    lengths = {*range(9), *(1 << bit for bit in range(64))}
    sums = {ragged_sum(row, length=length) for length in lengths}
    sums |= {ragged_sum(row, layout="i4-n"), ragged_sum(row, key=b"k"), ragged_sum(row, salt=99)}
    assert len(sums) == len(lengths) + 3


def test_ragged_files_that_another_machine_wrote_are_understood():
    """As above: figures that were computed once."""
    sums = [ragged_sum(np.arange(n, dtype=np.uint8), length=n) for n in (0, 24)]
    sums.append(ragged_sum(np.ones(BLOCK + 3, np.uint8), length=BLOCK + 3))
    assert sums == [3009833240, 16928946348558897490, 18239431428432935325]
