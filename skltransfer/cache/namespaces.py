"""One namespace of rows: which rows are stored, and where, as known to this process.

A namespace holds rows that differ only in their inputs; they come from the same network, freeze
point and settings. They are stored in segments, which are pairs of files.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer.cache.reading import Location, Output, Request, Requests
from skltransfer.cache.segments import KEY_END, Segment, segment_names, segment_with_room

if TYPE_CHECKING:
    from skltransfer.cache.batches import Batch

_CREATED = "created"


class Namespace:
    """All segments of a namespace, as known to this process."""

    def __init__(self, folder: str, segment_bytes: int) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._salt = zlib.crc32(os.path.basename(folder).encode())
        self._segments: dict[str, Segment] = {}
        self._locations: dict[bytes, Location] = {}
        self._lock = threading.RLock()

    def stored(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which keys are stored, whichever process stored them."""
        with self._lock:
            if not self._knows_all(keys):
                self._refresh()
            return np.array([key in self._locations for key in keys], bool)

    def read(self, keys: Sequence[bytes], out: Output) -> NDArray[np.bool_]:
        """Fill the rows of `out` that are stored; return which."""
        with self._lock:
            if not self._knows_all(keys):
                self._refresh()
            wanted = self._by_segment(keys)
        found = out.fill(wanted, keys, self._salt)
        self._forget_all_but(found, wanted, keys)
        return found

    def append(self, keys: Sequence[bytes], batch: Batch) -> None:
        """Store rows that are not stored yet.

        Raises
        ------
        OSError
            For example if the disk is full or the folder is read-only.
        """
        self.created()
        for some in _parts(batch.sizes, self._segment_bytes):
            part = batch.take(some)
            sums = part.checksums(keys[some], self._salt)
            layout = batch.layout.name
            with segment_with_room(self.folder, layout, self._segment_bytes) as segment:
                segment.append(keys[some], sums, part)

    def created(self) -> float:
        """Return when the namespace was created, in Unix time; create it if necessary."""
        path = os.path.join(self.folder, _CREATED)
        try:
            os.makedirs(self.folder, exist_ok=True)
        except FileExistsError as error:
            if os.path.lexists(self.folder) and not os.path.isdir(self.folder):
                raise
            # The folder existed, has been cleared since, and has perhaps been created again.
            raise FileNotFoundError(self.folder) from error
        with contextlib.suppress(FileExistsError), open(path, "xb"):
            pass
        return os.stat(path).st_mtime

    def _knows_all(self, keys: Sequence[bytes]) -> bool:
        return all(map(self._locations.__contains__, keys))

    def _refresh(self) -> None:
        """Learn what any process has added or removed since the last call."""
        names = segment_names(self.folder)
        self._forget_segments({self._segments.pop(name) for name in self._segments.keys() - names})
        # The newest segment last: if a damaged row was put again, the intact copy replaces it.
        for name in sorted(names):
            if name not in self._segments:
                self._segments[name] = Segment(os.path.join(self.folder, name))
            self._learn(self._segments[name])

    def _learn(self, segment: Segment) -> None:
        if segment.layout is None:
            return  # a foreign file
        entries = segment.new_entries()
        fields = ("offset", "length", "checksum")
        offsets, lengths, checksums = (entries[field].tolist() for field in fields)
        sizes = segment.layout.sizes(lengths)
        keys = [key.removesuffix(KEY_END) for key in entries["key"].tolist()]
        rows = map(Location, repeat(segment), offsets, sizes, lengths, checksums)
        self._locations.update(zip(keys, rows, strict=True))

    def _forget_segments(self, segments: set[Segment]) -> None:
        if segments:
            known = self._locations.items()
            self._locations = {key: row for key, row in known if row.segment not in segments}

    def _by_segment(self, keys: Sequence[bytes]) -> Requests:
        """Group the requested rows by segment."""
        wanted: dict[Segment, list[Request]] = defaultdict(list)
        for position, key in enumerate(keys):
            location = self._locations.get(key)
            if location is not None:
                wanted[location.segment].append((position, location))
        return wanted

    def _forget_all_but(
        self, found: NDArray[np.bool_], wanted: Requests, keys: Sequence[bytes]
    ) -> None:
        """Forget rows that are damaged or of another layout, so that they can be put again."""
        was_found = found.tolist()
        with self._lock:
            for position, location in chain.from_iterable(wanted.values()):
                # Another thread may have found the new copy of the row meanwhile.
                if not was_found[position] and self._locations.get(keys[position]) is location:
                    del self._locations[keys[position]]


def _parts(sizes: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Divide a batch into parts of at most `most` bytes, but of at least one row."""
    ends = np.cumsum(sizes)
    start = n_bytes = 0
    while start < len(sizes):
        stop = max(start + 1, int(np.searchsorted(ends, n_bytes + most, side="right")))
        yield slice(start, stop)
        start, n_bytes = stop, int(ends[stop - 1])
