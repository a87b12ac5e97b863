"""Decoding sounds into samples, with the library soundfile."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from skltransfer.inputs.errors import Unreadable
from skltransfer.inputs.sounds.containers import MPEG, recognised
from skltransfer.inputs.sounds.mpeg import decode_mpeg
from skltransfer.inputs.sounds.waveforms import MAX_CHANNELS, check_rate, check_values

if TYPE_CHECKING:
    from types import ModuleType

    from skltransfer.inputs._input import Array


class Sound(NamedTuple):
    """Samples (n, channels), their rate in Hz, and whether the sound goes on after them."""

    samples: Array
    rate: int
    is_cut: bool


@cache
def soundfile() -> ModuleType:
    """Return the library that decodes.

    Raises
    ------
    ImportError
        When it is not installed; the message gives the command that installs it.
    """
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: libsndfile, its C library, is missing
        raise ImportError(
            "Reading sound files needs soundfile, which cannot be imported. Install it: "
            "pip install 'skltransfer[sound]'. Arrays and pairs (rate, array) need no library."
        ) from error


def decode(file: BinaryIO, max_seconds: float) -> Sound:
    """Decode the beginning of a file; its content, not its name, decides on the format.

    Raises
    ------
    Unreadable
        When the file is no sound, damaged, or cut short.
    """
    library, is_mpeg = soundfile(), recognised(file) == MPEG
    file.seek(0)
    if is_mpeg:
        found = decode_mpeg(file.read(), max_seconds)
    else:
        try:
            with library.SoundFile(file) as opened:
                found = _decoded(opened, max_seconds)
        except library.LibsndfileError as error:
            raise Unreadable(damaged(error.error_string)) from error
    samples, rate, n_wanted, n_all = found
    _check_length(len(samples), n_wanted, n_all)
    try:
        check_values(samples, "it")
        return Sound(samples, check_rate(rate), n_wanted < n_all)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def damaged(detail: str) -> str:
    """Return the message for a file that a decoder refused."""
    return f"it is damaged or cut short ({detail.rstrip('.')}). Replace the file."


def _decoded(opened: Any, max_seconds: float) -> tuple[Array, int, int, int]:
    """Return samples, rate, how many samples were asked for, and how many the header announces."""
    if opened.channels > MAX_CHANNELS:
        raise Unreadable(
            f"it has {opened.channels} channels, but at most {MAX_CHANNELS} are read. Choose some, "
            "and pass a pair (rate, array)."
        )
    wanted = min(opened.frames, round(max_seconds * opened.samplerate))
    samples = opened.read(wanted, dtype="float32", always_2d=True)
    return samples, opened.samplerate, wanted, opened.frames


def _check_length(n_samples: int, n_wanted: int, n_all: int) -> None:
    if n_all == 0:
        raise Unreadable("it holds no samples. Replace the file, or leave the row out.")
    if n_samples < n_wanted:
        raise Unreadable(
            f"its header announces {n_wanted:,} samples, but only {n_samples:,} could be decoded. "
            "It is damaged or was cut short: copy or download it again."
        )


def is_longer(file: BinaryIO, max_seconds: float) -> bool:
    """Return whether a file is longer than `max_seconds`; only MP3 is decoded to find out."""
    library, is_mpeg = soundfile(), recognised(file) == MPEG
    file.seek(0)
    if is_mpeg:
        _, _, n_wanted, n_all = decode_mpeg(file.read(), max_seconds)
        return n_wanted < n_all
    with library.SoundFile(file) as opened:
        return bool(opened.frames > max_seconds * opened.samplerate)
