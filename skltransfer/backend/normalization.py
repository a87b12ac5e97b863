"""Keras' Normalization layers, which compute with tensors that they make when they are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def refresh_normalization(model: keras.Model, arrays: Sequence[np.ndarray] | None = None) -> None:
    """Have Normalization layers compute with what their weights and settings are now.

    Setting their weights does not do so, and tensors that were made while a model was traced
    cannot be computed with.

    Parameters
    ----------
    model : keras.Model
        Holds the layers.
    arrays : sequence of ndarray, default=None
        Values for all weights of the model; None: those that they have.
    """
    import keras

    values = {} if arrays is None else dict(zip(map(id, model.weights), arrays, strict=True))
    for layer in model._flatten_layers():
        if not isinstance(layer, keras.layers.Normalization) or not layer.built:
            continue
        if layer.input_mean is None:
            mapping = [(v, values[id(v)]) for v in layer.weights if id(v) in values]
            with keras.StatelessScope(mapping):
                layer.finalize_state()
        else:
            layer.build(layer._build_input_shape)  # has no weights
