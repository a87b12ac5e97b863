"""Operations as Keras says them for every backend."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np


def built(build: Callable):
    """The model that `build` makes."""
    return build()


def outlined(build: Callable):
    """The model that `build` makes, with variables that have a shape and no value.

    In a thread of its own, for Keras keeps a list of such variables for each thread, and gives
    them values at the next occasion.
    """
    import keras

    def build_outline():
        with keras.StatelessScope(initialize_variables=False):
            return build()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build_outline).result()


_A_LENGTH, _ANOTHER_LENGTH = 64, 96
"""Of rows of unknown length, to see which sizes of results follow from it."""


def result_shapes(shapes_of: Callable, shapes: list[tuple]) -> list[tuple]:
    """Shapes of the results for arguments of `shapes`, with None for the rows where one has it.

    `shapes_of` tells them for arguments whose rows are counted.
    """
    found = shapes_of(*_counted(shapes, _A_LENGTH))
    if any(None in shape[1:] for shape in shapes):
        others = shapes_of(*_counted(shapes, _ANOTHER_LENGTH))
        pairs = zip(found, others, strict=True)
        found = [tuple(a if a == b else None for a, b in zip(*pair, strict=True)) for pair in pairs]
    open_ended = any(None in shape for shape in shapes)
    return [(None, *shape[1:]) for shape in found] if open_ended else found


def _counted(shapes: list[tuple], length: int) -> list[tuple]:
    """Shapes of one row, and of a length where that is open."""
    return [
        tuple((length if axis else 1) if size is None else size for axis, size in enumerate(shape))
        for shape in shapes
    ]


def as_array(tensor) -> np.ndarray:
    """A copy of a tensor or a Keras variable."""
    return np.array(np.asarray(tensor))


def add_bias(x, bias):
    """Add one number to each channel, the last axis."""
    return x + bias


def batch_normalised(x, gamma, beta, epsilon: float, add: Callable = add_bias):
    """Normalise by the moments of the batch; `add` adds the bias."""
    from keras import ops

    mean, variance = ops.moments(x, axes=tuple(range(len(x.shape) - 1)))
    scale = ops.rsqrt(variance + epsilon) * gamma
    return add(x * scale, beta - mean * scale), mean, variance


def depthwise_conv(x, kernel, **options):
    """Filter each channel by itself."""
    from keras import ops

    return ops.depthwise_conv(x, kernel, **options)
