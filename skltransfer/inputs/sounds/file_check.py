"""Whether a file can be read as a sound."""

from __future__ import annotations

from skltransfer.inputs.reading import open_path
from skltransfer.inputs.sounds.decoding import decode
from skltransfer.inputs.sounds.errors import SoundReadError

_SECONDS = 0.1


def check_sound_file(path: str) -> None:
    """Refuse a file whose header or first tenth of a second cannot be read as a sound.

    Raises
    ------
    SoundReadError
        If it cannot be read.
    ImportError
        If soundfile, which decodes it, is not installed.
    """
    with open_path(path, 0, SoundReadError) as file:
        decode(file, _SECONDS)
