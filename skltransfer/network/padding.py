"""Rows of several lengths side by side, filled up at their ends.

That changes nothing of what counts where each step treats positions by themselves, and attention is
told which of them count. No tensor with a mask goes through the network, so that it can be frozen
wherever one tensor passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.network.graph import Step, keras_class

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array
    from skltransfer.network.graph import Graph

_BY_POSITION = {
    *("InputLayer", "Embedding", "Dense", "LayerNormalization", "Dropout", "Activation"),
    *("Add", "Subtract", "Multiply", "Cast", "NotEqual", "OnesLike", "Cumsum"),  # from the left
    *("Gelu", "Relu", "Silu", "Tanh", "Erf"),
}
_MULTIPLE = 8
"""Lengths are filled up to multiples of it, so that fewer of them occur."""


def is_attention(step: Step) -> bool:
    """Whether a step is Keras' attention, which can be told what counts."""
    return keras_class(step.operation) == "MultiHeadAttention"


def takes_padding(graph: Graph, steps: Iterable[int]) -> bool:
    """Whether rows may be filled up at their ends before some steps of a graph.

    Attention that is given masks by the network cannot be told by others what counts.
    """
    return not graph.masked_steps and all(_takes_padding(graph, index) for index in steps)


def _takes_padding(graph: Graph, index: int) -> bool:
    step = graph.steps[index]
    if is_attention(step):
        return graph.mask_steps.isdisjoint(graph.producers[index])
    return keras_class(step.operation) in _BY_POSITION


def padded(rows: Sequence[Array] | Array) -> tuple[Array, Array]:
    """Rows (length, ...) as one array, zeros behind each, and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    longest = -(-int(lengths.max()) // _MULTIPLE) * _MULTIPLE
    first = np.asarray(rows[0])
    together = np.zeros((len(rows), longest, *first.shape[1:]), first.dtype)
    for target, row, length in zip(together, rows, lengths, strict=True):
        target[:length] = row
    return together, lengths
