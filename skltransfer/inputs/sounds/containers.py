"""The format of encoded sounds, and whether they hold all that their headers announce.

libsndfile reads a truncated WAV file as a shorter one, and silently skips pages of a damaged Ogg
file. So the headers are checked here before anything is decoded.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.wrapped_files import unwrapping_advice

MPEG = "MP3"
"""The only format whose decoder writes to standard error."""

_UNKNOWN_LENGTHS = (0, 0x7FFFFFFF, 0xFFFFFFFF)
"""Lengths in headers if the writer did not know how much follows, as ffmpeg does in a pipe."""

_MPEG_IN_WAV = (0x50, 0x55)

_OGG_HEADER = 27
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse."""

_NO_SOUNDS = (
    (b"version https://git-lfs", "it is a Git LFS pointer. Run git lfs pull to get the file."),
    (b"PK\x03\x04", "it is a ZIP archive. Unpack it."),
    (b"\x93NUMPY", "it is a NumPy file. Pass the array that np.load gives."),
    (b"%PDF", "it is a PDF. Give a file of sound."),
    (b"\x1aE\xdf\xa3", "it is Matroska or WebM. Convert it to FLAC or WAV, as ffmpeg does."),
    (b"#!AMR", "it is AMR. Convert it to FLAC or WAV, as ffmpeg does."),
    (b"0&\xb2u", "it is Windows Media. Convert it to FLAC or WAV, as ffmpeg does."),
    (b"MThd", "it is MIDI: notes and no sound. Render it to WAV."),
    (b"\x89PNG", "it is an image. Give a file of sound."),
    (b"\xff\xd8\xff", "it is an image. Give a file of sound."),
    (b"<", "it is text (HTML or XML), as left by a failed download. Download it again."),
)


def recognised(file: BinaryIO) -> str:
    """Return the format of a file by its content; refuse a file that is cut short.

    Returns
    -------
    str
        "WAV", "AIFF", "FLAC", "OGG" or "MP3".

    Raises
    ------
    Unreadable
        If the file has none of these formats, or if its container shows that it is damaged or cut
        short.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    for accepts, check in _FORMATS:
        if accepts(start):
            return check(file, size)
    raise Unreadable(_unknown_content(start))


def _is_wav(start: bytes) -> bool:
    return start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE"


def _is_aiff(start: bytes) -> bool:
    return start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC")


def _is_mpeg(start: bytes) -> bool:
    """Whether a file begins with an ID3 tag or the header of a frame of MPEG layer I to III."""
    if start[:3] == b"ID3":
        return True
    return len(start) >= 4 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0 and start[1] & 0x06 != 0


def _check_wav(file: BinaryIO, size: int) -> str:
    """Walk through the chunks of a WAV file up to its samples."""
    order = ">" if file.read(4) == b"RIFX" else "<"
    file.seek(12)
    coding = 0
    while len(header := file.read(8)) == 8:
        name, length = header[:4], struct.unpack(f"{order}I", header[4:])[0]
        if name == b"fmt ":
            coding = struct.unpack(f"{order}H", file.read(2).ljust(2, b"\0"))[0]
            file.seek(-2, os.SEEK_CUR)
        if name == b"data":
            if length not in _UNKNOWN_LENGTHS:
                _check_length(file, size, length)
            return MPEG if coding in _MPEG_IN_WAV else "WAV"
        file.seek(length + length % 2, os.SEEK_CUR)
    raise Unreadable("it is a WAV file without samples: it was cut short. Replace the file.")


def _check_aiff(file: BinaryIO, size: int) -> str:
    """Walk through the chunks of an AIFF file up to its samples."""
    file.seek(12)
    while len(header := file.read(8)) == 8:
        length = struct.unpack(">I", header[4:])[0]
        if header[:4] == b"SSND":
            _check_length(file, size, length)
            return "AIFF"
        file.seek(length + length % 2, os.SEEK_CUR)
    raise Unreadable("it is an AIFF file without samples: it was cut short. Replace the file.")


def _check_length(file: BinaryIO, size: int, length: int) -> None:
    there = size - file.tell()
    if length > there:
        raise Unreadable(
            f"its header announces {length:,} bytes of samples, but only {there:,} are there. It "
            "was cut short: copy or download it again."
        )


def _check_ogg(file: BinaryIO, size: int) -> str:
    """Check that the pages of an Ogg file are whole, in order, and end with the last one."""
    expected, is_last = 0, False
    while header := file.read(_OGG_HEADER):
        if len(header) < _OGG_HEADER or header[:4] != b"OggS":
            raise Unreadable(_broken(file.tell() - len(header)))
        segments = file.read(header[26])
        page = header + segments + file.read(sum(segments))
        if len(page) < _OGG_HEADER + header[26] + sum(segments):
            raise Unreadable("its last page was cut short. Copy or download it again.")
        (number,) = struct.unpack("<I", header[18:22])
        if number != expected or struct.unpack("<I", header[22:26])[0] != _ogg_checksum(page):
            raise Unreadable(f"page {expected} of the Ogg file is damaged. Replace the file.")
        expected, is_last = number + 1, bool(header[5] & 4)
    if not is_last:
        raise Unreadable("its last page is missing. Copy or download it again.")
    return "OGG"


def _ogg_checksum(page: bytes) -> int:
    """Return Ogg's CRC-32, which takes the highest bit first: zlib's with all bits reversed."""
    without = page[:22] + bytes(4) + page[26:]
    reflected = zlib.crc32(without.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def _broken(place: int) -> str:
    return f"no page begins at byte {place:,}, where one should. Replace the file."


def _check_nothing(name: str) -> Callable[[BinaryIO, int], str]:
    """Return a check that leaves everything to the decoder."""
    return lambda file, size: name


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], str]], ...] = (
    (_is_wav, _check_wav),
    (_is_aiff, _check_aiff),
    (lambda start: start.startswith(b"fLaC"), _check_nothing("FLAC")),
    (lambda start: start.startswith(b"OggS"), _check_ogg),
    (_is_mpeg, _check_nothing(MPEG)),
)


def _unknown_content(start: bytes) -> str:
    """Say what the data of an unsupported format seem to be, and what to do."""
    if not start:
        return "it is empty. Copy or download it again."
    for signature, meaning in _NO_SOUNDS:
        if start.lstrip().startswith(signature):
            return meaning
    if start[4:8] == b"ftyp":
        return "it is MPEG-4 (.m4a, .mp4). Convert it to FLAC or WAV, as ffmpeg does."
    if (advice := unwrapping_advice(start)) is not None:
        return advice
    kind = "text" if start.isascii() and b"\0" not in start else "data"
    return (
        f"it is {kind} of no known format, beginning {start[:16]!r}. Supported are WAV, FLAC, Ogg, "
        "MP3 and AIFF; open others yourself and pass pairs (rate, array)."
    )
