"""Mutated files of all formats: each is read, or refused by name; nothing crashes or hangs.

python tests/fuzz_sounds.py [5000] [seed]
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter

import numpy as np
import soundfile

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.sounds.decoding import decode

FORMATS = (
    *(("WAV", name) for name in ("PCM_16", "PCM_U8", "FLOAT", "ULAW", "MS_ADPCM")),
    *(("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
)
SLOW_SECONDS = 5.0


def sources(rng):
    """A file of each format."""
    time_axis = np.arange(8000) / 16_000
    sound = 0.3 * np.sin(2 * np.pi * 300 * time_axis) + rng.normal(0, 0.05, 8000)
    for name, subtype in FORMATS:
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, 16_000, format=name, subtype=subtype)
        yield f"{name} {subtype}", buffer.getvalue()


def mutated(content, rng):
    """Bytes changed, cut off, taken out, put in or doubled, mostly near the beginning."""
    changed = bytearray(content)
    share = 1.0 if rng.random() < 0.5 else 0.05
    place = int(rng.integers(max(1, int(share * len(changed)))))
    length = int(rng.integers(1, 200))
    kind = rng.integers(5)
    if kind == 0:
        for at in rng.integers(place, len(changed), size=rng.integers(1, 20)):
            changed[at] = rng.integers(256)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        del changed[place : place + length]
    elif kind == 3:
        changed[place:place] = rng.bytes(length)
    else:
        changed[place:place] = changed[place : place + length]
    return bytes(changed)


def outcome(content):
    """What becomes of one file."""
    begun = time.perf_counter()
    try:
        sound = decode(io.BytesIO(content), 60.0)
        fine = len(sound.samples) > 0 and np.isfinite(sound.samples).all()
        found = "read" if fine else "unexpected: no samples"
    except Unreadable as error:
        message = str(error)
        found = "refused" if message.endswith(".") else f"unexpected: {message!r}"
    except Exception as error:
        found = f"unexpected: {type(error).__name__}: {error}"
    return "unexpected: slow" if time.perf_counter() - begun > SLOW_SECONDS else found


def main(n_files=5000, seed=0):
    rng = np.random.default_rng(seed)
    given = list(sources(rng))
    counts: Counter[str] = Counter()
    for number in range(n_files):
        name, content = given[number % len(given)]
        found = outcome(mutated(content, rng))
        counts[f"{name}: {found}"] += 1
    for line, count in sorted(counts.items()):
        print(f"{count:6,}  {line}")
    n_unexpected = sum(count for line, count in counts.items() if "unexpected" in line)
    print(f"{n_files:,} files, {n_unexpected} unexpected")
    return n_unexpected


if __name__ == "__main__":
    sys.exit(min(main(*map(int, sys.argv[1:])), 1))
