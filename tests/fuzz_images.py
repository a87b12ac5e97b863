"""Damaged images: each is read, or refused by the documented error, in bounded time.

`test_fuzzing.py` reads a few hundred. Many, from the folder above:

    python tests/fuzz_images.py --files 20000 --seed 1

The number on the last line is that of the file being read, so that a crash or a hang names its
file: `damaged(seed, number)` makes it again.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import resource
import struct
import sys
import time
import warnings
import zlib
from collections import Counter

import numpy as np
from PIL import Image

from image_files import LARGE, encode, exif
from kinds_of_files import FILES
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing

LONGEST = 5.0
"""Seconds of the processor that one file may take."""
HANGS_AFTER = 60.0
"""Seconds after which the process is ended; other work on the machine may slow it down."""
NUMBERS = (
    0,
    1,
    2,
    7,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
SIZES = ((6, 9), (1, 1), (32, 32), (64, 64), (224, 224))


def corpus():
    """Every kind of file that is read, and larger ones, which have several blocks and strips."""
    large = [encode(LARGE, name) for name in ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]]
    large += [encode(LARGE.resize((300, 200)), "JPEG", progressive=True, exif=exif(6))]
    large += [encode(LARGE, "TIFF", compression=name) for name in ["tiff_lzw", "jpeg"]]
    return [kind.X[0] for kind in FILES.values()] + large


# Damages -----------------------------------------------------------------------------------


def flipped(data, rng, other):
    places = rng.integers(len(data), size=rng.integers(1, 17))
    array = np.frombuffer(data, np.uint8).copy()
    array[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    return array.tobytes()


def overwritten(data, rng, other):
    start = int(rng.integers(len(data)))
    noise = rng.bytes(int(rng.integers(1, 33)))
    return data[:start] + noise + data[start + len(noise) :]


def truncated(data, rng, other):
    return data[: int(rng.integers(len(data)))]


def with_insertion(data, rng, other):
    start = int(rng.integers(len(data)))
    return data[:start] + rng.bytes(int(rng.integers(1, 257))) + data[start:]


def without_a_part(data, rng, other):
    start, stop = sorted(rng.integers(len(data) + 1, size=2))
    return data[:start] + data[stop:]


def with_a_repeated_part(data, rng, other):
    start, stop = sorted(rng.integers(len(data) + 1, size=2))
    return data[:stop] + data[start:stop] * int(rng.integers(1, 4)) + data[stop:]


def spliced(data, rng, other):
    return data[: int(rng.integers(len(data)))] + other[int(rng.integers(len(other))) :]


def with_another_number(data, rng, other):
    """A header's field, a chunk's size or an offset, in either order of bytes."""
    order, kind = rng.choice(["<", ">"]), rng.choice(["B", "H", "I"])
    number = int(rng.choice(NUMBERS)) if rng.random() < 0.7 else int(rng.integers(2**32))
    packed = struct.pack(order + kind, number % 256 ** struct.calcsize(kind))
    start = int(rng.integers(min(len(data), 128 if rng.random() < 0.7 else len(data))))
    return data[:start] + packed + data[start + len(packed) :]


def with_checksums(data, rng, other):
    """Another damage, after which the checksums of a PNG hold again, so that more is read."""
    damaged = bytearray(DAMAGES[int(rng.integers(len(DAMAGES) - 1))](data, rng, other))
    start = 8
    while damaged[:4] == b"\x89PNG" and start + 12 <= len(damaged):
        stop = start + 8 + int.from_bytes(damaged[start : start + 4], "big")
        damaged[stop : stop + 4] = struct.pack(">I", zlib.crc32(damaged[start + 4 : stop]))
        start = stop + 4
    return bytes(damaged)


DAMAGES = (
    flipped,
    overwritten,
    truncated,
    with_insertion,
    without_a_part,
    with_a_repeated_part,
    spliced,
    with_another_number,
    with_checksums,
)


def damaged(seed, number, files):
    """The file of a number, and how it is to be read: one to three damages to one of `files`."""
    rng = np.random.default_rng([seed, number])
    data, other = (files[int(index)] for index in rng.integers(len(files), size=2))
    for _ in range(int(rng.integers(1, 4))):
        data = DAMAGES[int(rng.integers(len(DAMAGES)))](data, rng, other) or b"\0"
    size = SIZES[int(rng.integers(len(SIZES)))]
    how = ("stretch", "crop", "pad")[int(rng.integers(3))]
    return opened(data) if rng.random() < 0.2 else data, ImagePreprocessing(size, how)


def opened(data):
    """A PIL image, as a user may have opened it; the bytes where Pillow refuses them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Image.open(io.BytesIO(data))
        except Exception:
            return data


# What becomes of them ----------------------------------------------------------------------


def outcome(source, rule):
    """Say "read" or "refused"; anything else is a failure, and says which."""
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = fault(decode(source, rule, 3), rule)
    except ImageReadError as error:
        told = str(error)
        result = "refused" if told.startswith("row 3 (") and told.endswith(".") else told
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    seconds = time.process_time() - began
    return result if seconds < LONGEST else f"{result}, after {seconds:.1f} s"


def fault(pixels, rule):
    if pixels.shape != (*rule.size, 3) or pixels.dtype != np.float32:
        return f"shape {pixels.shape}, {pixels.dtype}"
    good = np.isfinite(pixels).all() and pixels.min() > -0.01 and pixels.max() < 255.01
    return "read" if good else f"levels from {pixels.min()} to {pixels.max()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    files, outcomes, slowest = corpus(), Counter(), 0.0
    for number in range(wanted.files):
        print(number, end="\r", flush=True)
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        began = time.process_time()
        result = outcome(*damaged(wanted.seed, number, files))
        slowest = max(slowest, time.process_time() - began)
        outcomes[result] += 1
        if result not in ("read", "refused"):
            print(f"{number}: {result}")
    faulthandler.cancel_dump_traceback_later()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{outcomes['read']} read, {outcomes['refused']} refused, slowest {slowest:.2f} s of CPU,"
    )
    print(f"peak {peak:.0f} MB; seed {wanted.seed}")
    return int(set(outcomes) - {"read", "refused"} != set())


if __name__ == "__main__":
    sys.exit(main())
