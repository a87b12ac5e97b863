"""Rows that hold activations together with the network's input, for networks with masks.

A mask says which positions of a row are valid. Steps after a freeze point may read masks, which are
then computed again from the network's input. At such a freeze point, a row of activations is one
float32 tensor that also contains the input, so that the code that caches activations and trains on
them need not know about masks. At every other freeze point, a row contains only the activations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from skltransfer.network.execution import Moments, run_steps
from skltransfer.network.graph import Graph
from skltransfer.network.masks import input_shape, reads_masks

Shape: TypeAlias = tuple[int | None, ...]


def row_shape(graph: Graph, index: int) -> Shape:
    """Return the shape of a row at a freeze point."""
    shape = graph.steps[index].shape
    if not reads_masks(graph, index):
        return shape
    sizes = _size(shape), _size(input_shape(graph))
    return (None,) if None in shape else (sum(sizes),)


def run_from(
    graph: Graph,
    start: int | None,
    stops: list[int],
    rows: Any,
    values: Mapping[int, Any] | None = None,
    *,
    moments: Moments | None = None,
    lengths: Any = None,
) -> list[Any]:
    """Do what `run_steps` does, but with rows as described above, at `start` and at each stop."""
    x, source = (rows, rows) if start is None else _unpacked(graph, start, rows)
    options = {"moments": moments, "lengths": lengths, "source": source}
    found = run_steps(graph, start, stops, x, values, **options)
    return [_packed(graph, stop, x, source) for stop, x in zip(stops, found, strict=True)]


def _packed(graph: Graph, index: int, x: Any, source: Any) -> Any:
    from keras import ops

    if not reads_masks(graph, index):
        return x
    parts = [_flat(x, graph.steps[index].shape), _flat(source, input_shape(graph))]
    if None in graph.steps[index].shape:  # the length of the row tells where the input begins
        length = ops.reshape(ops.cast(ops.shape(source)[1], "float32"), (1, 1))
        parts.insert(0, ops.repeat(length, ops.shape(x)[0], axis=0))
    return ops.concatenate(parts, axis=1)


def _flat(x: Any, shape: Shape) -> Any:
    from keras import ops

    sizes = (ops.shape(x)[0], -1) if None in shape else (-1, _size(shape))
    return ops.cast(ops.reshape(x, sizes), "float32")


def _unpacked(graph: Graph, index: int, rows: Any) -> tuple[Any, Any]:
    """Return the activations and the input; the input is None if no later step reads masks."""
    from keras import ops

    if not reads_masks(graph, index):
        return rows, None
    shape, given = graph.steps[index].shape, input_shape(graph)
    begin: Any = _size(shape)
    if None in shape:
        length, rows = ops.cast(rows[0, 0], "int32"), rows[:, 1:]
        begin = ops.shape(rows)[1] - length * _size(given)
        shape, given = (begin // _size(shape), *shape[1:]), (length, *given[1:])
    x = ops.reshape(rows[:, :begin], (-1, *shape))
    source = ops.reshape(rows[:, begin:], (-1, *given))
    return x, ops.cast(source, graph.input.dtype)


def _size(shape: Shape) -> int:
    return math.prod(side for side in shape if side is not None)
