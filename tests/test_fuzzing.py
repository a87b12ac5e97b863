"""Damaged images and arbitrary arrays: read, or refused by the documented error; never more.

Seeds are fixed, so that a failure is the same everywhere; `fuzz_images.py` tries many more files.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from fuzz_images import corpus, damaged, outcome
from input_kinds import as_rgb, read
from skltransfer.inputs.images.preprocessing import ImagePreprocessing

STEADY = settings(max_examples=200, derandomize=True, database=None, deadline=None)
FILES = corpus()


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_damaged_files_are_read_or_refused(first):
    for number in range(first, first + 100):
        result = outcome(*damaged(0, number, FILES))
        assert result in ("read", "refused"), f"damaged(0, {number}, corpus()): {result}"


def test_damages_are_neither_all_fatal_nor_all_harmless():
    """Or the test above would say little."""
    results = [outcome(*damaged(0, number, FILES)) for number in range(200)]
    assert 20 < results.count("read") < 180


@pytest.mark.parametrize("undamaged", range(0, len(FILES), 10))
def test_the_corpus_is_read(undamaged):
    assert outcome(FILES[undamaged], ImagePreprocessing((32, 32))) == "read"


# Arrays ------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    arrays_of.boolean_dtypes(),
    arrays_of.integer_dtypes(endianness="?"),
    arrays_of.unsigned_integer_dtypes(endianness="?"),
    arrays_of.floating_dtypes(endianness="?"),
)
ANY_DTYPE = st.one_of(
    NUMBERS,
    arrays_of.complex_number_dtypes(),
    arrays_of.datetime64_dtypes(),
    arrays_of.unicode_string_dtypes(),
    arrays_of.byte_string_dtypes(),
)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)
RANGES = st.one_of(
    st.none(),
    st.tuples(st.floats(width=32), st.floats(width=32)),
    st.tuples(st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70)),
)
IMAGE_SHAPES = st.one_of(st.none(), st.lists(st.integers(-1, 5), max_size=4).map(tuple))


@st.composite
def any_X(draw):
    """An array, a list of its rows, or a list of separate arrays."""
    array = draw(arrays_of.arrays(ANY_DTYPE, SHAPES))
    kinds = [array, array.tolist(), [array, array], array.astype(object)]
    kinds += [list(array)] if array.ndim else []
    return draw(st.sampled_from(kinds))


@STEADY
@given(any_X(), RANGES, IMAGE_SHAPES)
def test_any_array_is_read_or_refused(X, pixel_range, image_shape):
    with warnings.catch_warnings():
        # of the package, and no other: NumPy's RuntimeWarning would be a failure
        warnings.simplefilter("ignore", UserWarning)
        try:
            images = read(X, pixel_range=pixel_range, image_shape=image_shape)
        except (TypeError, ValueError) as error:
            assert str(error)
        else:
            assert all(np.isfinite(image).all() for image in images)


@STEADY
@given(
    arrays_of.arrays(NUMBERS, st.tuples(*map(st.integers, (1, 1, 1), (2, 5, 5)))),
    st.tuples(st.integers(-300, 300), st.integers(1, 70_000)),
)
def test_numbers_are_scaled_as_in_double_precision(X, ends):
    """Within a thousandth of the range or of the value, whichever is larger."""
    low, high = ends[0], ends[0] + ends[1]
    values = X.astype(np.float64)
    assume(np.isfinite(values).all() and np.abs(values).max() < 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # most are not on the scale that is given
        images = read(X, [X.shape[1:]] * len(X), pixel_range=(low, high))
    for image, expected in zip(images, (values - low) / (high - low) * 255, strict=True):
        assert np.all(np.abs(image - as_rgb(expected)) <= 0.255 + 1e-3 * np.abs(as_rgb(expected)))
