"""The table of kinds of sound X: the samples of each row that are expected, or why it is refused.

Expected samples are worked out here, without the code under test; those of lossy files are what
soundfile decodes.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import soundfile as sf
from scipy.sparse import csr_array

RATE = 16_000
N = 800

_rng = np.random.default_rng(0)
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(N) / RATE)
INT16 = np.rint(TONE * 32767).astype(np.int16)
EXACT = (INT16 / 32768).astype(np.float32)  # what 16 bits can hold
OTHER = (np.rint(_rng.uniform(-0.4, 0.4, N) * 32767) / 32768).astype(np.float32)
STEREO = np.stack([EXACT, OTHER], axis=1)
MIXED = (EXACT + OTHER) / np.float32(2)


@dataclass
class Kind:
    """One kind of X, and what becomes of it."""

    X: Any
    samples: list[np.ndarray] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    atol: float = 0.0
    rate: int = RATE
    error: type[Exception] = ValueError
    message: str = ""


def encoded(samples=EXACT, format="WAV", subtype=None, rate=RATE, endian=None):
    """A file in memory."""
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, format=format, subtype=subtype, endian=endian)
    return buffer.getvalue()


def decoded(content):
    with sf.SoundFile(io.BytesIO(content)) as file:  # sf.read seeks first, which changes MP3
        return file.read(file.frames, dtype="float32")


def written(name, content):
    """A path; made when the test's folder is there."""

    def make(folder: Path) -> list[Any]:
        (folder / name).write_bytes(content)
        return [str(folder / name)]

    return make


def streamed(content):
    """A WAV file of which its writer did not know the length."""
    at = content.index(b"data") + 4
    return content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]


def with_chunk(content, name, body):
    """A WAV file with another chunk in front of the samples."""
    at = content.index(b"data")
    chunk = name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return content[:at] + chunk + content[at:]


def mpeg_in_wav(content):
    """A WAV file whose samples are coded as MP3."""
    described = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 4000, 1, 0, 12, 1, 2, 144, 1, 1393)
    chunks = b"fmt " + struct.pack("<I", len(described)) + described
    chunks += b"fact" + struct.pack("<II", 4, N) + b"data" + struct.pack("<I", len(content))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(content)) + b"WAVE" + chunks + content


WAV, FLAC, OGG, MP3 = (encoded(format=name) for name in ("WAV", "FLAC", "OGG", "MP3"))
TAGS = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)
APE_TAG = b"APETAGEX" + struct.pack("<4I8x", 2000, 32, 0, 0)

ACCEPTED: dict[str, Kind] = {}
UNREADABLE: dict[str, Kind] = {}
REFUSED: dict[str, Kind] = {}


def accept(name, X, samples=EXACT, atol=0.0, rate=RATE, **settings):
    assert name not in ACCEPTED
    samples = samples if isinstance(samples, list) else [samples]
    ACCEPTED[name] = Kind(X, samples, settings, atol, rate)


def unreadable(name, item, message):
    assert name not in UNREADABLE
    UNREADABLE[name] = Kind(item, message=message)


def refuse(name, X, error, message, **settings):
    assert name not in REFUSED
    REFUSED[name] = Kind(X, settings=settings, error=error, message=message)


# Files and bytes -------------------------------------------------------------------------------

for subtype, atol in {
    "PCM_16": 0, "PCM_24": 0, "PCM_32": 0, "FLOAT": 0, "DOUBLE": 0, "PCM_U8": 8e-3, "ULAW": 4e-2,
    "ALAW": 4e-2, "IMA_ADPCM": 0.2, "MS_ADPCM": 0.2, "GSM610": 0.5,
}.items():  # fmt: skip
    content = encoded(subtype=subtype)
    accept(f"WAV, {subtype}", [content], decoded(content), rate=RATE)
    if atol < 0.1:
        accept(f"WAV, {subtype}, against the source", [content], EXACT, atol=atol)
for format, subtype in (("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_16")):
    accept(f"{format}, {subtype}", [encoded(format=format, subtype=subtype)])
accept("FLAC, 8 bits", [encoded(format="FLAC", subtype="PCM_S8")], atol=8e-3)
accept("AIFF, 24 bits", [encoded(format="AIFF", subtype="PCM_24")])
accept("AIFF-C, floats", [encoded(format="AIFF", subtype="FLOAT")])
accept("AIFF, 8 bits without sign", [encoded(format="AIFF", subtype="PCM_U8")], atol=8e-3)
accept("WAV, big-endian (RIFX)", [encoded(endian="BIG")])
accept("WAV, extensible", [encoded(format="WAVEX")])
accept("RF64", [encoded(format="RF64")])
accept("Ogg Vorbis", [OGG], decoded(OGG))
accept("Ogg Opus", [encoded(format="OGG", subtype="OPUS")],
       decoded(encoded(format="OGG", subtype="OPUS")))  # fmt: skip
