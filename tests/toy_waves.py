"""A small network of sounds, and rows of numbers made into sounds for scikit-learn's checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import validate_data

from skltransfer.backbones.sounds import sound_network
from skltransfer.inputs.sounds.encoding import SoundEncoding
from skltransfer.inputs.sounds.kind import SoundInput
from skltransfer.inputs.sounds.sources import Clip, SoundSource

RATE = 8000
FRONT_END = {
    "sample_rate": RATE,
    "window": 256,
    "hop": 128,
    "n_mels": 12,
    "min_seconds": 0.1,
}
_SAMPLES = 800


def make_model():
    """A small network of convolutions, whose weights depend on a seed alone."""
    import keras
    from keras import layers

    inputs = keras.Input((None, 12), name="log_mel")
    first = layers.Conv1D(8, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.Conv1D(8, 3, padding="same", activation="relu", name="second")(first)
    x = layers.Add(name="sum")([first, x])
    outputs = layers.Conv1D(16, 3, strides=2, activation="relu", name="third")(x)
    model = keras.Model(inputs, outputs, name="sounds")
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, weight.shape) for weight in model.weights])
    return model


def make_sounds(n_rows=18):
    """Sounds of 0.05 to 0.3 seconds, low and high by turns, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_rows) % 2
    sounds = []
    for label in labels:
        time = np.arange(rng.integers(400, 2400)) / RATE
        tone = 0.4 * np.sin(2 * np.pi * (400 + 900 * label) * time + rng.uniform(0, 6))
        noisy = tone + rng.normal(0, 0.05, len(time))
        sounds.append(np.rint(noisy * 32767).astype(np.int16))
    return sounds, labels


# Numbers as sounds -----------------------------------------------------------------------------


@dataclass(frozen=True)
class WaveEncoding(SoundEncoding):
    """Rows of numbers as chords: each number is how loud a tone is."""

    def source(self, estimator, X, chosen=None):
        return self.of_rows(validate_data(estimator, X, reset=False, dtype=np.float64), chosen)

    def of_rows(self, rows, chosen):
        time = np.arange(_SAMPLES) / RATE
        tones = np.sin(2 * np.pi * np.outer(200 + 350 * np.arange(rows.shape[1]), time))
        loudness = 0.5 + 0.5 * np.tanh(rows / 2)
        sounds = [Clip(row, RATE) for row in (loudness[:, None, :] @ tones)[:, 0] / 4]
        chosen = np.arange(len(rows)) if chosen is None else chosen
        return SoundSource(sounds, self.front_end, self.min_samples, self.max_seconds, chosen)


class WaveInput(SoundInput):
    """The same kind of input for rows of numbers, so that scikit-learn's checks have some."""

    def adapt_tags(self, tags):
        """Keep `two_d_array`, so that no check returns at once."""

    def fit(self, estimator, X, weights, accepts):
        rows = validate_data(estimator, X, reset=True, dtype=np.float64)
        encoding = WaveEncoding(self.front_end, self.min_samples, 60.0, RATE)
        chosen = None if weights is None else np.flatnonzero(weights)
        return encoding, encoding.of_rows(rows, chosen)

    def check(self, X):
        """Leave it to `fit`."""


def make_wave_network():
    """Handle of the small network, reading rows of numbers."""
    return sound_network(make_model(), "waves", WaveInput(**FRONT_END))
