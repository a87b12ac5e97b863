"""Batches of rows to be stored: dense (rows of one shape) or ragged (each row of its own length).

Callers pass a ragged batch, such as rows of texts or sounds, as a 1-D array of dtype object. Its
elements are arrays that differ only in the length of their first axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.checksums import checksums, ragged_checksums
from skltransfer.cache.layouts import NUMERIC_KINDS, Layout


@dataclass(frozen=True)
class DenseBatch:
    """C-contiguous rows of one shape."""

    rows: NDArray[np.generic]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def layout(self) -> Layout:
        """The common dtype and shape of the rows."""
        return Layout(self.rows.dtype, self.rows.shape[1:])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each row."""
        return np.full(len(self.rows), self.rows[:1].nbytes, np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Zeros, because dense rows need no length."""
        return np.zeros(len(self.rows), np.int64)

    def take(self, which: slice | list[int]) -> DenseBatch:
        """Return the given rows."""
        return DenseBatch(self.rows[which])

    def checksums(self, keys: Sequence[bytes], salt: int) -> NDArray[np.uint64]:
        """Return the checksum of each row."""
        return checksums(as_bytes(self.rows), keys, salt)

    def packed(self) -> memoryview:
        """Return the bytes of all rows, one row after another."""
        return as_bytes(self.rows).reshape(-1).data


@dataclass(frozen=True)
class RaggedBatch:
    """C-contiguous rows that differ in the length of their first axis."""

    rows: list[NDArray[np.generic]]
    layout: Layout

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each row."""
        return np.array([row.nbytes for row in self.rows], np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row on its first axis."""
        return np.array([len(row) for row in self.rows], np.int64)

    def take(self, which: slice | list[int]) -> RaggedBatch:
        """Return the given rows."""
        if isinstance(which, slice):
            return RaggedBatch(self.rows[which], self.layout)
        return RaggedBatch([self.rows[position] for position in which], self.layout)

    def checksums(self, keys: Sequence[bytes], salt: int) -> NDArray[np.uint64]:
        """Return the checksum of each row."""
        lengths = [len(row) for row in self.rows]
        flat = [as_bytes(row).reshape(-1) for row in self.rows]
        return ragged_checksums(flat, keys, lengths, self.layout.name, salt)

    def packed(self) -> bytes:
        """Return the bytes of all rows, one row after another."""
        return b"".join(as_bytes(row).data for row in self.rows)


Batch: TypeAlias = DenseBatch | RaggedBatch


def batch_of(rows: NDArray[np.generic]) -> Batch:
    """Make a batch of the caller's rows; there must be at least one.

    Raises
    ------
    TypeError
        If rows hold something other than numbers, or differ in more than the length of their first
        axis.
    """
    if is_ragged(rows):
        return _ragged_batch(list(rows))
    check_numbers(rows)
    return DenseBatch(np.ascontiguousarray(rows))


def is_ragged(rows: NDArray[np.generic]) -> bool:
    """Whether an array is a batch of ragged rows."""
    return rows.dtype == object and rows.ndim == 1


def check_numbers(rows: NDArray[np.generic]) -> None:
    """Raise a TypeError unless the dtype of dense rows is numeric."""
    if rows.dtype.kind not in NUMERIC_KINDS:
        raise TypeError(f"rows of dtype {rows.dtype} cannot be stored; only numbers can")


def as_bytes(rows: NDArray[np.generic]) -> NDArray[np.uint8]:
    """View contiguous rows as bytes, of shape (n_rows, n_bytes)."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:])).view(np.uint8)


def _ragged_batch(elements: Sequence[object]) -> RaggedBatch:
    rows = [_ragged_row(position, element) for position, element in enumerate(elements)]
    layouts = [Layout(row.dtype, row.shape[1:], is_ragged=True) for row in rows]
    for position, layout in enumerate(layouts):
        if layout != layouts[0]:
            raise TypeError(
                f"row 0 is {layouts[0]}, but row {position} is {layout}; rows of one batch "
                "may differ only in the length of the first axis"
            )
    return RaggedBatch(rows, layouts[0])


def _ragged_row(position: int, element: object) -> NDArray[np.generic]:
    needed = "each row of an object array must be a NumPy array of numbers with at least one axis"
    if not isinstance(element, np.ndarray):
        raise TypeError(f"row {position} is of type {type(element).__name__}; {needed}")
    if element.ndim == 0 or element.dtype.kind not in NUMERIC_KINDS:
        found = f"{element.dtype} of shape {element.shape}"
        raise TypeError(f"row {position} is {found}; {needed}")
    return np.ascontiguousarray(element)
