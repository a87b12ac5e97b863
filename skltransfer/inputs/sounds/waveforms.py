"""Arrays of samples in all common forms, converted to one channel at one rate."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array
    from skltransfer.inputs.sounds.front_end import Samples

MAX_CHANNELS = 64
"""Maximum number of channels; an array with more probably has its axes the other way round."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Sample rates that are read, in Hz."""

_LOUDEST = 32.0
"""Full scale is 1. Samples beyond this limit are not overshoots, but integers stored as floats."""

_SCALES = {"int8": 2.0**7, "uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}
"""Full scale of integer dtypes; the zero of uint8 is at 128, as in WAV files."""

_TAPS_EACH_WAY = 10
"""Half length of the resampling filter, in samples of the lower rate, as in SciPy."""
_BETA = 5.0


def check_dtype(dtype: np.dtype[np.generic], what: str) -> None:
    """Refuse arrays that hold no samples.

    Raises
    ------
    TypeError
        When a dtype is neither a float nor an integer whose full scale is known.
    """
    if dtype.kind == "f" or dtype.name in _SCALES:
        return
    raise TypeError(
        f"{what} has the dtype {dtype}. Samples are floats from -1 to 1, or integers of dtype "
        "int8, uint8, int16 or int32, which are divided by their full scale. Cast the array to the "
        "dtype of its source, or divide it yourself."
    )


def check_clip(shape: tuple[int, ...], what: str) -> None:
    """Refuse shapes other than (samples,) and (samples, channels).

    Raises
    ------
    ValueError
        When there are other axes, no samples, or too many channels.
    """
    if len(shape) not in (1, 2):
        raise ValueError(
            f"{what} has the shape {shape}. A sound is of shape (samples,) or (samples, channels)."
        )
    if len(shape) == 2 and not 1 <= shape[1] <= MAX_CHANNELS:
        raise ValueError(
            f"{what} has the shape {shape}, which is read as {shape[1]} channels; at most "
            f"{MAX_CHANNELS} are allowed. Channels come last: transpose the array if they came "
            "first."
        )
    if shape[0] == 0:
        raise ValueError(f"{what} has the shape {shape}: it holds no samples. Leave the row out.")


def check_rate(rate: float) -> int:
    """Return a sample rate in Hz as an int.

    Raises
    ------
    ValueError
        When it is not a whole number, or out of range.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or rate != int(rate):
        raise ValueError(
            f"the sample rate is {rate!r} Hz; allowed are whole numbers from {LOWEST_RATE:,} to "
            f"{HIGHEST_RATE:,}. Resample the sound, or correct the rate."
        )
    return int(rate)


def check_values(samples: Array, what: str) -> None:
    """Refuse floats that are not finite, and floats on the scale of integers.

    Raises
    ------
    ValueError
        When a value is NaN, infinite, or far beyond full scale.
    """
    if samples.dtype.kind != "f" or samples.size == 0:
        return
    low, high = float(samples.min()), float(samples.max())
    if not math.isfinite(low + high):
        kind = "NaN" if math.isnan(low + high) else "infinity"
        raise ValueError(f"{what} contains {kind}. Replace such samples, or leave the row out.")
    if max(-low, high) > _LOUDEST:
        raise ValueError(
            f"{what} holds floats from {low:.4g} to {high:.4g}, but full scale is -1 to 1. Divide "
            "it by the full scale of its source, such as 32768 for 16 bits."
        )


def one_channel(samples: Array) -> Samples:
    """Return the mean of the channels, with full scale at 1."""
    scaled = _scaled(samples)
    if scaled.ndim == 1:
        return scaled
    if scaled.shape[1] == 1:
        return np.ascontiguousarray(scaled[:, 0])
    # One channel after another, so that the bits do not depend on the layout in memory.
    total = scaled[:, 0].copy()
    for channel in range(1, scaled.shape[1]):
        total += scaled[:, channel]
    return total / np.float32(scaled.shape[1])


def _scaled(samples: Array) -> Samples:
    scale = _SCALES.get(samples.dtype.name)
    floats = samples.astype(np.float32)
    if scale is None:
        return floats
    if samples.dtype.kind == "u":
        floats -= np.float32(scale)
    return floats * np.float32(1 / scale)


def resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    """Return a sound at another rate, without frequencies that the lower rate cannot hold.

    Polyphase filtering with a Kaiser window, as in `scipy.signal.resample_poly`.
    """
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly  # which takes a third of a second to import

    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    found = resample_poly(samples, up, down, window=_low_pass(up, down))
    return np.asarray(found, np.float32)


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> Samples:
    """Return the resampling filter; making it takes longer than filtering a short sound."""
    from scipy.signal import firwin

    most = max(up, down)
    taps = firwin(2 * _TAPS_EACH_WAY * most + 1, 1 / most, window=("kaiser", _BETA))
    return np.asarray(taps, np.float32)


def around(samples: Samples, n_samples: int) -> Samples:
    """Return a sound, padded with silence on both sides if it is shorter than `n_samples`."""
    missing = n_samples - len(samples)
    if missing <= 0:
        return samples
    return np.pad(samples, (missing // 2, missing - missing // 2))
