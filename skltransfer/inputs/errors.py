"""The error for rows that cannot be read, and how messages name a source."""

from __future__ import annotations

import os
import re
from typing import Any, ClassVar

from PIL import Image

_LONGEST_NAME = 80
_FIRST_BYTES = 8
_FIRST_SENTENCE = re.compile(
    r"""(?: \((?:[^()]|\([^()]*\))*\)   # in parentheses, such as the message of a decoder
        | (?<=\ )b?'[^']*' | (?<=\ )b?"[^"]*"  # in quotes, such as the beginning of a file
        | [^.] | \.(?!\ ) )+ \.?""",
    re.VERBOSE,
)
"""Messages say what is wrong in their first sentence, and what to do in the next."""


class ReadError(ValueError):
    """A row of X cannot be read, whatever kind of input it is.

    ``on_error="nan"`` applies only to this error. Invalid numeric arrays always raise a plain
    ``ValueError`` or ``TypeError``.

    Parameters
    ----------
    message : str
        Row, source, reason and what to do.
    row : int
        Index of the row in X.
    source : str
        The path, or a short description of what the row holds.

    Attributes
    ----------
    row : int
        Index of the row in X.
    source : str
        The path, or a short description of what the row holds.
    reason : str
        What is wrong with the row, in one sentence, without advice for the caller.

    See Also
    --------
    ImageReadError : The same for images.
    UnreadableRowsWarning : The warning of ``on_error="nan"``.

    Examples
    --------
    >>> from skltransfer import PretrainedFeatureExtractor, ReadError
    >>> try:
    ...     PretrainedFeatureExtractor().fit(["no such file.jpg"])
    ... except ReadError as error:
    ...     print(error.row, error.source)
    0 no such file.jpg
    """

    noun: ClassVar[str] = "row"
    """What a row holds."""

    def __init__(self, message: str, row: int, source: str) -> None:
        super().__init__(message)
        self.row = row
        self.source = source

    @property
    def reason(self) -> str:
        """What is wrong with the row, in one sentence, without advice for the caller."""
        message = str(self)
        told = message.partition(f" cannot be read as {with_article(self.noun)}: ")[2] or message
        found = _FIRST_SENTENCE.match(told)
        return found[0] if found else told

    def __reduce__(self) -> tuple[type, tuple[str, int, str]]:
        """Rebuild with all three arguments, so that the error can be pickled between processes."""
        return type(self), (str(self), self.row, self.source)


class ImageReadError(ReadError):
    """A path, encoded bytes or a PIL image cannot be read as an image.

    ``on_error="nan"`` applies only to this error. Invalid numeric arrays always raise a plain
    ``ValueError`` or ``TypeError``.

    Parameters
    ----------
    message : str
        Row, source, reason and what to do.
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
    reason : str
        What is wrong with the row, in one sentence, without advice for the caller.

    See Also
    --------
    ReadError : The same for rows of any kind.
    UnreadableImagesWarning : The warning of ``on_error="nan"``.

    Examples
    --------
    >>> from skltransfer import ImageReadError, PretrainedFeatureExtractor
    >>> try:
    ...     PretrainedFeatureExtractor().fit(["no such file.jpg"])
    ... except ImageReadError as error:
    ...     print(error.row, error.source)
    0 no such file.jpg
    """

    noun: ClassVar[str] = "image"


class Unreadable(Exception):
    """The reason why a row cannot be read; a caller adds the number of the row."""


def read_error(
    row: int, source: Any, reason: str, kind: type[ReadError] = ImageReadError
) -> ReadError:
    """Create the error for one row.

    Parameters
    ----------
    row : int
        Index of the row in X.
    source : object
        The content of the row.
    reason : str
        What is wrong, and what to do.
    kind : type, default=ImageReadError
        The class of the error, which says what a row should hold.

    Returns
    -------
    ReadError
        To be raised.
    """
    described = describe_source(source)
    name = os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else described
    message = f"row {row} ({described}) cannot be read as {with_article(kind.noun)}: {reason}"
    return kind(message, row, name)


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def shorten(text: str) -> str:
    """Keep the end of a long text, the most informative part of a path."""
    return text if len(text) <= _LONGEST_NAME else "…" + text[1 - _LONGEST_NAME :]


def describe_source(source: Any) -> str:
    """Describe the content of one row in a few words."""
    if isinstance(source, (str, os.PathLike)):
        return repr(shorten(os.fsdecode(source)))
    if isinstance(source, (bytes, bytearray, memoryview)):
        first = bytes(source[:_FIRST_BYTES])[:_FIRST_BYTES]  # a memoryview may have several axes
        return f"{memoryview(source).nbytes:,} bytes beginning {first!r}"
    if isinstance(source, Image.Image):
        return f"a PIL image of mode {source.mode}, {source.width}x{source.height}"
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return f"an array of shape {tuple(source.shape)}, {source.dtype}"
    return "a missing value" if source is None else f"a {type(source).__name__}"
