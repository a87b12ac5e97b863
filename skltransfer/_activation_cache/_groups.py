"""One group of rows: which are stored, and where, as this process knows it."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import BinaryIO

import numpy as np

from ._segments import KEY_END, Segment, growing_segment, segment_names

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
            return np.array([key + KEY_END in self._places for key in keys], bool)

    def read(self, keys: Sequence[bytes], out: np.ndarray) -> np.ndarray:
        """Fill rows of `out` that are stored; return which."""
        found = np.zeros(len(keys), bool)
        rows = _as_bytes(out)
        with self._lock:
            if not self._knows_all(keys):
                self._refresh()
            wanted = self._by_segment(keys, layout_of(out))
        for segment, places in wanted.items():
            self._read_segment(segment, places, keys, rows, found)
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
            checksums = [
                zlib.crc32(row, zlib.crc32(key, self._salt))
                for key, row in zip(keys[some], _as_bytes(rows[some]), strict=True)
            ]
            segment = growing_segment(self.folder, layout_of(rows), self._segment_bytes)
            segment.append(keys[some], checksums, rows[some])

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
        return all(key + KEY_END in self._places for key in keys)

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
            self._places[key] = (segment, offset, checksum)

    def _forget(self, segments: set[Segment]) -> None:
        if segments:
            kept = self._places.items()
            self._places = {key: place for key, place in kept if place[0] not in segments}

    def _by_segment(self, keys: Sequence[bytes], layout: str) -> dict[Segment, list[tuple]]:
        """Sort what is asked for by the file it is in; rows of another shape are dropped."""
        wanted = defaultdict(list)
        for position, key in enumerate(keys):
            place = self._places.get(key + KEY_END)
            if place is None:
                continue
            if place[0].layout == layout:
                wanted[place[0]].append((position, place[1], place[2]))
            else:
                del self._places[key + KEY_END]
        return wanted

    def _read_segment(self, segment: Segment, places, keys, rows, found) -> None:
        """Read rows of one segment and forget those that are not what they should be."""
        try:
            with open(segment.rows_path, "rb", buffering=0) as file:
                for run in _runs(places, rows[0].nbytes):
                    self._read_run(file, run, keys, rows, found)
        except FileNotFoundError:
            segment.remove()
        except OSError:
            pass  # a passing trouble, such as too many open files: absent for now
        else:
            segment.touch()
        with self._lock:
            for position, _, _ in places:
                if not found[position]:
                    self._places.pop(keys[position] + KEY_END, None)

    def _read_run(self, file: BinaryIO, run: list[tuple], keys, rows, found) -> None:
        """Read rows that lie together; what is incomplete or damaged is not `found`."""
        start, row_bytes = run[0][1], rows[0].nbytes
        n_read = _read_into(file, list(_buffers(run, rows)), start)
        for position, offset, checksum in run:
            found[position] = (
                n_read >= offset + row_bytes - start
                and zlib.crc32(rows[position], zlib.crc32(keys[position], self._salt)) == checksum
            )


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
        end = offset + rows[position].nbytes


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
