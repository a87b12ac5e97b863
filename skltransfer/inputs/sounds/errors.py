"""The error for sounds that cannot be read."""

from __future__ import annotations

from typing import ClassVar

from skltransfer.inputs.errors import ReadError


class SoundReadError(ReadError):
    """A row of X cannot be read as a sound.

    Parameters and attributes are those of :class:`ReadError`.
    """

    noun: ClassVar[str] = "sound"
