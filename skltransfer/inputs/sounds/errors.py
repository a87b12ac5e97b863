"""The error for sounds that cannot be read."""

from __future__ import annotations

from typing import ClassVar

from skltransfer.inputs.errors import ReadError


class SoundReadError(ReadError):
    """A row holds no sound that could be read.

    Parameters and attributes are those of :class:`ReadError`.
    """

    noun: ClassVar[str] = "sound"
