"""The error for texts that cannot be read."""

from __future__ import annotations

from typing import ClassVar

from skltransfer.inputs.errors import ReadError


class TextReadError(ReadError):
    """A row holds no text, or a text that no network can read.

    The parameters and attributes are those of :class:`ReadError`.
    """

    noun: ClassVar[str] = "text"
