"""Segments: pairs of files, one with rows and one with an index of these rows.

Both files only grow. ``*.rows`` holds rows one after another. ``*.index`` holds a 64-byte entry for
each row, which is written after the row. The entry consists of the row's key, its offset in the
file of rows, its checksum and, for a ragged row, its length on the first axis.

Only one process at a time appends to a segment, and only processes on the machine that created the
segment do so, because on a network file system, two machines may see different ends of the same
file. When a writer is killed, rows may be damaged or lost. Checksums reveal such rows, so a wrong
row is never returned.

Every call opens the files anew. So a fork inherits no open file, file handles cannot run out, and
files can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.layouts import layout_named
from skltransfer.cache.machine import machine

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from skltransfer.cache.batches import Batch

_ENTRY = np.dtype([("key", "S40"), ("offset", "<u8"), ("checksum", "<u8"), ("length", "<u8")])
"""A kernel writes whole pages, and a page holds a whole number of entries of 64 bytes. So even if
some pages were not written, every entry starts where it should."""

ENTRY_BYTES = _ENTRY.itemsize
LONGEST_KEY = 32

KEY_END = b"\1"
"""Appended to each key, because NumPy strips trailing zeros from byte strings."""

_ROWS, _INDEX = ".rows", ".index"
_DIGITS = 16
"""A segment's name starts with its time of creation, in this many hexadecimal digits, so that the
newest segment sorts last. The digits of the machine follow, and then random digits."""

_SECONDS_TO_LOCK, _PAUSE = 1.0, 0.001
"""Seconds for which a writer waits for another one, which needs only milliseconds, and seconds
between its attempts to lock the file."""

_TOUCH_SECONDS = 0.1
"""The time of last use is updated at most once in this many seconds, because updating it at each
read would be slow."""


class Segment:
    """The paths of one pair of files, and how much of the index has been read."""

    def __init__(self, index_path: str) -> None:
        self.index_path = index_path
        self.rows_path = index_path.removesuffix(_INDEX) + _ROWS
        name = os.path.basename(index_path)
        self.layout = layout_named(name.split(".")[1])
        self._is_local = _is_local(name)
        self._entries_read = 0
        self._touched = 0.0

    def new_entries(self) -> NDArray[np.void]:
        """Return the index entries that were added since the last call."""
        start = self._entries_read * ENTRY_BYTES
        try:
            # If another machine writes to the index, its size is known only once it has been
            # opened.
            if self._is_local and _size(self.index_path) < start + ENTRY_BYTES:
                return np.empty(0, _ENTRY)
            with open(self.index_path, "rb", buffering=0) as file:
                file.seek(start)
                data = file.read()
        except OSError:
            return np.empty(0, _ENTRY)
        entries = np.frombuffer(data, _ENTRY, count=len(data) // ENTRY_BYTES)
        self._entries_read += len(entries)
        return entries

    def touch(self) -> None:
        """Record that the segment is in use."""
        now = time.time()
        if now - self._touched > _TOUCH_SECONDS:
            self._touched = now
            with contextlib.suppress(OSError):
                os.utime(self.index_path)

    def append(self, keys: Sequence[bytes], checksums: NDArray[np.uint64], batch: Batch) -> None:
        """Write rows, then their index entries."""
        entries = np.zeros(len(keys), _ENTRY)
        entries["key"] = [key + KEY_END for key in keys]
        entries["checksum"] = checksums
        entries["length"] = batch.lengths
        ends = np.cumsum(batch.sizes)
        entries["offset"] = _append_rows(self.rows_path, batch.packed()) + ends - batch.sizes
        _append_entries(self.index_path, entries)

    def remove(self) -> None:
        """Delete both files, the index first, so that no reader looks for deleted rows."""
        for path in (self.index_path, self.rows_path):
            with contextlib.suppress(OSError):
                os.unlink(path)


def segment_names(folder: str, layout: str = "") -> set[str]:
    """Return the names of a namespace's segments, optionally only those of one layout."""
    ending = f".{layout}{_INDEX}" if layout else _INDEX
    try:
        return {name for name in os.listdir(folder) if name.endswith(ending)}
    except OSError:
        return set()


