"""Pooling of feature maps to rows, inside the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from skltransfer.network.packed_rows import PackedRows

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.network.graph import Graph

_SMALLEST_VARIANCE = 1e-12
_ONE_POSITION = {"cls": 0, "last": -1}


def pooled(
    outputs: KerasTensor | Sequence[KerasTensor],
    pooling: str,
    lengths: KerasTensor | PackedRows | None = None,
) -> KerasTensor:
    """Pool each feature map over its positions, or take one token; concatenate the results.

    Parameters
    ----------
    outputs : tensor or list of tensor
        (n, h, w, c) maps, (n, tokens, c) sequences or (n, c) rows.
    pooling : {"avg", "max", "flatten", "cls", "last", "avg_std"}
        How the positions of a map are summarised, or which token represents a sequence; outputs
        that are rows already stay as they are.
    lengths : tensor of int or PackedRows, default=None
        If sequences are padded at their ends, the number of positions of each sequence that are not
        padding. If several sequences are joined into one, where they lie in it. None in all other
        cases.
    """
    from keras import ops

    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    rows = [_pooled_one(output, pooling, lengths) for output in outputs]
    return ops.concatenate(rows, axis=-1) if len(rows) > 1 else rows[0]


def n_features(shape: tuple[int | None, ...], pooling: str) -> int:
    """Return the width of the row to which an output of `shape` (without the batch axis) is pooled.

    Raises
    ------
    ValueError
        If rows differ in length and `pooling` is "flatten".
    """
    if pooling == "avg_std" and len(shape) > 1:
        return 2 * cast(int, shape[-1])
    if pooling != "flatten":
        return cast(int, shape[-1])
    if None in shape:
        raise ValueError(
            "pooling='flatten' needs rows of one length, but the rows of this network differ in "
            "length. Use 'avg' or 'max'."
        )
    return math.prod(cast(tuple[int, ...], shape))


def check_class_token(graph: Graph, index: int, backbone: str) -> None:
    """Refuse a step whose first token is not a class token.

    Raises
    ------
    ValueError
        If the output is not a sequence of tokens, or if its tokens are the positions of a map.
    """
    step = graph.steps[index]
    if len(step.shape) != 2:
        raise ValueError(
            f"pooling='cls' takes the first of a sequence of tokens, but the layer {step.name!r} "
            f"of backbone={backbone!r} makes {_described(step.shape)}. Use 'avg' or 'max'."
        )
    maps = [before for before in graph.ancestors_of(index).steps if len(before.shape) == 3]
    same = [found for found in maps if _positions(found.shape) == step.shape[0]]
    if step.shape[0] is not None and same:
        raise ValueError(
            f"pooling='cls' takes a class token, but backbone={backbone!r} has none: its "
            f"{step.shape[0]} tokens are the {_described(same[0].shape)} of {same[0].name!r}. "
            "Use 'avg' or 'max'."
        )


def _described(shape: tuple[int | None, ...]) -> str:
    if len(shape) == 1:
        return "one row"
    return f"{' x '.join(str(side) for side in shape[:-1])} positions"


def _positions(shape: tuple[int | None, ...]) -> int | None:
    return None if None in shape else math.prod(cast(tuple[int, ...], shape[:-1]))


def _pooled_one(
    output: KerasTensor, pooling: str, lengths: KerasTensor | PackedRows | None
) -> KerasTensor:
    from keras import ops

    if isinstance(lengths, PackedRows):
        return lengths.pooled(output, pooling)
    if lengths is not None:
        return _pooled_padded(output, pooling, lengths)
    if pooling == "flatten":
        return ops.reshape(output, (-1, math.prod(output.shape[1:])))
    positions = tuple(range(1, len(output.shape) - 1))
    if not positions:
        return output
    if pooling in _ONE_POSITION:
        return output[:, _ONE_POSITION[pooling]]
    if pooling == "max":
        return ops.max(output, axis=positions)
    if pooling == "avg_std":
        return _mean_and_deviation(output, positions)
    if None in output.shape[1:]:  # such rows run one at a time
        return ops.mean(output, axis=positions)
    return _mean(output)


def _pooled_padded(output: KerasTensor, pooling: str, lengths: KerasTensor) -> KerasTensor:
    """Pool each sequence of (n, tokens, c) over its first positions; `lengths` says how many."""
    from keras import ops

    if pooling == "cls":
        return output[:, 0]
    counts = ops.expand_dims(positions_that_count(output, lengths), axis=-1)
    if pooling == "max":
        return ops.max(ops.where(counts, output, -float("inf")), axis=1)
    if pooling == "last":
        place = ops.arange(ops.shape(output)[1], dtype="int32")
        is_last = ops.equal(place, ops.expand_dims(lengths - 1, axis=-1))
        counts = ops.expand_dims(is_last, axis=-1)
    shares = ops.cast(counts, "float32")
    return ops.sum(output * shares, axis=1) / ops.sum(shares, axis=1)


def positions_that_count(rows: KerasTensor, lengths: KerasTensor) -> KerasTensor:
    """For each position of rows (n, tokens, ...), return whether it is below the row's length."""
    from keras import ops

    return ops.arange(ops.shape(rows)[1], dtype="int32") < ops.expand_dims(lengths, axis=-1)


def _mean_and_deviation(output: KerasTensor, positions: tuple[int, ...]) -> KerasTensor:
    """Return the mean of each channel, then its standard deviation, which is kept above 0.

    A square root has no gradient at 0, and the deviation of a single position is 0.
    """
    from keras import ops

    mean = ops.mean(output, axis=positions, keepdims=True)
    variance = ops.mean(ops.square(output - mean), axis=positions)
    deviation = ops.sqrt(ops.maximum(variance, _SMALLEST_VARIANCE))
    return ops.concatenate([ops.mean(output, axis=positions), deviation], axis=-1)


def _mean(output: KerasTensor) -> KerasTensor:
    """Compute the mean over the positions, as average pooling with one window.

    With TensorFlow's mean, rounding would depend on a row's position in the block, unless the
    number of channels is a multiple of the processor's vector width.
    """
    from keras import ops

    window = tuple(output.shape[1:-1])
    return ops.reshape(
        ops.average_pool(output, window, window, padding="valid", data_format="channels_last"),
        (-1, output.shape[-1]),
    )
