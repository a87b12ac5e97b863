"""JPEG: the codings and depths that Pillow does not read."""

from __future__ import annotations

from typing import BinaryIO

from skltransfer.inputs.errors import Unreadable

_CODINGS = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "lossless and hierarchical",
    0xCB: "lossless",
    0xCD: "hierarchical",
    0xCE: "hierarchical",
    0xCF: "lossless and hierarchical",
    0xF7: "JPEG-LS",
}
_READ = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_START_OF_SCAN = 0xDA
_ALONE = {0x01, 0xFF, *range(0xD0, 0xD9)}
"""Markers without a length field."""


def check_coding(file: BinaryIO) -> None:
    """Refuse a JPEG if Pillow does not read its coding or depth; the message names which.

    Parameters
    ----------
    file : file object
        A JPEG. Damage is ignored here: Pillow's own message says more about it.
    """
    frame = _frame(file)
    if frame is None:
        return
    marker, bits, bands = frame
    if bits == 8 and bands in (1, 3, 4) and marker in _READ:
        return
    coding = _CODINGS.get(marker)
    what = f"of {coding} coding, " if coding else ""
    raise Unreadable(
        f"it is a JPEG {what}of {bits} bits and {bands} bands, which Pillow does not read. "
        "Convert it to PNG or TIFF, or pass an array, and give pixel_range."
    )


def _frame(file: BinaryIO) -> tuple[int, int, int] | None:
    """Return marker, bits and bands of the first frame."""
    file.seek(2)
    while True:
        head = file.read(2)
        while head[:1] == b"\xff" and head[1:] in (b"\xff",):
            head = b"\xff" + file.read(1)
        if len(head) < 2 or head[0] != 0xFF or head[1] == _START_OF_SCAN:
            return None
        marker = head[1]
        if marker in _ALONE:
            continue
        length = int.from_bytes(file.read(2), "big")
        if marker in _READ or marker in _CODINGS:
            content = file.read(6)
            return (marker, content[0], content[5]) if len(content) == 6 else None
        file.seek(max(length - 2, 0), 1)
