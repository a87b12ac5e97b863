"""What a saved field may hold follows from its annotation."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from skltransfer._fields import (
    FiniteVector,
    ImageShape,
    ImageSize,
    IntVector,
    LabelVector,
    Matrix,
    PositiveInt,
    ValueRange,
    Vector,
)
from skltransfer.persistence.checks import check_of
from skltransfer.persistence.records import Record
from skltransfer.tasks.classification import Classification
from skltransfer.training.head import Head

ROW, ROWS = np.ones(3, np.float32), np.ones((2, 3))
INTS, NAMES = np.arange(3), np.array(["a", "b"], dtype=object)

CASES = {
    "an int": (int, [0, 3, np.int64(4)], [-1, 1 << 60, 1.0, True, "1", None]),
    "a positive int": (PositiveInt, [1, np.uint8(2)], [0, -1, True, 1.5]),
    "a float": (float, [1, 0.5, np.nan, np.float32(2)], [True, "1", None, ROW]),
    "a bool": (bool, [True, np.False_], [0, 1, None]),
    "a str": (str, ["", "a"], [np.str_("a"), b"a", None]),
    "anything": (Any, [None, 3, ROW], []),
    "a choice": (Literal["a", "b"], ["a"], ["c", 0, None]),
    "one or nothing": (int | None, [None, 3], ["", -3]),
    "a tuple of two": (ImageSize, [(2, 3)], [[2, 3], (2,), (2, 0), (2, 3, 3), 2]),
    "a tuple of any length": (tuple[str, ...], [(), ("a", "b")], [["a"], ("a", 1), "ab"]),
    "a list": (list[float], [[], [0.5, 1]], [(0.5,), [None]]),
    "a dict": (dict[str, int], [{}, {"a": 1}], [{1: 1}, {"a": -1}, []]),
    "two or three": (ImageShape, [(2, 3), [2, 3, 1]], [(2,), (2, 3, 1, 1), (2, -3), "ab"]),
    "a range": (ValueRange, [(0, 1.0), (-3.0, 3.0)], [(1.0, 0.0), (0.0, np.inf), (0.0, np.nan)]),
    "any array": (np.ndarray, [ROW, NAMES], [[1.0], 1.0]),
    "an array of floats": (NDArray[np.float64], [ROW, ROWS], [INTS, NAMES, [1.0]]),
    "a vector": (Vector, [ROW], [ROWS, INTS]),
    "a finite vector": (FiniteVector, [ROW], [np.array([np.nan]), ROWS]),
    "a matrix": (Matrix, [ROWS], [ROW]),
    "ints": (IntVector, [INTS, INTS.astype(np.uint8)], [ROW, INTS > 0]),
    "labels": (LabelVector, [INTS, NAMES, NAMES.astype(str), INTS > 0], [ROWS, ["a"]]),
    "a record": (Head, [Head(3, (), "relu", 2)], [3, None, ROW]),
}


@pytest.mark.parametrize(("hint", "fitting", "others"), CASES.values(), ids=CASES)
def test_a_check_follows_from_an_annotation(hint, fitting, others):
    check = check_of(hint)
    assert all(check(value) is True for value in fitting)
    assert not any(check(value) for value in others)


@pytest.mark.parametrize("kind", [Head, Classification])
def test_a_record_has_a_check_for_each_field_and_for_nothing_else(kind):
    assert list(Record(kind).checks) == [field.name for field in fields(kind)]


def test_a_check_of_its_own_takes_the_place_of_the_annotation():
    checks = Record(Head, {"activation": "relu".__eq__}).checks
    assert checks["activation"]("relu")
    assert not checks["activation"]("tanh")
    assert not checks["n_outputs"](0)
