"""The error for what cannot be read, and how messages name a source."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

_LONGEST_NAME = 80
_FIRST_BYTES = 8


class ImageReadError(ValueError):
    """A path, encoded bytes or a PIL image cannot be read as an image.

    This is what ``on_error="nan"`` covers. Faults of numeric arrays are plain
    ``ValueError`` or ``TypeError`` and always raise.

    Parameters
    ----------
    message : str
        Row, source, reason and way out.
    row : int
        Index of the row in X.
    source : str
        The path, or a short description of bytes and PIL images.

    Attributes
    ----------
    row : int
        Index of the row in X.
    source : str
        The path, or a short description of bytes and PIL images.

    See Also
    --------
    UnreadableImagesWarning : What ``on_error="nan"`` warns of.

    Examples
    --------
    >>> from skltransfer import ImageReadError, PretrainedFeatureExtractor
    >>> try:
    ...     PretrainedFeatureExtractor().fit(["no such file.jpg"])
    ... except ImageReadError as error:
    ...     print(error.row, error.source)
    0 no such file.jpg
    """

    def __init__(self, message: str, row: int, source: str) -> None:
        super().__init__(message)
        self.row = row
        self.source = source

    def __reduce__(self) -> tuple[type, tuple[str, int, str]]:
        """Rebuild with all three, so that the error travels between processes."""
        return type(self), (str(self), self.row, self.source)


class Unreadable(Exception):
    """Carries a reason, to which the row is added further up."""


def read_error(row: int, source: Any, reason: str) -> ImageReadError:
    """Make the error for one row.

    Parameters
    ----------
    row : int
        Index of the row in X.
    source : object
        What the row holds.
    reason : str
        What is wrong, and the way out.

    Returns
    -------
    ImageReadError
        To be raised.
    """
    described = describe_source(source)
    name = os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else described
    message = f"row {row} ({described}) cannot be read as an image: {reason}"
    return ImageReadError(message, row, name)


def shorten(text: str) -> str:
    """Keep the end of a long text, which in paths says most."""
    return text if len(text) <= _LONGEST_NAME else "…" + text[1 - _LONGEST_NAME :]


def describe_source(source: Any) -> str:
    """Say in a few words what one row holds."""
    if isinstance(source, (str, os.PathLike)):
        return repr(shorten(os.fsdecode(source)))
    if isinstance(source, (bytes, bytearray, memoryview)):
        first = bytes(source[:_FIRST_BYTES])[:_FIRST_BYTES]  # a view may be one of rows
        return f"{memoryview(source).nbytes:,} bytes beginning {first!r}"
    if isinstance(source, Image.Image):
        return f"a PIL image of mode {source.mode}, {source.width}x{source.height}"
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return f"an array of shape {tuple(source.shape)}, {source.dtype}"
    return "a missing value" if source is None else f"a {type(source).__name__}"
