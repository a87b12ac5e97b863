"""A program that decodes MP3: one sound after the other, from standard input to standard output.

It runs by itself, without the package. What the decoder writes on standard error lands in a file
that is its own, and goes along with the answer, since it tells of damage that is mended in silence.

A request is the length of the file in bytes (int64), the most seconds wanted (float64), and the
file. An answer is the length of a description (int64), the description in JSON, and the samples as
float32, one channel beside the other.
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
    """What was written on standard error, which is then empty again."""
    os.lseek(2, 0, os.SEEK_SET)
    found = os.read(2, _MOST_NOTES)
    os.lseek(2, 0, os.SEEK_SET)
    os.ftruncate(2, 0)
    return found.decode("utf-8", "replace")


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
