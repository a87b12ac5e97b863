"""Feature maps to rows of features, inside the network."""

from __future__ import annotations

import math
from typing import cast


def pooled(outputs, pooling: str):
    """Pool each feature map over its positions and put the results side by side.

    Parameters
    ----------
    outputs : tensor or list of tensor
        (n, h, w, c) maps, (n, tokens, c) sequences or (n, c) rows.
    pooling : {"avg", "max", "flatten"}
        How the positions of a map are summed up; rows stay as they are.
    """
    from keras import ops

    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    rows = [_pooled_one(output, pooling) for output in outputs]
    return ops.concatenate(rows, axis=-1) if len(rows) > 1 else rows[0]


def n_features(shape: tuple[int | None, ...], pooling: str) -> int:
    """Width of the row that an output of `shape` (without the rows) is pooled to.

    Raises
    ------
    ValueError
        When all values are wanted of rows that differ in length.
    """
    if pooling != "flatten":
        return cast(int, shape[-1])
    if None in shape:
        raise ValueError(
            "pooling='flatten' needs rows of one length, and the rows of this network differ in "
            "length. Use 'avg' or 'max'."
        )
    return math.prod(cast(tuple[int, ...], shape))


def _pooled_one(output, pooling: str):
    from keras import ops

    if pooling == "flatten":
        return ops.reshape(output, (-1, math.prod(output.shape[1:])))
    positions = tuple(range(1, len(output.shape) - 1))
    if not positions:
        return output
    if pooling == "max":
        return ops.max(output, axis=positions)
    if None in output.shape[1:]:  # of one row at a time
        return ops.mean(output, axis=positions)
    return _mean(output)


def _mean(output):
    """Mean over the positions, as a pooling of one window.

    TensorFlow's mean rounds by where a row lies in the block, unless the channels are a multiple
    of the processor's vector width.
    """
    from keras import ops

    window = tuple(output.shape[1:-1])
    return ops.reshape(
        ops.average_pool(output, window, window, padding="valid", data_format="channels_last"),
        (-1, output.shape[-1]),
    )
