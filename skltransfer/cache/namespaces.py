"""One group of rows: which are stored, and where, as this process knows it."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import BinaryIO

import numpy as np

from skltransfer.cache.checksums import checksums
from skltransfer.cache.segments import KEY_END, Segment, growing_segment, segment_names

_BORN = "born"

_MOST_ROWS = 512
"""Rows that one call to the system fills, with as many gaps; Linux and macOS allow 1024 buffers."""

_LARGEST_GAP = 1 << 15
"""Bytes that are read for nothing, since another call to the system would take as long."""


class Group:
    """All segments of a group, as this process knows them."""

    def __init__(self, folder: str, segment_bytes: int) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._salt = zlib.crc32(os.path.basename(folder).encode())
        self._segments: dict[str, Segment] = {}
        self._places: dict[bytes, tuple[Segment, int, int]] = {}
        self._lock = threading.RLock()

    def stored(self, keys: Sequence[bytes]) -> np.ndarray:
        """Which keys are stored, also by other processes."""
        with self._lock:
            if not self._knows_all(keys):
                self._refresh()
            return np.array([key in self._places for key in keys], bool)

    def read(self, keys: Sequence[bytes], out: np.ndarray) -> np.ndarray:
        """Fill rows of `out` that are stored; return which."""
        rows = _as_bytes(out)
        with self._lock:
            if not self._knows_all(keys):
                self._refresh()
            wanted = self._by_segment(keys, layout_of(out))
        filled = [place for item in wanted.items() for place in _filled(*item, rows)]
        found = self._intact(sorted(filled), keys, rows)
        with self._lock:
            for position, _, _ in chain.from_iterable(wanted.values()):
                if not found[position]:
                    self._places.pop(keys[position], None)
        return found

    def append(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Store rows, of which none is stored yet.

        Raises
        ------
        OSError
            The disk is full, the folder read-only, and the like.
        """
        self.born()
        row_bytes = max(1, rows[:1].nbytes)
        step = max(1, self._segment_bytes // row_bytes)
        for start in range(0, len(keys), step):
            some = slice(start, start + step)
            sums = checksums(_as_bytes(rows[some]), keys[some], self._salt)
            segment = growing_segment(self.folder, layout_of(rows), self._segment_bytes)
            segment.append(keys[some], sums, rows[some])

    def born(self) -> float:
        """When the group was first put to use, in seconds since the epoch; makes its folder."""
        path = os.path.join(self.folder, _BORN)
        try:
            os.makedirs(self.folder, exist_ok=True)
        except FileExistsError as error:
            if os.path.lexists(self.folder) and not os.path.isdir(self.folder):
                raise
            # It was there, and has been cleared since, maybe made again.
            raise FileNotFoundError(self.folder) from error
        with contextlib.suppress(FileExistsError), open(path, "xb"):
            pass
        return os.stat(path).st_mtime

    def _knows_all(self, keys: Sequence[bytes]) -> bool:
        return all(map(self._places.__contains__, keys))

    def _refresh(self) -> None:
        """Take in what any process has added or removed."""
        names = segment_names(self.folder)
        self._forget({self._segments.pop(name) for name in self._segments.keys() - names})
        # By age: a row that was put again, since it was damaged, is found where it is whole.
        for name in sorted(names):
            if name not in self._segments:
                self._segments[name] = Segment(os.path.join(self.folder, name))
            self._learn(self._segments[name])

    def _learn(self, segment: Segment) -> None:
        entries = segment.news()
        for key, offset, checksum, _ in entries[entries["offset"] < 1 << 62].tolist():
            self._places[key.removesuffix(KEY_END)] = (segment, offset, checksum)

    def _forget(self, segments: set[Segment]) -> None:
        if segments:
            kept = self._places.items()
            self._places = {key: place for key, place in kept if place[0] not in segments}

    def _by_segment(self, keys: Sequence[bytes], layout: str) -> dict[Segment, list[tuple]]:
        """Sort what is asked for by the file it is in; rows of another shape are dropped."""
        wanted = defaultdict(list)
        for position, key in enumerate(keys):
            place = self._places.get(key)
            if place is None:
                continue
            if place[0].layout == layout:
                wanted[place[0]].append((position, place[1], place[2]))
            else:
                del self._places[key]
        return wanted

    def _intact(self, filled: list[tuple], keys: Sequence[bytes], rows: np.ndarray) -> np.ndarray:
        """Which rows are what they should be, of those that were `filled` from a file."""
        found = np.zeros(len(keys), bool)
        positions = np.array([position for position, _, _ in filled], np.intp)
        chosen = rows if len(filled) == len(rows) else rows[positions]
        sums = checksums(chosen, [keys[position] for position in positions], self._salt)
        found[positions] = sums == np.array([checksum for _, _, checksum in filled], np.uint64)
        return found


def _filled(segment: Segment, places: list[tuple], rows: np.ndarray) -> list[tuple]:
    """Read rows of one segment; return the places of those that were read to their end."""
    filled: list[tuple] = []
    row_bytes = rows.shape[1]
    try:
        with open(segment.rows_path, "rb", buffering=0) as file:
            for run in _runs(places, row_bytes):
                start = run[0][1]
                end = start + _read_into(file, list(_buffers(run, rows)), start)
                filled += [place for place in run if place[1] + row_bytes <= end]
    except FileNotFoundError:
        segment.remove()
    except OSError:
        pass  # a passing trouble, such as too many open files: absent for now
    else:
        segment.touch()
    return filled


def _runs(places: list[tuple], row_bytes: int) -> Iterator[list[tuple]]:
    """Join what lies together in the file, or nearly so, to be read at once."""
    run: list[tuple] = []
    for place in sorted(places, key=itemgetter(1)):
        if run:
            gap = place[1] - run[-1][1] - row_bytes
            if not 0 <= gap <= _LARGEST_GAP or len(run) == _MOST_ROWS:
                yield run
                run = []
        run.append(place)
    yield run


def _buffers(run: list[tuple], rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows to be filled, and room for what lies between them."""
    unused, end = np.empty(_LARGEST_GAP, np.uint8), run[0][1]
    for position, offset, _ in run:
        if offset > end:
            yield unused[: offset - end]
        yield rows[position]
        end = offset + rows.shape[1]


def _read_into(file: BinaryIO, buffers: list[np.ndarray], offset: int) -> int:
    """Fill buffers one after the other from `offset` on; return the number of bytes."""
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), buffers, offset)
    file.seek(offset)  # Windows
    return sum(file.readinto(buffer) for buffer in buffers)


def layout_of(rows: np.ndarray) -> str:
    """Name dtype and shape of a row in a way that suits file names, such as ``f4-7-7-320``."""
    dtype = rows.dtype.str.lstrip("<|").replace(">", "big")
    return "-".join([dtype, *map(str, rows.shape[1:])])


def _as_bytes(rows: np.ndarray) -> np.ndarray:
    """View contiguous rows as bytes."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:])).view(np.uint8)
