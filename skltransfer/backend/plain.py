"""Operations as Keras implements them for every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

    from skltransfer.backend.protocol import Shape


def built(build: Callable[[], keras.Model]) -> keras.Model:
    """Return the model that `build` makes."""
    return build()


def outlined(build: Callable[[], keras.Model]) -> keras.Model:
    """Return the model that `build` makes, with variables that have a shape but no value.

    The model is built in a thread of its own: Keras keeps a list of such variables for each thread,
    and would later give values to those of the calling thread.
    """
    import keras

    def build_outline() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return build()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build_outline).result()


_A_LENGTH, _ANOTHER_LENGTH = 64, 96
"""Two lengths that stand for an unknown length of rows. Sizes of results that differ between them
depend on the length."""


def result_shapes(shapes_of: Callable[..., list[Shape]], shapes: Sequence[Shape]) -> list[Shape]:
    """Return the shapes of the results for arguments of `shapes`, with None where a size varies.

    `shapes_of` returns the shapes of the results for arguments whose shapes are fully known.
    """
    found = shapes_of(*_counted(shapes, _A_LENGTH))
    if any(None in shape[1:] for shape in shapes):
        others = shapes_of(*_counted(shapes, _ANOTHER_LENGTH))
        pairs = zip(found, others, strict=True)
        found = [tuple(a if a == b else None for a, b in zip(*pair, strict=True)) for pair in pairs]
    open_ended = any(None in shape for shape in shapes)
    return [(None, *shape[1:]) for shape in found] if open_ended else found


def _counted(shapes: Sequence[Shape], length: int) -> list[tuple[int, ...]]:
    """Replace the number of rows by one, and an unknown length by `length`."""
    return [
        tuple((length if axis else 1) if size is None else size for axis, size in enumerate(shape))
        for shape in shapes
    ]


def as_array(tensor: KerasTensor) -> np.ndarray:
    """Return a copy of a tensor or a Keras variable."""
    return np.array(np.asarray(tensor))


def add_bias(x: KerasTensor, bias: KerasTensor) -> KerasTensor:
    """Add one number to each channel, the last axis."""
    return x + bias


def batch_normalised(
    x: KerasTensor,
    gamma: KerasTensor,
    beta: KerasTensor,
    epsilon: float,
    add: Callable[[KerasTensor, KerasTensor], KerasTensor] = add_bias,
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Normalise by the moments of the batch; `add` is used to add the bias."""
    from keras import ops

    mean, variance = ops.moments(x, axes=tuple(range(len(x.shape) - 1)))
    scale = ops.rsqrt(variance + epsilon) * gamma
    return add(x * scale, beta - mean * scale), mean, variance


def depthwise_conv(x: KerasTensor, kernel: KerasTensor, **options: Any) -> KerasTensor:
    """Convolve each channel separately."""
    from keras import ops

    return ops.depthwise_conv(x, kernel, **options)
