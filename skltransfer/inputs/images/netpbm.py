"""PGM and PPM of more than 8 bits, which Pillow scales and rounds."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import numpy as np
from PIL import ImageFile

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.images.levels import Levels
from skltransfer.inputs.images.stored import ArrayPixels

_COMMENT = re.compile(rb"#[^\r\n]*")
_SIXTEEN = "I;16B"


def largest_value(image: ImageFile.ImageFile) -> int:
    """Return the value of white that the header announces; 255 if the file holds bits or floats."""
    arguments: Any = image.tile[0][3]
    if isinstance(arguments, str):
        return 65535 if arguments == _SIXTEEN else 255
    return arguments[1] if isinstance(arguments[0], str) and len(arguments) == 2 else 255


def read_deep(image: ImageFile.ImageFile, file: BinaryIO) -> ArrayPixels:
    """Read the numbers of an opened PGM or PPM whose largest value is above 255.

    Raises
    ------
    Unreadable
        If there are fewer numbers than the header announces.
    """
    white = largest_value(image)
    width, height = image.size
    bands = 3 if image.mode == "RGB" else 1
    count = width * height * bands
    file.seek(0)
    is_plain = file.read(2) in (b"P2", b"P3")
    file.seek(image.tile[0][2])
    data = file.read() if is_plain else file.read(2 * count)
    if is_plain:
        words = _COMMENT.sub(b"", data).split()[:count]
        numbers = np.array(words, dtype=np.int64)
    else:
        numbers = np.frombuffer(data[: len(data) // 2 * 2], ">u2")
    if len(numbers) < count:
        raise Unreadable(
            f"it is damaged or truncated (its header announces {count} numbers, but the file "
            f"holds {len(numbers)}). Replace the file, or leave the row out."
        )
    levels = Levels(f"numbers up to {white}", (0.0, float(white)), True)
    return ArrayPixels(numbers.reshape(height, width, bands), levels)