accept("MP3", [MP3], decoded(MP3))
accept("MP3 behind an ID3 tag", [TAGS + MP3], decoded(MP3))
accept("MP3 before an ID3v1 tag", [MP3 + b"TAG" + bytes(125)], decoded(MP3))
accept("MP3 before an APE tag", [MP3 + APE_TAG], decoded(MP3))
accept("MP3 in a WAV file", [mpeg_in_wav(MP3)], decoded(MP3))
accept("MP3 that is called WAV", written("a.wav", MP3), decoded(MP3))
accept("FLAC that is called MP3", written("a.mp3", FLAC))
accept("WAV without an ending", written("a", WAV))
accept("WAV of unknown length", [streamed(WAV)])
accept("WAV with a LIST chunk", [with_chunk(WAV, b"LIST", b"INFOabc")])
accept("WAV with a chunk behind the samples", [WAV + b"id3 " + struct.pack("<I", 4) + b"abcd"])
accept("WAV of two channels", [encoded(STEREO)], MIXED)
accept("FLAC of two channels", [encoded(STEREO, "FLAC")], MIXED)
accept("WAV of six channels", [encoded(np.repeat(EXACT[:, None], 6, axis=1))], atol=1e-7)
accept("WAV at 8 kHz", [encoded(rate=8000)], rate=8000)
accept("WAV at 48 kHz", [encoded(rate=48_000)], rate=48_000)
accept("WAV at 44.1 kHz", [encoded(rate=44_100)], rate=44_100)
accept("a header's rate stands above sample_rate", [encoded(rate=8000)], rate=8000,
       sample_rate=44_100)  # fmt: skip
accept("a path", written("a.wav", WAV))
accept("a Path", lambda folder: [Path(written("a.wav", WAV)(folder)[0])])
accept("a path from the home", lambda folder: [written("a.wav", WAV)(folder) and "~/a.wav"])
accept("a path with spaces and umlauts", written("ä ö.wav", WAV))
accept("bytearray", [bytearray(WAV)])
accept("memoryview", [memoryview(WAV)])
accept("silence in a file", [encoded(np.zeros(N, np.float32))], np.zeros(N))
accept("one sample in a file", [encoded(EXACT[:1])], EXACT[:1])
accept("full scale in a file", [encoded(np.array([-32768, 32767], np.int16))],
       np.array([-1, 32767 / 32768]))  # fmt: skip

# Containers ------------------------------------------------------------------------------------

accept("a tuple of bytes", (WAV, FLAC), [EXACT, EXACT])
accept("1-D array of objects", np.array([WAV, FLAC], object), [EXACT, EXACT])
accept("column of objects", np.array([[WAV], [FLAC]], object), [EXACT, EXACT])
accept("1-D array of str", lambda folder: np.array(written("a.wav", WAV)(folder)))
accept("Series of paths", lambda folder: pd.Series(written("a.wav", WAV)(folder)))
accept("Series of strings of pandas",
       lambda folder: pd.Series(written("a.wav", WAV)(folder), dtype="string"))  # fmt: skip
accept("frame of one column", lambda folder: pd.DataFrame({"p": written("a.wav", WAV)(folder)}))
accept("Series of polars", lambda folder: pl.Series(written("a.wav", WAV)(folder)))
accept("frame of polars", lambda folder: pl.DataFrame({"p": written("a.wav", WAV)(folder)}))
accept("list of lists of one path", lambda folder: [written("a.wav", WAV)(folder)])
accept("paths, bytes, pairs and arrays together",
       lambda folder: [*written("a.wav", WAV)(folder), FLAC, (RATE, INT16), EXACT],
       [EXACT] * 4, sample_rate=RATE)  # fmt: skip

# Pairs and arrays ------------------------------------------------------------------------------

accept("pair as scipy gives it", [(RATE, INT16)])
accept("pairs of two rates", [(RATE, INT16), (RATE, OTHER)], [EXACT, OTHER])
accept("pair with the rate as NumPy's int", [(np.int64(RATE), INT16)])
accept("pair with the rate as a float", [(float(RATE), INT16)])
accept("list instead of a pair", [[RATE, INT16]])
accept("pair of two channels", [(RATE, np.rint(STEREO * 32768).astype(np.int16))], MIXED)
accept("pair of a list", [(RATE, EXACT.tolist())])
accept("column of pairs", pd.Series([(RATE, INT16)]))
accept("array of int16", INT16[None], sample_rate=RATE)
accept("array of int32", (INT16.astype(np.int32) << 16)[None], sample_rate=RATE)
accept("array of uint8", np.rint(EXACT * 128 + 128).astype(np.uint8)[None], atol=4e-3,
       sample_rate=RATE)  # fmt: skip
