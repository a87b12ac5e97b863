"""From whatever goes wrong in reading a picture to the error that names its row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from skltransfer.inputs.errors import Unreadable, read_error
from skltransfer.inputs.images.limits import too_large
from skltransfer.inputs.images.silence import without_warnings


@contextmanager
def naming_the_row(source: Any, index: int) -> Iterator[None]:
    """Turn whatever goes wrong in reading a source into an error that names the row.

    Libraries' warnings stay unheard, so that filters of warnings decide nothing.
    """
    try:
        with without_warnings():
            yield
    except MemoryError:
        raise
    except Exception as error:
        raise read_error(index, source, reason(error)) from error


def reason(error: Exception) -> str:
    """Say what an exception of Pillow or the file system means, and the way out."""
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # plugins look at parts of images too
        return too_large("too many")
    if isinstance(error, FileNotFoundError):
        return "there is no such file. Check the path and the working directory."
    if isinstance(error, PermissionError):
        return "permission denied. Make the file readable."
    if isinstance(error, OSError) and error.strerror:  # Pillow's own have no such text
        return f"the system cannot open it ({error.strerror}). Check the path."
    detail = str(error) or type(error).__name__
    return f"it is damaged or truncated ({detail}). Replace the file, or leave the row out."
