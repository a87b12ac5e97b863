"""Checking whether a file can be read as an image, if possible without decoding it."""

from __future__ import annotations

import os
from typing import BinaryIO

from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.files import announced_format
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.reading import open_path

_RULE = ImagePreprocessing((224, 224))
"""A common input size, for which very large JPEGs can be decoded at a reduced size."""

_LAST_BYTES = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def check_image_file(path: str) -> None:
    """Refuse a file that cannot be read as an image.

    The header and the last bytes are read. A JPEG or PNG with the usual last bytes is not decoded;
    all other files are decoded.

    Raises
    ------
    ImageReadError
        If it cannot be read.
    """
    with open_path(path, 0) as file:
        last_bytes = _LAST_BYTES.get(announced_format(file, _RULE))
        is_whole = last_bytes is not None and _ends_with(file, last_bytes)
    if not is_whole:
        decode(path, _RULE, 0)


def _ends_with(file: BinaryIO, last_bytes: bytes) -> bool:
    file.seek(-len(last_bytes), os.SEEK_END)
    return file.read() == last_bytes
