"""Masks that steps after a freeze point read.

A mask says which positions of a row are valid. Either Keras attaches it to a tensor, or the model
has steps that compute it for attention layers. In both cases it is a function of the network's
input, without weights. Masks are therefore never stored, but computed again from the input.
"""

from __future__ import annotations

from typing import Any

from skltransfer.network.graph import Graph, Step, ordered_nodes


def reads_masks(graph: Graph, index: int) -> bool:
    """Return whether a later step reads, or may read, a mask that is computed from the input."""
    behind, masks = range(index + 1, len(graph.steps)), graph.mask_steps
    if index in graph.masked_steps and behind:
        return True
    return bool(masks) and any(
        not masks.isdisjoint(graph.producers[later]) for later in behind if later not in masks
    )


def comes_from_input(graph: Graph, index: int) -> bool:
    """Return whether the mask attached to a step's output is a function of the input."""
    nodes = _mask_nodes(graph, index)
    return all(step.inputs and not step.weights for step in nodes)


def mask_at(graph: Graph, index: int, source: Any) -> Any:
    """Compute the mask attached to a step's output from the network's input."""
    tensors = {id(graph.input): source}
    for step in _mask_nodes(graph, index):
        tensors.update(zip(map(id, step.outputs), step.called(tensors), strict=True))
    return tensors[id(graph.steps[index].mask)]


def _mask_nodes(graph: Graph, index: int) -> list[Step]:
    mask = graph.steps[index].mask
    return [Step("mask", node) for node in ordered_nodes([graph.input], [mask])]


def input_shape(graph: Graph) -> tuple[int | None, ...]:
    """Return the shape of the network's input, without the axis of rows."""
    return tuple(graph.input.shape[1:])


def can_carry(graph: Graph, index: int) -> bool:
    """Return whether a row can hold both a step's output and the input, if masks require it.

    It can if all sizes of both are known, or if in each only the first size, the length, is
    unknown.
    """
    shapes = graph.steps[index].shape, input_shape(graph)
    free = [[side is None for side in shape] for shape in shapes]
    n_free = [sum(sides) for sides in free]
    is_fine = n_free == [0, 0] or (n_free == [1, 1] and all(sides[0] for sides in free))
    return is_fine or not reads_masks(graph, index)