accept("array of int8", np.rint(EXACT * 128).astype(np.int8)[None], atol=4e-3, sample_rate=RATE)
accept("array of float32", EXACT[None], sample_rate=RATE)
accept("array of float64", EXACT[None].astype(np.float64), sample_rate=RATE)
accept("array of float16", EXACT[None].astype(np.float16), atol=3e-4, sample_rate=RATE)
accept("big-endian array", INT16[None].astype(">i2"), sample_rate=RATE)
accept("array with strides", np.repeat(INT16[None], 2, axis=1)[:, ::2], sample_rate=RATE)
accept("array of Fortran's order", np.asfortranarray(np.stack([EXACT, OTHER])), [EXACT, OTHER],
       sample_rate=RATE)  # fmt: skip
accept("array with a channel", INT16[None, :, None], sample_rate=RATE)
accept("array of two channels", STEREO[None], MIXED, sample_rate=RATE)
accept("list of arrays of several lengths", [EXACT, OTHER[:300]], [EXACT, OTHER[:300]],
       sample_rate=RATE)  # fmt: skip
accept("list of arrays of one length", [EXACT, OTHER], [EXACT, OTHER], sample_rate=RATE)
accept("nested lists", np.stack([EXACT, OTHER]).tolist(), [EXACT, OTHER], sample_rate=RATE)
accept("frame of numbers", pd.DataFrame(np.stack([EXACT, OTHER])), [EXACT, OTHER],
       sample_rate=RATE)  # fmt: skip
accept("silence", np.zeros((1, N), np.float32), np.zeros(N), sample_rate=RATE)
accept("one sample", EXACT[None, :1], EXACT[:1], sample_rate=RATE)
accept("beyond full scale by a little", (4 * EXACT)[None], 4 * EXACT, sample_rate=RATE)
accept("at another rate", EXACT[None], rate=22_050, sample_rate=22_050)

# Rows that cannot be read ----------------------------------------------------------------------

unreadable("no file", "no such file.wav", "there is no such file")
unreadable("a folder", lambda folder: str(folder), "use sounds_from_folder")
unreadable("a device", os.devnull, "it is not a regular file. Give the path of a sound file")
unreadable("a URL", "https://example.org/a.wav", "it is a URL, and nothing is downloaded")
unreadable("an empty path", "", "the path is empty. Give the path of a sound file")
unreadable("None", None, "there is no value")
unreadable("NaN", float("nan"), "there is no value")
unreadable("pandas' NA", pd.NA, "there is no value")
unreadable("no bytes", b"", "it is empty")
unreadable("text", b"hello, this is no sound at all", "text of no known format")
unreadable("HTML", b"<!doctype html><html></html>", "HTML or XML")
unreadable("an image", b"\x89PNG\r\n\x1a\n" + bytes(40), "it is an image")
unreadable("a ZIP archive", b"PK\x03\x04" + bytes(40), "it is a ZIP archive")
unreadable("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull")
unreadable("MPEG-4", b"\0\0\0\x20ftypM4A " + bytes(40), "MPEG-4")
unreadable("WebM", b"\x1aE\xdf\xa3" + bytes(40), "Matroska or WebM")
unreadable("MIDI", b"MThd" + bytes(40), "MIDI")
unreadable("noise", bytes(range(200, 250)), "data of no known format")
unreadable("WAV cut short", WAV[:-100], "announces 1,600 bytes of samples, but only 1,500 are")
unreadable("WAV cut within its header", WAV[:30], "WAV file without samples")
unreadable("WAV without samples", encoded(EXACT[:0]), "it holds no samples")
unreadable("AIFF cut short", encoded(format="AIFF")[:-100], "cut short")
unreadable("FLAC cut short", FLAC[:-100], "damaged|could be decoded")
unreadable("FLAC damaged", FLAC[:200] + bytes(50) + FLAC[250:], "damaged|could be decoded")
unreadable("Ogg cut short", OGG[:-100], "last page was cut short")
unreadable("Ogg without its last page", OGG[: OGG.rindex(b"OggS")], "last page is missing")
unreadable("Ogg damaged", OGG[:-60] + b"\1\2\3" + OGG[-57:], "of the Ogg file is damaged")
unreadable("Ogg with something behind", OGG + b"more", "no page begins at byte")
unreadable("MP3 cut short", encoded(np.tile(EXACT, 20), "MP3")[:-2000], "could be decoded|damaged")
unreadable("MP3 with a hole",
           (lambda c: c[:1500] + c[1600:])(encoded(np.tile(EXACT, 20), "MP3")),
           "damaged|could be decoded")  # fmt: skip
