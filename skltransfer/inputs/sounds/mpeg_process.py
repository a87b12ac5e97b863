"""A program that decodes MP3 files one after another, from standard input to standard output.

It runs without the package. Its standard error is a file of its own. What the decoder writes there
is sent with the answer, because only these notes report damage that the decoder repaired.

A request is the length of the file in bytes (int64), the maximum number of seconds (float64), and
the file. An answer is the length of a description (int64), the description in JSON, and the samples
as float32, with the channels interleaved.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from typing import Any, BinaryIO

REQUEST = struct.Struct("<qd")
LENGTH = struct.Struct("<q")

_MOST_NOTES = 4096


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while len(header := requests.read(REQUEST.size)) == REQUEST.size:
        n_bytes, max_seconds = REQUEST.unpack(header)
        described, samples = _decoded(requests.read(n_bytes), max_seconds)
        encoded = json.dumps({**described, "notes": _notes()}).encode()
        answers.write(LENGTH.pack(len(encoded)) + encoded)
        answers.write(samples)
        answers.flush()


def _decoded(data: bytes, max_seconds: float) -> tuple[dict[str, Any], bytes]:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as opened:
            wanted = min(opened.frames, round(max_seconds * opened.samplerate))
            samples = opened.read(wanted, dtype="float32", always_2d=True)
            described = {
                "rate": opened.samplerate,
                "shape": samples.shape,
                "wanted": wanted,
                "announced": opened.frames,
            }
            return described, samples.tobytes()
    except Exception as error:
        told = getattr(error, "error_string", "") or str(error) or type(error).__name__
        return {"error": told.rstrip(".")}, b""


def _notes() -> str:
    """Return what was written to standard error, and empty it."""
    os.lseek(2, 0, os.SEEK_SET)
    found = os.read(2, _MOST_NOTES)
    os.lseek(2, 0, os.SEEK_SET)
    os.ftruncate(2, 0)
    return found.decode("utf-8", "replace")


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
