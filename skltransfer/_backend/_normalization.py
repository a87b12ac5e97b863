"""Keras' Normalization layers, which compute with tensors that they make when they are built."""

from __future__ import annotations


def refresh_normalization(model) -> None:
    """Have Normalization layers compute with what their weights and settings are now.

    Setting their weights does not do so, and tensors that were made while a model was traced
    cannot be computed with.
    """
    import keras

    for layer in model._flatten_layers():
        if not isinstance(layer, keras.layers.Normalization) or not layer.built:
            continue
        if layer.input_mean is None:
            layer.finalize_state()
        else:
            layer.build(layer._build_input_shape)  # has no weights
