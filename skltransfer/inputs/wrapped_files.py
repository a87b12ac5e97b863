"""Files that are wrapped in something else (base64, JSON, a form, gzip), and how to unwrap them."""

from __future__ import annotations

import base64
import binascii
import re

_FILES = (
    *(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\0\0\0\x0cjP"),
    *(b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"FORM"),
)
"""Beginnings of images and sounds."""

_WRAPPINGS = (
    ("\x1f\x8b", "it is compressed by gzip. Pass gzip.decompress(data)."),
    ("{", "it is JSON. Pass the bytes of the file in it, as base64.b64decode gives them."),
    ("--", "it is the body of a form, with headers. Pass the bytes of the file in it."),
)
_DATA_URI = re.compile(r"data:[\w.+-]*/?[\w.+-]*(;[\w.+=-]+)*,", re.ASCII)
_QUOTED = re.compile(r"""(b?["'])?(.*)""", re.DOTALL)
_SHORTEST = 24
"""Number of characters; a shorter text may look like base64 by chance."""


def is_beginning_of_a_file(start: bytes) -> bool:
    """Return whether bytes are the beginning of an image file or a sound file."""
    return start.startswith(_FILES)


def unwrapping_advice(text: str | bytes) -> str | None:
    """Say how to unwrap a file.

    Parameters
    ----------
    text : str or bytes
        The wrapped file, or its beginning.

    Returns
    -------
    str or None
        What it is wrapped in, and what to do; None if no wrapping is recognised.
    """
    start = text[:128] if isinstance(text, str) else text[:128].decode("latin-1")
    start = _QUOTED.fullmatch(start).group(2)  # type: ignore[union-attr]  # it always matches
    for beginning, meaning in _WRAPPINGS:
        if start.startswith(beginning):
            return meaning
    if _DATA_URI.match(start):
        return "it is a data URI. Pass base64.b64decode(text.partition(',')[2])."
    if len(start) < _SHORTEST:
        return None
    if is_beginning_of_a_file(_of_base64(start)):
        return "it is a file in base64. Pass base64.b64decode(text)."
    if is_beginning_of_a_file(_of_hex(start)):
        return "it is a file in hexadecimal digits. Pass bytes.fromhex(text)."
    return None


def _of_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text[:_SHORTEST].translate({45: "+", 95: "/"}), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _of_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text[:_SHORTEST])
    except ValueError:
        return b""