@contextmanager
def segment_with_room(folder: str, layout: str, segment_bytes: int) -> Iterator[Segment]:
    """Yield a segment to which no other process appends meanwhile.

    Usually, this is the newest segment that this machine created. If that segment is full, or if
    another process is writing to it, a new segment is yielded instead. Older segments get no more
    rows, because a reader that finds two copies of a row takes the one in the newer segment.
    """
    names = segment_names(folder, layout)
    newest = max(filter(_is_local, names), default=None)
    if newest is not None:
        segment = Segment(os.path.join(folder, newest))
        with _alone(segment.rows_path) as is_alone:
            if is_alone and _size(segment.rows_path) < segment_bytes:
                yield segment
                return
    yield Segment(os.path.join(folder, _new_name(layout, after=max(names, default=""))))


def _new_name(layout: str, after: str) -> str:
    created = time.time_ns()
    with contextlib.suppress(ValueError):
        created = max(created, int(after[:_DIGITS], 16) + 1)  # the clock may have been set back
    return f"{created:0{_DIGITS}x}{machine()}{secrets.token_hex(4)}.{layout}{_INDEX}"


def _is_local(name: str) -> bool:
    """Whether this machine created a segment."""
    return name[_DIGITS:].startswith(machine())


@contextmanager
def _alone(path: str) -> Iterator[bool]:
    """Keep other processes of this machine from writing to a file; yield whether that succeeded."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _lock(file)
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    """Lock an open file, waiting a while if necessary; closing the file unlocks it."""
    if sys.platform == "win32":
        return True
    give_up = time.monotonic() + _SECONDS_TO_LOCK
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                return False  # the other writer has been suspended
            time.sleep(_PAUSE)
        except OSError:
            return True  # without such locks, appends of one machine are still atomic
        else:
            return True


class SegmentUse(NamedTuple):
    """When a segment was last used, and how many bytes it takes."""

    last_used: float
    n_bytes: int
    index_path: str


def segments_under(folder: str) -> Iterator[SegmentUse]:
    """Yield the segments of all namespaces, including those without an index."""
    for path in _rows_paths(folder):
        index_path = path.removesuffix(_ROWS) + _INDEX
        with contextlib.suppress(OSError):
            rows = os.stat(path)
            try:
                index = os.stat(index_path)
            except OSError:
                yield SegmentUse(rows.st_mtime, rows.st_size, index_path)
            else:
                yield SegmentUse(index.st_mtime, rows.st_size + index.st_size, index_path)


def count_entries(folder: str) -> int:
    """Return the number of rows in the indexes of all namespaces under a folder."""
    return sum(
        os.path.getsize(segment.index_path) // ENTRY_BYTES
        for segment in segments_under(folder)
        if os.path.exists(segment.index_path)
    )


def _rows_paths(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as namespaces:
        for namespace in namespaces:
            with contextlib.suppress(OSError), os.scandir(namespace.path) as files:
                yield from [file.path for file in files if file.name.endswith(_ROWS)]


def _size(path: str) -> int:
    return os.stat(path).st_size


def _append_rows(path: str, packed: bytes | memoryview) -> int:
    """Append rows to a file; return the offset of the first."""
    with open(path, "ab", buffering=0) as file:
        if file.write(packed) != len(packed):
            raise OSError(f"only a part of {len(packed)} bytes could be written to {path}")
        return file.tell() - len(packed)


def _append_entries(path: str, entries: NDArray[np.void]) -> None:
    """Append entries to an index, aligned to whole entries even if it was truncated."""
    with open(path, "ab", buffering=0) as file:
        file.write(bytes(-file.tell() % ENTRY_BYTES) + entries.tobytes())
