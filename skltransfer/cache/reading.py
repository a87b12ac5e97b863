"""Reading rows from segments into the arrays of the caller.

A segment consists of a file of rows and an index, which says where each row is. The index may be
damaged, so it is not trusted. A row that would extend beyond the end of its file is not read, so
that a wrong length in the index never makes this module allocate more memory than the size of the
file. A row counts as found only if its checksum is right.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import FileIO
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.batches import as_bytes, check_numbers, is_ragged
from skltransfer.cache.checksums import checksums, ragged_checksums
from skltransfer.cache.layouts import Layout
from skltransfer.cache.segments import Segment

_MOST_ROWS = 512
"""Maximum number of rows that one system call reads. These rows and the gaps between them need up
to 1024 buffers, the most that Linux and macOS allow."""

_LARGEST_GAP = 1 << 15
"""A gap of up to this many bytes between two rows is read too, and dropped, because a second system
call would take as long."""


class Location(NamedTuple):
    """The position of a row in its file, and the rest of the row's index entry."""

    segment: Segment
    offset: int
    size: int
    length: int
    checksum: int


Request: TypeAlias = tuple[int, Location]
"""Position in the output, and the location to read."""

Requests: TypeAlias = Mapping[Segment, list[Request]]


class DenseOutput:
    """An array whose rows are filled in place; the content of missing rows is undefined.

    Parameters
    ----------
    out : ndarray of shape (n_rows, ...)
        C-contiguous.
    """

    def __init__(self, out: NDArray[np.generic]) -> None:
        self._layout = Layout(out.dtype, out.shape[1:])
        self._rows = as_bytes(out)
        self._bytes = self._rows.reshape(-1).data

    def fill(self, wanted: Requests, keys: Sequence[bytes], salt: int) -> NDArray[np.bool_]:
        """Fill in the rows that have the layout of the array; return which were found."""
        filled: list[Request] = []
        for segment, requests in wanted.items():
            if segment.layout == self._layout:
                for run in _read(segment, requests, self._buffer):
                    filled += run
        return self._intact(sorted(filled, key=itemgetter(0)), keys, salt)

    def _buffer(self, position: int, size: int) -> memoryview:
        return self._bytes[position * size : (position + 1) * size]

    def _intact(self, filled: list[Request], keys: Sequence[bytes], salt: int) -> NDArray[np.bool_]:
        found = np.zeros(len(keys), bool)
        positions = [position for position, _ in filled]
        rows = self._rows if len(filled) == len(self._rows) else self._rows[positions]
        sums = checksums(rows, [keys[position] for position in positions], salt)
        found[positions] = sums == np.array([row.checksum for _, row in filled], np.uint64)
        return found


class RaggedOutput:
    """An array of objects that receives newly allocated rows, and None for missing rows.

    Parameters
    ----------
    out : ndarray of shape (n_rows,), dtype object
    """

    def __init__(self, out: NDArray[np.generic]) -> None:
        self._out = out
        self._out.fill(None)
        self._buffers: dict[int, NDArray[np.uint8]] = {}

    def fill(self, wanted: Requests, keys: Sequence[bytes], salt: int) -> NDArray[np.bool_]:
        """Fill in rows of any ragged layout; return which were found."""
        found = np.zeros(len(keys), bool)
        for segment, requests in wanted.items():
            if segment.layout is not None and segment.layout.is_ragged:
                # One run (see `_runs`) after another is read. The rows of a run do not overlap, so
                # together they take no more memory than the file, whatever lengths a damaged index
                # claims.
                for run in _read(segment, requests, self._buffer):
                    found[self._assigned(run, segment.layout, keys, salt)] = True
        return found

    def _buffer(self, position: int, size: int) -> memoryview:
        self._buffers[position] = np.empty(size, np.uint8)
        return self._buffers[position].data

    def _assigned(
        self, run: list[Request], layout: Layout, keys: Sequence[bytes], salt: int
    ) -> list[int]:
        """Assign the intact rows of a run; return their positions."""
        rows = [self._buffers[position] for position, _ in run]
        lengths = [row.length for _, row in run]
        names = [keys[position] for position, _ in run]
        sums = ragged_checksums(rows, names, lengths, layout.name, salt).tolist()
        intact = [at for at, sum_ in zip(run, sums, strict=True) if at[1].checksum == sum_]
        for position, location in intact:
            row = self._buffers[position].view(layout.dtype)
            self._out[position] = row.reshape(location.length, *layout.shape)
        self._buffers.clear()
        return [position for position, _ in intact]


Output: TypeAlias = DenseOutput | RaggedOutput


def output_of(out: NDArray[np.generic]) -> Output:
    """Wrap the caller's array, which is to be filled.

    Raises
    ------
    TypeError
        If its dtype is not numeric.
    ValueError
        If it is not contiguous.
    """
    if is_ragged(out):
        return RaggedOutput(out)
    check_numbers(out)
    if not out.flags.c_contiguous:
        raise ValueError("out must be C-contiguous; gather into a new array and copy.")
    return DenseOutput(out)


def _read(
    segment: Segment, requests: list[Request], buffer: Callable[[int, int], memoryview]
) -> Iterator[list[Request]]:
    """Read rows of one segment in runs (see `_runs`); yield the rows of each run that are complete.

    The last rows of a run are incomplete if the file ends too early.
    """
    try:
        with open(segment.rows_path, "rb", buffering=0) as file:
            for run in _runs(requests, os.fstat(file.fileno()).st_size):
                start = run[0][1].offset
                end = start + _read_into(file, list(_buffers(run, buffer)), start)
                yield [request for request in run if request[1].offset + request[1].size <= end]
    except FileNotFoundError:
        segment.remove()
    except OSError:
        pass  # such as too many open files; until this is over, the rows count as absent
    else:
        segment.touch()


def _runs(requests: list[Request], file_bytes: int) -> Iterator[list[Request]]:
    """Yield groups of requests that are close together in the file; each group is read at once."""
    run: list[Request] = []
    end = 0
    for request in sorted(requests, key=_offset):
        _, offset, size, _, _ = request[1]
        if offset + size > file_bytes:
            continue
        if run and (not 0 <= offset - end <= _LARGEST_GAP or len(run) == _MOST_ROWS):
            yield run
            run = []
        run.append(request)
        end = offset + size
    if run:
        yield run


def _offset(request: Request) -> int:
    return request[1].offset


def _buffers(run: list[Request], buffer: Callable[[int, int], memoryview]) -> Iterator[memoryview]:
    """Yield the rows to be filled, and buffers for the gaps between them."""
    unused, end = memoryview(bytearray(_LARGEST_GAP)), run[0][1].offset
    for position, (_, offset, size, _, _) in run:
        if offset > end:
            yield unused[: offset - end]
        yield buffer(position, size)
        end = offset + size


def _read_into(file: FileIO, buffers: list[memoryview], offset: int) -> int:
    """Fill buffers one after the other from `offset` on; return the number of bytes read."""
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), buffers, offset)
    file.seek(offset)  # Windows
    return sum(file.readinto(buffer) or 0 for buffer in buffers)
