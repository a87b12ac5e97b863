"""Sounds row by row, read on demand."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs._input import Array, Rows
from skltransfer.inputs.digests import digest_array, digest_encoded
from skltransfer.inputs.errors import ReadError, read_error
from skltransfer.inputs.reading import (
    FileDigests,
    existing_file,
    missing_value,
    naming_the_row,
    open_path,
    reason,
)
from skltransfer.inputs.sounds.decoding import Sound, decode, is_longer
from skltransfer.inputs.sounds.errors import SoundReadError
from skltransfer.inputs.sounds.front_end import LogMel
from skltransfer.inputs.sounds.waveforms import around, one_channel, resampled

_FEWEST_BYTES_A_SECOND = 1_000
"""Encoded sounds have at least this many bytes a second, so small files need not be opened to know
that they are short."""

_file_digests = FileDigests(error=SoundReadError)


class Clip(NamedTuple):
    """Samples (n,) or (n, channels) of any dtype, and their rate in Hz."""

    samples: Array
    rate: int


Item = str | os.PathLike[str] | bytes | Clip | None
"""What a row holds; None if the sound is missing."""


class SoundSource:
    """Rows of sounds, read as log-mel maps.

    Parameters
    ----------
    items : sequence
        Paths, encoded bytes and clips; None for missing sounds.
    front_end : LogMel
        Computes a map from samples.
    min_samples : int
        Minimum length in samples; shorter sounds are padded with silence.
    max_seconds : float
        Number of seconds of a sound that are read.
    rows : ndarray of int
        The rows of X that are in this source.
    """

    is_at_hand = False  # computing a map takes half a millisecond for each second of sound

    def __init__(
        self,
        items: Sequence[Item],
        front_end: LogMel,
        min_samples: int,
        max_seconds: float,
        rows: NDArray[np.intp],
    ) -> None:
        self._items = items
        self._front_end = front_end
        self._min_samples = min_samples
        self._max_seconds = max_seconds
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def digest(self, row: int) -> bytes:
        """Return the digest of what is stored: of encoded bytes, or of the rate and the samples."""
        item, number = self._item(row), int(self._rows[row])
        if isinstance(item, Clip):
            rate = f"sound {item.rate}\0".encode()
            return hashlib.sha256(rate + digest_array(item.samples)).digest()
        if isinstance(item, bytes):
            return digest_encoded(item)
        return _file_digests.digest(item, number)

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return whether a file is unchanged since its digest was taken."""
        if isinstance(self._items[self._rows[row]], (bytes, Clip)):
            return True
        try:
            return self.digest(row) == digest
        except ReadError:
            return False

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Compute the maps of the given rows."""
        for place, row in enumerate(rows):
            out[0][place] = self._map(self.sound(row))

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of the given rows; messages still use their numbers in X."""
        rows = np.asarray(rows)
        chosen = object.__new__(type(self))
        chosen.__dict__ = {**self.__dict__, "_rows": self._rows[rows if rows.size else []]}
        return chosen

    def sound(self, row: int) -> Sound:
        """Return the samples of a row, up to `max_seconds`.

        Raises
        ------
        SoundReadError
            When they cannot be read.
        """
        item = self._item(row)
        if isinstance(item, Clip):
            n_read = round(self._max_seconds * item.rate)
            return Sound(item.samples[: max(n_read, 1)], item.rate, len(item.samples) > n_read)
        with self._opened(row) as file:
            return decode(file, self._max_seconds)

    def check_paths(self) -> None:
        """Check that all files exist, before any is read.

        Raises
        ------
        SoundReadError
            For the first missing file; the message says how many are missing.
        """
        faults: list[tuple[int, str]] = []
        for row in self._rows.tolist():
            if not isinstance(self._items[row], (bytes, Clip)):
                try:
                    existing_file(self._items[row], SoundReadError)
                except Exception as error:
                    faults.append((row, reason(error)))
        if faults:
            row, fault = faults[0]
            count = f" Of {len(self)} rows, {len(faults)} have no file." if faults[1:] else ""
            raise read_error(row, self._items[row], fault + count, SoundReadError)

    def n_cut(self) -> int:
        """Count the sounds that are longer than `max_seconds`; unreadable ones do not count."""
        return sum(map(self._is_cut, range(len(self))))

    def _is_cut(self, row: int) -> bool:
        item = self._items[self._rows[row]]
        if isinstance(item, Clip):
            return len(item.samples) > self._max_seconds * item.rate
        try:
            if _n_bytes(item) < _FEWEST_BYTES_A_SECOND * self._max_seconds:
                return False
            with self._opened(row) as file:
                return is_longer(file, self._max_seconds)
        except Exception:  # reported when the row is read
            return False

    def _map(self, sound: Sound) -> NDArray[np.float32]:
        samples = resampled(one_channel(sound.samples), sound.rate, self._front_end.sample_rate)
        return self._front_end(around(samples, self._min_samples))

    def _item(self, row: int) -> str | os.PathLike[str] | bytes | Clip:
        number = int(self._rows[row])
        item = self._items[number]
        if item is None:
            raise missing_value(number, SoundReadError)
        return item

    @contextmanager
    def _opened(self, row: int) -> Iterator[BinaryIO]:
        """Yield the opened file or the encoded bytes of a row; errors name the row."""
        item, number = self._item(row), int(self._rows[row])
        assert not isinstance(item, Clip)
        if isinstance(item, bytes):
            with naming_the_row(item, number, SoundReadError):
                yield io.BytesIO(item)
        else:
            with open_path(item, number, SoundReadError) as file:
                yield file


def _n_bytes(item: str | os.PathLike[str] | bytes | None) -> int:
    return len(item) if isinstance(item, bytes) else existing_file(item, SoundReadError)[1].st_size
