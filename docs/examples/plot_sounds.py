"""
Sounds: which alarm is it?
==========================

The bundled sound network was trained to distinguish spoken words. Its features also distinguish
other short sounds. This example classifies four alarms in noise, with six training recordings of
each alarm. A display shows the recordings that the classifier gets most wrong.
"""

# %%
# The example makes its own recordings, so that it needs no download. Each alarm is a short melody.
# Pitch, tempo, loudness, start and length vary, and the noise is about as loud as the alarm.

import numpy as np

RATE = 16_000
MELODIES = {
    "two tones": [(1.0, 1), (1.5, 1)] * 3,
    "rising": [(1.0, 1), (1.25, 1), (1.5, 1), (2.0, 1)],
    "beeps": [(1.6, 1), (0.0, 1)] * 3,
    "siren": [(1.0 + 0.5 * np.sin(t), 0.25) for t in np.linspace(0, 4 * np.pi, 24)],
}
names = list(MELODIES)


def recording(melody, rng):
    """One alarm in noise, as 16-bit samples."""
    pitch, tempo = rng.uniform(500, 900), rng.uniform(0.08, 0.16)
    tones = [np.full(int(length * tempo * RATE), factor) for factor, length in melody]
    phase = 2 * np.pi * pitch * np.cumsum(np.concatenate(tones)) / RATE
    alarm = rng.uniform(0.1, 0.4) * np.sin(phase) * (np.concatenate(tones) > 0)
    before, after = rng.integers(0, 4000, 2)
    sound = np.pad(alarm, (before, after)) + rng.normal(0, 0.15, len(alarm) + before + after)
    return (32767 * np.clip(sound, -1, 1)).astype(np.int16)


def recordings(n_each, seed):
    """Pairs (rate, samples), as scipy.io.wavfile.read gives them, and their labels."""
    rng = np.random.default_rng(seed)
    sounds = [(RATE, recording(MELODIES[name], rng)) for name in names for _ in range(n_each)]
    return sounds, np.repeat(names, n_each)


X_train, y_train = recordings(6, seed=0)
X_test, y_test = recordings(25, seed=1)
seconds = [len(samples) / RATE for _, samples in X_train]
print(f"{len(X_train)} recordings of {min(seconds):.2f} to {max(seconds):.2f} seconds")

# %%
# X contains recordings of any length and sample rate. Here they are pairs of a rate and an array;
# encoded bytes and paths of files work too. Pass the name of the sound network as the backbone.
# Everything else works as with images.

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

model = make_pipeline(
    PretrainedFeatureExtractor("speech_embedding"),
    StandardScaler(),
    LogisticRegression(C=0.1, max_iter=1000),
)
model.fit(X_train, y_train)
print(f"accuracy on {len(X_test)} other recordings: {model.score(X_test, y_test):.2f}")

# %%
# For comparison, we fit the same linear classifier without a network. Its features are the mean and
# the standard deviation of each band of the log-mel spectrograms that the network reads.

from skltransfer import SoundInput

front_end = SoundInput(n_mels=32, high_hz=3800.0).front_end


def band_statistics(sounds):
    maps = [front_end((samples / 32768).astype(np.float32)) for _, samples in sounds]
    return np.array([np.concatenate([m.mean(axis=0), m.std(axis=0)]) for m in maps])


baseline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
baseline.fit(band_statistics(X_train), y_train)
print(f"accuracy of band statistics: {baseline.score(band_statistics(X_test), y_test):.2f}")

# %%
# The display shows the recordings with the greatest loss, as the spectrograms that the network
# reads. Time runs from left to right, and frequency from bottom to top.

import matplotlib.pyplot as plt

from skltransfer import TopLossesDisplay

figure, axis = plt.subplots(figsize=(9, 5.4), layout="constrained")
TopLossesDisplay.from_estimator(model, X_test, y_test, n_images=6, ax=axis)
plt.show()
