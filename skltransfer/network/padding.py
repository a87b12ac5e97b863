"""Stacking of rows of different lengths, padded at their ends.

Padding does not affect the other positions if attention gets a mask of it, and all other steps
treat each position separately. The mask is passed to attention directly. It is not a Keras mask
that is attached to tensors, which would restrict where the network can be frozen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.network.graph import Step, keras_class

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array
    from skltransfer.network.graph import Graph

# Cumulative sums run from the left, so padding at the end of a row does not affect them.
_BY_POSITION = {
    *("InputLayer", "Embedding", "Dense", "LayerNormalization", "Dropout", "Activation"),
    *("Add", "Subtract", "Multiply", "Cast", "NotEqual", "OnesLike", "Cumsum"),
    *("Gelu", "Relu", "Silu", "Tanh", "Erf"),
}
_POOLINGS = {"avg", "max", "cls", "last"}
_UNUSUAL = ("_use_gate", "_sliding_window", "_flash_attention")
_MULTIPLE = 8
"""Lengths are padded to multiples of this number, so that fewer different lengths occur."""


def is_attention(step: Step) -> bool:
    """Return whether a step is Keras' attention, which accepts a mask of positions."""
    return keras_class(step.operation) == "MultiHeadAttention"


def takes_padding(graph: Graph, steps: Iterable[int]) -> bool:
    """Return whether rows that run through the given steps may be padded at their ends.

    They may not if the network itself gives a mask to attention, because attention takes only one.
    """
    return not graph.masked_steps and all(_takes_padding(graph, index) for index in steps)


def _takes_padding(graph: Graph, index: int) -> bool:
    step = graph.steps[index]
    if is_attention(step):
        return graph.mask_steps.isdisjoint(graph.producers[index])
    return keras_class(step.operation) in _BY_POSITION


def takes_packing(graph: Graph, steps: Collection[int], pooling: str) -> bool:
    """Return whether rows may run in packs through the given steps of a graph and the pooling.

    In a pack, several rows are joined into one; see `PackedRows`. All steps that take padding take
    packs too, except unusual forms of attention and of cumulative sums.
    """
    return (
        pooling in _POOLINGS
        and takes_padding(graph, steps)
        and all(_takes_packing(graph.steps[index]) for index in steps)
    )


def _takes_packing(step: Step) -> bool:
    layer = step.operation
    if is_attention(step):
        options = set(step.node.arguments.kwargs) - {"value", "key", "use_causal_mask"}
        unusual = [getattr(layer, name, None) for name in _UNUSUAL]
        return not options and not any(unusual) and tuple(layer._attention_axes) == (1,)
    if keras_class(layer) == "Cumsum":
        return layer.axis == 1 and "int" in step.output.dtype
    return True


def padded(rows: Sequence[Array] | Array) -> tuple[Array, Array]:
    """Return rows (length, ...) as one zero-padded array, and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    longest = -(-int(lengths.max()) // _MULTIPLE) * _MULTIPLE
    first = np.asarray(rows[0])
    together = np.zeros((len(rows), longest, *first.shape[1:]), first.dtype)
    for target, row, length in zip(together, rows, lengths, strict=True):
        target[:length] = row
    return together, lengths
