"""MP3, decoded in a separate process.

The C decoder repairs damage, and reports it only in notes on standard error. A separate process
keeps the notes out of the user's terminal and makes them readable here, so that a repaired file can
be refused. The process starts with the first MP3 and ends with its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.sounds.mpeg_process import LENGTH, REQUEST

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array

_PROGRAM = Path(__file__).with_name("mpeg_process.py")

_MENDED = re.compile(r"error: (.*)|(Skipped \d+ bytes)|(?i:illegal audio-mpeg-header) 0x(\w+)")
_TAGS = {"41504554", "4c595249", "54414720"}
"""Beginnings of APE and Lyrics3 tags, which may follow the last frame and are not damage."""


class _Decoder:
    """A process that decodes, and the pipes to it."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as notes:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=notes,
            )

    def decode(self, data: bytes, max_seconds: float) -> tuple[dict[str, Any], bytes]:
        """Return the description and the samples of one file.

        Raises
        ------
        OSError, EOFError
            When the process has ended.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        requests.write(REQUEST.pack(len(data), max_seconds))
        requests.write(data)
        requests.flush()
        described = json.loads(_exactly(answers, LENGTH.unpack(_exactly(answers, LENGTH.size))[0]))
        n_bytes = 4 * int(np.prod(described.get("shape", (0,))))
        return described, _exactly(answers, n_bytes)

    def close(self) -> None:
        """Let the process end."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # of data that could not be sent
                pipe.close()
        self._process.wait()


def _exactly(file: Any, n_bytes: int) -> bytes:
    found: bytes = file.read(n_bytes)
    if len(found) < n_bytes:
        raise EOFError("the process that decodes MP3 has ended.")
    return found


class _Decoders:
    """The idle decoders. Each thread that decodes takes one, or starts one if none is idle."""

    def __init__(self) -> None:
        self._idle: list[_Decoder] = []
        self._lock = threading.Lock()

    def decode(self, data: bytes, max_seconds: float) -> tuple[dict[str, Any], bytes]:
        """Let an idle process, or a new one, decode a file.

        Raises
        ------
        Unreadable
            When the process ends without an answer.
        """
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
        decoder = decoder or _Decoder()
        try:
            found = decoder.decode(data, max_seconds)
        except (OSError, EOFError, ValueError) as error:
            decoder.close()
            raise Unreadable("the decoder gave up on it. Convert it to FLAC or WAV.") from error
        with self._lock:
            self._idle.append(decoder)
        return found

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def forget(self) -> None:
        """After a fork, leave the processes to the parent, which owns them."""
        self._lock = threading.Lock()
        _of_parents.extend(self._idle)
        self._idle = []


_of_parents: list[_Decoder] = []
"""Kept because a discarded Popen object polls its process, which is no child of this process."""
_decoders = _Decoders()
atexit.register(_decoders.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_decoders.forget)


def decode_mpeg(data: bytes, max_seconds: float) -> tuple[Array, int, int, int]:
    """Decode the beginning of an MP3 file, or of a WAV file that holds MP3.

    Returns
    -------
    samples : ndarray of shape (n, channels), dtype float32
        The first `max_seconds`.
    rate : int
        Sample rate in Hz.
    wanted, announced : int
        Number of samples that were asked for, and number in the whole file.

    Raises
    ------
    Unreadable
        When the file is damaged, even if the decoder repaired it.
    """
    described, encoded = _decoders.decode(data, max_seconds)
    if "error" in described:
        raise Unreadable(f"it is damaged ({described['error']}). Replace the file.")
    _check_notes(described["notes"])
    samples = np.frombuffer(encoded, np.float32).reshape(described["shape"])
    return samples, described["rate"], described["wanted"], described["announced"]


def _check_notes(notes: str) -> None:
    """Refuse a file that the decoder repaired."""
    for error, skipped, header in _MENDED.findall(notes):
        if header.lower() not in _TAGS:
            found = error or skipped or f"bytes 0x{header} where a frame should begin"
            raise Unreadable(f"it is damaged ({found.strip().rstrip('!.')}). Replace the file.")
