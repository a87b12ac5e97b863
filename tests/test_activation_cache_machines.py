"""Two machines share a directory on a network file system, as far as that can be imitated.

There, a machine appends where it believes the end of a file to be, locks do not reach the other
machine, and sizes of files that are not open are old.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

import pytest

from activation_cache_helpers import NAMESPACE, gathered, keys_of, rows_of
from skltransfer.cache import segments
from skltransfer.cache.activation_cache import ActivationCache

N_ROWS, BLOCK = 400, 8

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files are written at an offset")


class Machine:
    """A machine with its own view of a directory."""

    def __init__(self, name, folder, monkeypatch):
        self.name = name
        self.cache = ActivationCache(str(folder), 1 << 26)
        self.n_computed = 0
        self._monkeypatch = monkeypatch
        self._ends = {}
        self._sizes = {}

    @contextmanager
    def at_work(self):
        """Let what happens in this process happen on this machine."""
        with self._monkeypatch.context() as patched:
            patched.setattr(segments, "machine", lambda: self.name)
            patched.setattr(segments, "_append_rows", self._append)
            patched.setattr(segments, "_append_entries", self._append)
            patched.setattr(segments, "_size", self._size)
            yield self.cache

    def run(self, keys):
        """Compute the rows that are not stored, in blocks."""
        with self.at_work() as cache:
            known = cache.contains(NAMESPACE, keys)
            new = [key for key, is_known in zip(keys, known, strict=True) if not is_known]
            cache.put(NAMESPACE, new, rows_of(new))
            self.n_computed += len(new)

    def _append(self, path, data):
        """Write where this machine believes the end to be."""
        data, end = bytes(data), self._ends.get(path)
        if end is None:
            end = os.path.getsize(path) if os.path.exists(path) else 0
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(file, data, end)
        os.close(file)
        self._ends[path] = end + len(data)
        return end

    def _size(self, path):
        """The size when this machine first asked, but for files that it writes itself."""
        if path in self._ends:
            return os.path.getsize(path)
        return self._sizes.setdefault(path, os.path.getsize(path))


@pytest.fixture
def machines(tmp_path, monkeypatch):
    return [Machine(name, tmp_path, monkeypatch) for name in ("aaaaaaaa", "bbbbbbbb")]


def test_two_machines_lose_no_row_and_compute_few_twice(machines):
    keys = keys_of(N_ROWS)
    blocks = [keys[start : start + BLOCK] for start in range(0, N_ROWS, BLOCK)]
    for number, block in enumerate(blocks):  # each has its half of the rows
        machines[number % 2].run(block)
    for machine in machines:  # and then needs all of them
        for block in blocks:
            machine.run(block)
        with machine.at_work() as cache:
            assert gathered(cache, keys).all()
    assert sum(machine.n_computed for machine in machines) <= 1.05 * N_ROWS


def test_machines_write_to_files_of_their_own(machines, tmp_path):
    for number, key in enumerate(keys_of(8)):
        machines[number % 2].run([key])
    names = sorted(path.name[16:24] for path in tmp_path.rglob("*.rows"))
    assert names == ["aaaaaaaa", "bbbbbbbb"]
