"""From samples to a log-mel map, in NumPy: the front end of a sound network as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Samples = NDArray[np.float32]
"""Samples of one channel; full scale is -1 to 1."""

_MEL_BREAK = 700.0
_MEL_HIGH = 1127.0


@dataclass(frozen=True)
class LogMel:
    """How samples become a map of log-mel frames.

    Each frame of samples is multiplied by a periodic Hann window and Fourier transformed. The
    magnitudes, raised to `power`, are summed in triangular bands that are equally wide on the mel
    scale (O'Shaughnessy, Speech Communication: Human and Machine, 1987, in natural logarithms, as
    in HTK and TensorFlow). The result is ``ln(sum + floor)``.

    Attributes
    ----------
    sample_rate : int
        Sample rate that the network was trained on, in Hz.
    window, hop : int
        Length of a frame, and distance from one frame to the next, in samples.
    n_fft : int
        Length of the Fourier transform; frames are padded with zeros.
    n_mels : int
        Number of bands.
    low_hz, high_hz : float
        Where the first band begins and the last one ends.
    power : {1, 2}
        1 sums magnitudes, 2 their squares.
    floor : float
        Added to each sum before the logarithm is taken.
    """

    sample_rate: int
    window: int
    hop: int
    n_fft: int
    n_mels: int
    low_hz: float
    high_hz: float
    power: int
    floor: float

    def n_frames(self, n_samples: int) -> int:
        """Return the number of whole frames in `n_samples` samples."""
        return max(0, (n_samples - self.window) // self.hop + 1)

    def n_samples(self, n_frames: int) -> int:
        """Return the smallest number of samples that hold `n_frames` frames."""
        return self.window + (n_frames - 1) * self.hop

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Compute the map of one sound.

        Products with the window are in float32 and the rest in float64. BLAS is avoided, because
        its rounding may depend on the number of its threads.

        Parameters
        ----------
        samples : ndarray of shape (n_samples,), dtype float32
            At least `window` samples at `sample_rate`.

        Returns
        -------
        ndarray of shape (n_frames, n_mels), dtype float32
            The map.
        """
        first, filters = _filters(self)
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.window)[:: self.hop]
        weighted = (frames * _hann(self.window)).astype(np.float64)
        spectrum = np.fft.rfft(weighted, self.n_fft)[:, first : first + filters.shape[1]]
        energy = spectrum.real**2 + spectrum.imag**2
        if self.power == 1:
            energy = np.sqrt(energy)
        bands = filters @ np.ascontiguousarray(energy.T)
        found: NDArray[np.float32] = np.log(bands.T + self.floor).astype(np.float32)
        return found


@lru_cache(maxsize=8)
def _hann(window: int) -> Samples:
    turns = np.arange(window) / window
    return (0.5 - 0.5 * np.cos(2 * math.pi * turns)).astype(np.float32)


@lru_cache(maxsize=8)
def _filters(rule: LogMel) -> tuple[int, sparse.csr_array]:
    """Return the first frequency that is in a band, and the weights from there to the last."""
    weights = mel_weights(rule)
    heard = np.flatnonzero(weights.any(axis=0))
    first, last = (heard[0], heard[-1]) if len(heard) else (0, 0)
    return int(first), sparse.csr_array(weights[:, first : last + 1])


def mel_weights(rule: LogMel) -> NDArray[np.float64]:
    """Return the weight of each frequency in each triangular band: (n_mels, n_fft // 2 + 1)."""
    frequencies = np.arange(rule.n_fft // 2 + 1.0) * (rule.sample_rate / rule.n_fft)
    mels = _mel(frequencies)
    edges = np.linspace(_mel(rule.low_hz), _mel(rule.high_hz), rule.n_mels + 2)[:, np.newaxis]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mels - low) / (middle - low), (high - mels) / (high - middle)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[:, 0] = 0.0  # the mean of the samples cannot be heard
    return weights


def _mel(hertz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    return _MEL_HIGH * np.log1p(np.asarray(hertz, np.float64) / _MEL_BREAK)
