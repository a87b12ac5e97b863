"""The error for texts that cannot be read."""

from __future__ import annotations

from typing import ClassVar

from skltransfer.inputs.errors import ReadError


class TextReadError(ReadError):
    """A row holds no text, or none that a network could read.

    Parameters and attributes are those of :class:`ReadError`.
    """

    noun: ClassVar[str] = "text"
