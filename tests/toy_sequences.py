"""A third kind of input, made for tests alone: sequences of numbers, each of its own length.

All that a kind needs is in this file; importing it is the registration.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from skltransfer._fields import PositiveInt
from skltransfer.backbones.user_models import spec_of_model
from skltransfer.inputs._input import TensorSpec
from skltransfer.inputs.kinds import register_kind
from skltransfer.persistence.records import Record, register_record


class SequenceSource:
    """Rows of numbers, (length, n_channels) each."""

    is_at_hand = True

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def digest(self, row):
        values = self.rows[row]
        return hashlib.sha256(f"sequence {values.shape}".encode() + values.tobytes()).digest()

    def still_has(self, row, digest):
        return True

    def load(self, rows, out):
        for place, row in enumerate(rows):
            out[0][place] = self.rows[row]

    def take(self, rows):
        return SequenceSource([self.rows[row] for row in np.arange(len(self.rows))[rows]])


@dataclass(frozen=True)
class SequenceEncoding:
    """Sequences as they are, in float32."""

    n_channels: PositiveInt

    is_learned = False
    refuses_views = "augment is not for sequences. Leave augment=None."
    size = ()

    @property
    def row_spec(self):
        return (TensorSpec((None, self.n_channels)),)

    def cache_key_fields(self):
        return ["sequence", self.n_channels]

    def source(self, estimator, X, chosen=None):
        rows = [np.asarray(row, np.float32) for row in X]
        for number, row in enumerate(rows):
            if row.ndim != 2 or row.shape[1] != self.n_channels:
                raise ValueError(f"row {number} of X has the shape {row.shape}.")
        return SequenceSource(rows if chosen is None else [rows[i] for i in chosen])

    def keras_input(self):
        import keras

        source = keras.Input((None, self.n_channels), name="sequences")
        return source, source


@dataclass(frozen=True)
class SequenceInput:
    """Sequences of some numbers a step."""

    n_channels: PositiveInt

    name: ClassVar[str] = "sequence"
    pooling: ClassVar[str] = "avg"
    poolings: ClassVar[frozenset] = frozenset({"avg", "max", "flatten"})
    parameters: ClassVar[frozenset] = frozenset()
    views: ClassVar[dict] = {}
    takes_layers: ClassVar[bool] = False
    size: ClassVar[tuple] = ()
    baseline: ClassVar[str] = "means"

    def identity(self):
        return ["sequence", self.n_channels]

    def row_spec(self, size):
        return (TensorSpec((None, self.n_channels)),)

    def trial_rows(self, size):
        rng = np.random.default_rng(0)
        rows = np.empty(3, object)
        rows[:] = [rng.random((length, self.n_channels), np.float32) for length in (3, 5, 8)]
        return (rows,)

    def plain_rows(self, rows):
        return np.stack([row.mean(axis=0) for row in rows[0]])

    def adapt_tags(self, tags):
        tags.input_tags.two_d_array = False

    def fit(self, estimator, X, weights, accepts):
        estimator.n_features_in_ = 1
        encoding = SequenceEncoding(self.n_channels)
        chosen = None if weights is None else np.flatnonzero(weights)
        return encoding, encoding.source(estimator, X, chosen)

    def check(self, X):
        if len(X) == 0:
            raise ValueError("X holds no sequences.")


register_kind(SequenceInput, SequenceInput.name)
register_record("sequence_input", Record(SequenceInput, role="input"))
register_record("sequence_encoding", Record(SequenceEncoding, role="encoding"))


def make_network():
    """Handle of a small network of convolutions, whose weights depend on a seed alone."""
    import keras
    from keras import layers

    inputs = keras.Input((None, 3), name="steps")
    first = layers.Conv1D(6, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.Conv1D(6, 3, padding="same", activation="relu", name="second")(first)
    x = layers.Add(name="sum")([first, x])
    outputs = layers.Conv1D(5, 3, padding="same", activation="relu", name="third")(x)
    model = keras.Model(inputs, outputs, name="sequences")
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.4, weight.shape) for weight in model.weights])
    return spec_of_model(model, "toy_sequences", SequenceInput(3))


def make_sequences(n_rows=24):
    """Sequences of 1 to 12 steps, which rise in every second row, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_rows) % 2
    rows = []
    for label in labels:
        length = int(rng.integers(1, 13))
        slope = label * np.linspace(0, 2, length)[:, np.newaxis]
        rows.append((slope + rng.normal(0, 0.5, (length, 3))).astype(np.float32))
    return rows, labels