unreadable("100 channels", encoded(np.zeros((N, 100), np.float32)), "100 channels")
unreadable("a rate of 500 Hz", encoded(rate=500), "sample rate is 500 Hz")
unreadable("NaN in a file", encoded(np.array([0, np.nan], np.float32), subtype="FLOAT"), "NaN")
unreadable("integers kept as floats in a file",
           encoded(EXACT * 30_000, subtype="FLOAT"), "full scale is -1 to 1")  # fmt: skip

# What is refused whatever on_error says --------------------------------------------------------

refuse("one path", "a.wav", TypeError, r"one single sound. Pass a list: \[X\]")
refuse("one file's bytes", WAV, TypeError, r"Pass a list: \[X\]")
refuse("one pair", (RATE, INT16), TypeError, r"one single sound, .*: \[X\]")
refuse("one array", EXACT, ValueError, r"one single sound. Pass a list: \[X\]",
       sample_rate=RATE)  # fmt: skip
refuse("arrays without a rate", [EXACT], ValueError, "row 0 of X holds samples .* sample_rate")
refuse("an array without a rate", EXACT[None], ValueError, "X holds samples .* sample_rate=16000")
refuse("no rows", [], ValueError, "0 sample")
refuse("no samples in an array", np.zeros((2, 0)), ValueError, "holds no samples", sample_rate=RATE)
refuse("no samples in a row", [EXACT, EXACT[:0]], ValueError, "row 1 of X .* no samples",
       sample_rate=RATE)  # fmt: skip
refuse("NaN in an array", np.full((1, N), np.nan), ValueError, "row 0 of X contains NaN",
       sample_rate=RATE)  # fmt: skip
refuse("infinity in a row", [EXACT, np.full(N, np.inf)], ValueError, "row 1 of X contains infinity",
       sample_rate=RATE)  # fmt: skip
refuse("integers kept as floats", [INT16.astype(float)], ValueError, "Divide it by the full scale",
       sample_rate=RATE)  # fmt: skip
refuse("int64", INT16[None].astype(np.int64), TypeError, "dtype int64", sample_rate=RATE)
refuse("uint16", np.zeros((1, N), np.uint16), TypeError, "dtype uint16", sample_rate=RATE)
refuse("bool", np.zeros((1, N), bool), TypeError, "dtype bool", sample_rate=RATE)
refuse("complex", np.zeros((1, N), complex), TypeError, "dtype complex128", sample_rate=RATE)
refuse("channels first", [(RATE, np.zeros((2, N)))], ValueError, "Channels come last")
refuse("four axes", np.zeros((1, N, 1, 1)), ValueError, "Sounds are of shape", sample_rate=RATE)
refuse("three axes in a row", [np.zeros((N, 1, 1))], ValueError, "row 0 of X has the shape",
       sample_rate=RATE)  # fmt: skip
refuse(
    "a pair with a rate of 10 Hz", [(10, INT16)], ValueError, "row 0 of X: the sample rate is 10"
)
refuse("a pair with half a hertz", [(16000.5, INT16)], ValueError, "the sample rate is 16000.5")
refuse("a number", [3.5], TypeError, "row 0 of X is a float: 3.5", sample_rate=RATE)
refuse("an object", [WAV, object()], TypeError, "row 1 of X is a object")
refuse("a dict of columns", {"audio": [WAV]}, TypeError, r"X is a dict.*X\['audio'\]")
refuse("a generator", (x for x in [WAV]), TypeError, r"list\(X\)")
refuse("a set", {WAV}, TypeError, r"X is a set")
refuse("sparse", csr_array(np.eye(3)), TypeError, "X is a csr_array")
refuse("several columns", pd.DataFrame({"a": ["1.wav"], "b": ["x"]}), ValueError,
       r"X has 2 columns, 'a', 'b'.*X\[\['a'\]\]")  # fmt: skip
refuse("masked samples", np.ma.array(EXACT[None], mask=EXACT[None] > 0.4), ValueError, "masked",
       sample_rate=RATE)  # fmt: skip
refuse("rows of several lengths", [[0.1, 0.2], [0.1]], ValueError, "rows differ in length",
       sample_rate=RATE)  # fmt: skip
