"""Freeze points: the steps up to which a network may be frozen.

Apart from masks, the output of a freeze point is the only earlier tensor that later steps read. No
freeze point lies between a convolution and its normalisation, activation or addition, or before the
first trainable weights.
"""

from __future__ import annotations

from skltransfer.network.graph import Graph, Step, keras_class
from skltransfer.network.masks import can_carry, comes_from_input

_ACTIVATIONS = {
    *("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Gelu", "Silu", "HardSilu", "HardSigmoid"),
    *("Sigmoid", "Tanh", "Mish", "Celu", "Glu"),
}
_ADDITIONS = {"Add", "CustomScaleLayer"}
_CLOSING = {"activation", "normalisation", "addition", "module"}
_FREEZABLE = {*_CLOSING, "pooling", "joining", "gate"}


def possible_freeze_points(graph: Graph) -> list[int]:
    """Return the steps up to which the network may be frozen, including the end of the features."""
    first = next((i for i, step in enumerate(graph.steps) if is_trainable(step)), 0)
    found = [i for i in separations(graph) if i >= first and _is_settled(graph, i)]
    last = len(graph.steps) - 1
    return found if found[-1:] == [last] else [*found, last]


def separations(graph: Graph) -> list[int]:
    """Return the steps whose output is the only tensor that later steps read from earlier ones.

    Later steps may also read masks that can be computed again from the input. They use none of the
    weights of earlier steps.
    """
    found = graph.bottlenecks_beside(graph.mask_steps)
    return [i for i in found if i in graph.shares_no_weights and _masks_can_pass(graph, i)]


def _masks_can_pass(graph: Graph, index: int) -> bool:
    if index in graph.masked_steps and not comes_from_input(graph, index):
        return False
    return can_carry(graph, index)


def is_trainable(step: Step) -> bool:
    """Return whether the step owns trainable weights."""
    return bool(getattr(step.operation, "trainable_weights", ()))


def kind_of(step: Step) -> str:
    """Return the kind of a step; a "module" is a third-party layer with weights."""
    name = type(step.operation).__name__
    if name in _ADDITIONS:
        return "addition"
    if name in _ACTIVATIONS or _inline_activation(step) not in (None, "linear"):
        return "activation"
    if name in ("Concatenate", "Multiply"):
        return "joining" if name == "Concatenate" else "gate"
    if name.endswith("Normalization"):
        return "normalisation"
    if "Pool" in name and not name.startswith("Global"):
        return "pooling"
    return "module" if step.weights and keras_class(step.operation) is None else "other"


def is_sum(graph: Graph, index: int) -> bool:
    """Return whether the step is an addition, or the activation of one."""
    kind = kind_of(graph.steps[index])
    before = {kind_of(graph.steps[i]) for i in graph.producers[index]}
    return kind == "addition" or (kind == "activation" and "addition" in before)


def _inline_activation(step: Step) -> str | None:
    return getattr(getattr(step.operation, "activation", None), "__name__", None)


def _is_settled(graph: Graph, index: int) -> bool:
    """Return whether the output is complete, so that no activation or other step is missing."""
    if _begins_blocks(graph, index):
        return True
    kind = kind_of(graph.steps[index])
    if kind not in _FREEZABLE or not _is_finished(graph, index):
        return False
    readers = graph.consumers[index]
    next_kinds = {kind_of(graph.steps[reader]) for reader in readers}
    if next_kinds == {"activation", "gate"} or (next_kinds == {"activation"} and len(readers) == 1):
        return False
    return next_kinds != {"normalisation"} or kind == "addition"


def _begins_blocks(graph: Graph, index: int) -> bool:
    """Return whether several branches read tokens that come straight from an embedding."""
    if len(graph.steps[index].shape) != 2 or len({*graph.consumers[index]}) < 2:
        return False
    while not graph.steps[index].weights and len(graph.producers[index]) == 1:
        (index,) = graph.producers[index]
    return bool(graph.steps[index].weights) and kind_of(graph.steps[index]) == "other"


def _is_finished(graph: Graph, index: int) -> bool:
    """Return whether every path back from a step meets one in `_CLOSING` before other weights."""
    stack, seen = [index], set()
    while stack:
        current = stack.pop()
        if current in seen or kind_of(graph.steps[current]) in _CLOSING:
            continue
        seen.add(current)
        if graph.steps[current].weights or not graph.producers[current]:
            return False
        stack.extend(graph.producers[current])
    return True
