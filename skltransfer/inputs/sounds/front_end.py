"""The front end of a sound network: computes a log-mel map from samples, in NumPy."""

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
    """Computes a map of log-mel frames from samples.

    Each frame of samples is multiplied by a periodic Hann window and Fourier transformed. The
    magnitudes, raised to `power`, are summed in triangular bands. These are equally wide on the mel
    scale ``1127 * ln(1 + hertz / 700)``, which HTK and TensorFlow use too (O'Shaughnessy, Speech
    Communication: Human and Machine, 1987). The result is ``ln(sum + floor)``.

    Attributes
    ----------
    sample_rate : int
        Sample rate that the network was trained on, in Hz.
    window, hop : int
        Length of a frame, and distance between the starts of two frames, in samples.
    n_fft : int
        Length of the Fourier transform. Frames are padded with zeros to this length.
    n_mels : int
        Number of bands.
    low_hz, high_hz : float
        Frequencies at which the first band begins and the last one ends.
    power : {1, 2}
        Whether magnitudes (1) or their squares (2) are summed.
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
        """Return the smallest number of samples that contains `n_frames` whole frames."""
        return self.window + (n_frames - 1) * self.hop

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Compute the map of one sound.

        Products with the window are computed in float32, the rest in float64. The band weights are
        a sparse array, because SciPy multiplies sparse arrays without BLAS, and the rounding of
        BLAS may depend on the number of threads.

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
    """Return the index of the first Fourier bin that is in a band, and the weights.

    The weights have a row for each band, and a column for each bin from the first to the last that
    is in a band.
    """
    weights = mel_weights(rule)
    heard = np.flatnonzero(weights.any(axis=0))
    first, last = (heard[0], heard[-1]) if len(heard) else (0, 0)
    return int(first), sparse.csr_array(weights[:, first : last + 1])


def mel_weights(rule: LogMel) -> NDArray[np.float64]:
    """Return each Fourier bin's weight in each band; the shape is (n_mels, n_fft // 2 + 1)."""
    frequencies = np.arange(rule.n_fft // 2 + 1.0) * (rule.sample_rate / rule.n_fft)
    mels = _mel(frequencies)
    edges = np.linspace(_mel(rule.low_hz), _mel(rule.high_hz), rule.n_mels + 2)[:, np.newaxis]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mels - low) / (middle - low), (high - mels) / (high - middle)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[:, 0] = 0.0  # the bin of 0 Hz is the mean of the samples, which is no sound
    return weights


def _mel(hertz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    return _MEL_HIGH * np.log1p(np.asarray(hertz, np.float64) / _MEL_BREAK)
