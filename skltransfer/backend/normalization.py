"""Keras' Normalization layers, which compute with tensors that they create when they are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def refresh_normalization(model: keras.Model, arrays: Sequence[np.ndarray] | None = None) -> None:
    """Make Normalization layers use their current weights and settings.

    Setting the weights does not change these tensors, and so not what the layers compute. Tensors
    that a layer created while the model was traced cannot be used in computations at all.

    Parameters
    ----------
    model : keras.Model
        The model that contains the layers.
    arrays : sequence of ndarray, default=None
        Values for all weights of the model; None uses the current values.
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
