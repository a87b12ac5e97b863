"""The input of sound networks: log-mel maps, each as long as its sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names

from skltransfer.inputs._input import Encoding, Rows, RowSpec, Size, Source, TensorSpec, ViewFamily
from skltransfer.inputs.sounds.encoding import SoundEncoding
from skltransfer.inputs.sounds.front_end import LogMel
from skltransfer.inputs.sounds.taking import check_sounds, width_of
from skltransfer.inputs.sounds.views import views_of
from skltransfer.inputs.sounds.waveforms import HIGHEST_RATE, LOWEST_RATE

if TYPE_CHECKING:
    from sklearn.utils import Tags

USUAL_SECONDS = 60.0
"""Number of seconds of a sound that are read if ``max_seconds=None``."""

_LENGTHS_TRIED = (0, 9, 34)
_QUIET, _LOUD = -7.0, 4.0


@dataclass(frozen=True)
class SoundInput:
    """Describe the front end of a sound network for `register_backbone`, as plain data.

    The channels of a sound are averaged, the result is resampled, and if it is too short, silence
    is added on both sides. Each frame of samples is multiplied by a periodic Hann window and
    Fourier transformed. The magnitudes are summed in triangular bands on the mel scale. The network
    reads ``ln(sum + floor)``, which is a map of shape (frames, n_mels) with as many frames as the
    sound has.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate to which sounds are resampled, in Hz.
    window : int, default=400
        Length of a frame, in samples.
    hop : int, default=160
        Distance from the start of one frame to the start of the next, in samples.
    n_mels : int, default=64
        Number of mel bands, at most half of `n_fft`.
    n_fft : int or None, default=None
        Length of the Fourier transform, in samples. None means the smallest power of two that is
        not shorter than a frame.
    low_hz : float, default=60.0
        Where the lowest band begins, in Hz.
    high_hz : float or None, default=None
        Where the highest band ends, in Hz. None means half of the sample rate.
    power : {1, 2}, default=1
        1 sums magnitudes, 2 their squares.
    floor : float, default=0.001
        Added to each sum before the logarithm is taken.
    min_seconds : float, default=1.0
        Minimum length of a sound, in seconds; a shorter sound is padded with silence on both sides.
        The network must return at least one time step for a sound of this length.

    Raises
    ------
    ValueError
        If a value is out of its range.

    See Also
    --------
    register_backbone : Takes a SoundInput as ``input=``.

    Examples
    --------
    >>> from skltransfer import SoundInput
    >>> SoundInput(n_mels=40, high_hz=7600.0).n_mels
    40
    """

    sample_rate: int = 16_000
    window: int = 400
    hop: int = 160
    n_mels: int = 64
    n_fft: int | None = None
    low_hz: float = 60.0
    high_hz: float | None = None
    power: int = 1
    floor: float = 1e-3
    min_seconds: float = 1.0

    name: ClassVar[str] = "sound"
    pooling: ClassVar[str] = "avg_std"
    poolings: ClassVar[frozenset[str]] = frozenset({"avg", "max", "avg_std"})
    parameters: ClassVar[frozenset[str]] = frozenset(
        {"sample_rate", "max_seconds", "augment", "n_views", "tta"}
    )
    size: ClassVar[Size] = ()
    takes_layers: ClassVar[bool] = False
    baseline: ClassVar[str] = "log-mel"

    def __post_init__(self) -> None:
        rate = self.sample_rate
        _check("sample_rate", rate, LOWEST_RATE, HIGHEST_RATE)
        _check("window", self.window, 2, rate)
        _check("hop", self.hop, 1, self.window)
        _check("n_mels", self.n_mels, 1, self._n_fft // 2)
        _check("n_fft", self._n_fft, self.window, 1 << 20)
        _check("low_hz", self.low_hz, 0, rate / 2)
        _check("high_hz", self._high_hz, math.nextafter(self.low_hz, math.inf), rate / 2)
        _check("power", self.power, 1, 2)
        _check("floor", self.floor, float(np.finfo(np.float32).tiny), math.inf)
        _check("min_seconds", self.min_seconds, 0, math.inf)

    @property
    def _n_fft(self) -> int:
        return self.n_fft or 1 << (self.window - 1).bit_length()

    @property
    def _high_hz(self) -> float:
        return self.sample_rate / 2 if self.high_hz is None else self.high_hz

    @property
    def front_end(self) -> LogMel:
        """What computes a log-mel map from samples."""
        return LogMel(
            sample_rate=self.sample_rate,
            window=self.window,
            hop=self.hop,
            n_fft=self._n_fft,
            n_mels=self.n_mels,
            low_hz=float(self.low_hz),
            high_hz=float(self._high_hz),
            power=self.power,
            floor=float(self.floor),
        )

    @property
    def min_samples(self) -> int:
        """Length of the shortest sound that the network is given, in samples."""
        return max(self.window, round(self.min_seconds * self.sample_rate))

    @property
    def views(self) -> Mapping[str, ViewFamily]:
        """Shifts in time, gains, masks, and all three."""
        return views_of(self.front_end)

    def identity(self) -> list[object]:
        """Return what the network's output depends on besides its weights.

        Returns
        -------
        list
            The front end and the shortest length, in JSON types.
        """
        return ["sound", *astuple(self.front_end), self.min_samples]

    def row_spec(self, size: Size) -> RowSpec:
        """Return the tensors of a row: one log-mel map.

        Parameters
        ----------
        size : tuple of int
            Empty, since sounds have no fixed size.

        Returns
        -------
        tuple of TensorSpec
            One specification, of shape (None, n_mels).
        """
        shortest = self.front_end.n_frames(self.min_samples)
        return (TensorSpec((None, self.n_mels), shortest=shortest),)

    def trial_rows(self, size: Size) -> Rows:
        """Return maps of noise for testing networks, the same in every process.

        Parameters
        ----------
        size : tuple of int
            Empty, since sounds have no fixed size.

        Returns
        -------
        tuple of ndarray
            One array of objects, each of them a map of shape (frames, n_mels).
        """
        rng, rows = np.random.default_rng(0), np.empty(len(_LENGTHS_TRIED), object)
        shortest = self.front_end.n_frames(self.min_samples)
        for place, more in enumerate(_LENGTHS_TRIED):
            noise = rng.uniform(_QUIET, _LOUD, (shortest + more, self.n_mels))
            rows[place] = noise.astype(np.float32)
        return (rows,)

    def plain_rows(self, rows: Rows) -> NDArray[np.float32]:
        """Return the mean and the standard deviation of each band, which need no network.

        Parameters
        ----------
        rows : tuple of ndarray
            One array of objects, each of them a map of shape (frames, n_mels).

        Returns
        -------
        ndarray of float32, shape (n, 2 * n_mels)
            Means, then deviations.
        """
        moments = [(part.mean(axis=0), part.std(axis=0)) for part in rows[0]]
        return np.stack([np.concatenate(pair) for pair in moments]).astype(np.float32)

    def adapt_tags(self, tags: Tags) -> None:
        """Declare that X is not a table of numbers.

        Parameters
        ----------
        tags : sklearn.utils.Tags
            Tags of an estimator with this input, changed in place.
        """
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True

    def fit(
        self,
        estimator: Any,
        X: object,
        weights: NDArray[np.float64] | None,
        accepts: Callable[[Size], bool],
    ) -> tuple[Encoding, Source]:
        """Decide the sample rate of arrays, and how much of a sound is read.

        Parameters
        ----------
        estimator : BaseEstimator
            Gives `sample_rate` and `max_seconds`; its `n_features_in_` is set.
        X : array-like
            Sounds of any kind that the estimators take.
        weights : ndarray of shape (n_samples,) or None
            Weights of the rows; rows of weight 0 are left out.
        accepts : callable
            Not used: the network takes any length.

        Returns
        -------
        encoding : Encoding
            The rule by which sounds are read.
        source : Source
            The rows of X that have weight.
        """
        seconds = USUAL_SECONDS if estimator.max_seconds is None else float(estimator.max_seconds)
        encoding = SoundEncoding(self.front_end, self.min_samples, seconds, estimator.sample_rate)
        chosen = None if weights is None else np.flatnonzero(weights)
        source = encoding.source_of(estimator, X, chosen)
        _check_feature_names(estimator, X, reset=True)
        estimator.n_features_in_ = width_of(X)
        return encoding, source

    def check(self, X: object) -> None:
        """Refuse an X that does not hold one column of sounds.

        Parameters
        ----------
        X : array-like
            Sounds of any kind that the estimators take.

        Raises
        ------
        TypeError, ValueError
            When X is no such column, or is empty.
        """
        check_sounds(X)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(
            f"{name}={value!r} is not allowed: give a number from {low:g} to {high:g}."
        )
