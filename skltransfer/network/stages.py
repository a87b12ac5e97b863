"""Stages of a network, and the meaning of `freeze_depth`.

Stages are the parts of a network between chosen freeze points. In some architectures, the names of
layers tell the groups into which the paper divides the layers; `stage_pattern` extracts the group
from a name. Stages are then these groups. In all other networks, a stage ends where the image is
halved and, in networks such as transformers, after each repeated block.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING

from skltransfer._similar import similar_names
from skltransfer.network.freeze_points import (
    is_sum,
    is_trainable,
    kind_of,
    possible_freeze_points,
    separations,
)
from skltransfer.network.repeated_blocks import block_ends, is_only_normalised

if TYPE_CHECKING:
    from skltransfer.network.graph import Graph, Step

_BRANCHES = "other branches run beside that layer"


@dataclass(frozen=True)
class Stage:
    """A part of the backbone that is frozen or trained as a whole.

    Attributes
    ----------
    index : int
        Position from the input, starting at 0.
    layer : str
        Name of its last layer; freezing up to this layer freezes stages 0 to `index`.
    stop : int
        Position of that layer among the graph's steps.
    """

    index: int
    layer: str
    stop: int


def find_stages(graph: Graph, stage_pattern: str | None = None) -> tuple[Stage, ...]:
    """Partition `graph` into stages that each own trainable weights.

    Parameters
    ----------
    graph : Graph
        The backbone up to the end of its features.
    stage_pattern : str, default=None
        Regular expression with one capturing group, which extracts the label of a layer's stage
        from the layer's name. None divides the network by its structure.
    """
    labels = _labels_by_name(graph, stage_pattern) if stage_pattern else _labels_by_side(graph)
    ends = _ends(graph, _starts(labels), splits_blocks=stage_pattern is None)
    ends = _owning_weights(graph, [*ends, len(graph.steps) - 1])
    return tuple(Stage(i, graph.steps[stop].name, stop) for i, stop in enumerate(ends))


def resolve_freeze_depth(depth: object, graph: Graph, stages: tuple[Stage, ...]) -> int | None:
    """Return the position of the last frozen step; None if nothing is frozen.

    Parameters
    ----------
    depth : str, int or float
        "all"; an int, the number of frozen stages or, if negative, of trained ones; a float between
        0 and 1, the share of frozen layers among those with weights, rounded down to a freeze
        point; or the name of the last frozen layer.
    graph : Graph
        The backbone up to the end of its features.
    stages : tuple of Stage
        The stages of `graph`.

    Raises
    ------
    ValueError
        If `depth` leads to no possible freeze point; the message lists the stages.
    """
    if isinstance(depth, str):
        return stages[-1].stop if depth == "all" else _named(depth, graph, stages)
    if isinstance(depth, Integral) and not isinstance(depth, bool):
        return _counted(int(depth), stages)
    if isinstance(depth, Real) and 0.0 < float(depth) < 1.0:
        return _fraction(float(depth), graph)
    raise _refusal(depth, stages, "it is neither an int, a float between 0 and 1, nor a name")


def _counted(count: int, stages: tuple[Stage, ...]) -> int | None:
    if abs(count) > len(stages):
        raise _refusal(count, stages, f"the backbone has {len(stages)} stages")
    frozen = count if count >= 0 else len(stages) + count
    return stages[frozen - 1].stop if frozen else None


def _fraction(fraction: float, graph: Graph) -> int | None:
    holders = [index for index, step in enumerate(graph.steps) if step.weights]
    allowed = math.floor(fraction * len(holders) + 1e-9)
    fitting = [
        point
        for point in possible_freeze_points(graph)
        if sum(index <= point for index in holders) <= allowed
    ]
    return max(fitting, default=None)


def _named(name: str, graph: Graph, stages: tuple[Stage, ...]) -> int:
    index = graph.position.get(name)
    if index is None:
        points = [graph.steps[point].name for point in possible_freeze_points(graph)]
        close = similar_names(name, ["all", "auto", *points])
        hint = f" (did you mean {close}?)" if close else ""
        raise _refusal(name, stages, f"the backbone has no layer of that name{hint}")
    if index not in separations(graph):
        why = _why_not_apart(index, graph)
        around = _points_around(index, graph)
        raise _refusal(
            name,
            stages,
            f"{why}, so it cannot be the last frozen layer; the nearest layers that can be are "
            f"{around}",
        )
    return index


def _why_not_apart(index: int, graph: Graph) -> str:
    if index not in graph.bottlenecks:
        return _BRANCHES
    if index in graph.shares_no_weights:
        return "its output has a mask that is not a function of the input alone"
    return "a layer is called both before and after it"


def _points_around(index: int, graph: Graph) -> str:
    """Describe the nearest freeze points before and after a step."""
    points = possible_freeze_points(graph)
    before = [point for point in points if point < index][-1:]
    behind = [point for point in points if point > index][:1]
    return " and ".join(repr(graph.steps[point].name) for point in (*before, *behind))


def _refusal(depth: object, stages: tuple[Stage, ...], reason: str) -> ValueError:
    listed = ", ".join(f"{stage.index + 1}: {stage.layer!r}" for stage in stages)
    return ValueError(
        f"freeze_depth={depth!r} fits no freeze point: {reason}. Use 'auto', 'all', an int "
        f"from {-len(stages)} to {len(stages)}, a float strictly between 0 and 1, or the name of "
        f"the last frozen layer. Frozen stages and their last layers: {listed}."
    )


def _starts(labels: Sequence[Hashable | None]) -> list[int]:
    """Return the steps at which a label occurs for the first time."""
    return sorted(labels.index(label) for label in {*labels} - {None})


def _labels_by_name(graph: Graph, stage_pattern: str) -> list[str | None]:
    """Return the label that `stage_pattern` finds in each layer's name; None without a match."""
    matches = [re.search(stage_pattern, step.name) for step in graph.steps]
    return [found and found[found.lastindex or 0] for found in matches]


def _labels_by_side(graph: Graph) -> list[int]:
    """Return how often strides have reduced the image up to each step."""
    labels: list[int] = []
    for step, producers in zip(graph.steps, graph.producers, strict=True):
        before = max((labels[producer] for producer in producers), default=0)
        labels.append(before + _makes_smaller(step))
    return labels


def _makes_smaller(step: Step) -> bool:
    """Return whether a step has a stride above 1, or is a third-party layer that halves images."""
    operation = step.operation
    if len(step.shape) != 3 or "Transpose" in type(operation).__name__:
        return False
    strides = getattr(operation, "strides", None)
    if strides is None:
        return kind_of(step) == "module" and _halves(step)
    return any(
        stride > 1 for stride in (strides if isinstance(strides, tuple | list) else (strides,))
    )


def _halves(step: Step) -> bool:
    shape, after = step.inputs[0].shape, step.shape[0]
    return len(shape) == 4 and bool(shape[1] and after and 2 * after <= shape[1] + 1)


def _ends(graph: Graph, starts: list[int], splits_blocks: bool) -> list[int]:
    """Return the last freeze point of every stage except the final one."""
    candidates, found = possible_freeze_points(graph), []
    for start, stop in pairwise([0, *starts, len(graph.steps)]):
        points = [point for point in candidates if start <= point < stop]
        blocks = _block_ends(graph, start, points, starts) if splits_blocks else []
        found += blocks
        if points and stop < len(graph.steps):
            last = points[-1] if blocks else _past_pooling(graph, _end_of_block(graph, points))
            found.append(last)
    return found


def _block_ends(graph: Graph, start: int, points: list[int], starts: list[int]) -> list[int]:
    """Return the freeze points that divide a part into its repeated blocks.

    If the network halves images after its first weights (which may embed patches), only sequences
    of tokens are divided.
    """
    first = next((i for i, step in enumerate(graph.steps) if is_trainable(step)), 0)
    halves = any(halving > first for halving in starts)
    chosen = [p for p in points if not halves or len(graph.steps[p].shape) == 2]
    return block_ends(graph, start, chosen)


def _end_of_block(graph: Graph, points: list[int]) -> int:
    """Return the end of the last whole block: a sum, else a linear bottleneck, else the last point.

    In a post-norm transformer, the block ends at the normalisation that reads the sum, if no other
    step reads the sum.
    """
    sums = [point for point in points if is_sum(graph, point)]
    linear = [point for point in points if kind_of(graph.steps[point]) == "normalisation"]
    last = (sums or linear or points)[-1]
    is_of_tokens = len(graph.steps[last].shape) == 2  # in ConvNeXt, stages end at the sum
    if is_of_tokens and is_only_normalised(graph, last, points):
        return graph.consumers[last][0]
    return last


def _past_pooling(graph: Graph, point: int) -> int:
    """Move a freeze point past a pooling that follows it, so that activations become smaller."""
    readers = graph.consumers[point]
    while len(readers) == 1:
        (reader,) = readers
        if kind_of(graph.steps[reader]) == "pooling":
            return reader
        if "Padding" not in type(graph.steps[reader].operation).__name__:
            return point
        readers = graph.consumers[reader]
    return point


def _owning_weights(graph: Graph, ends: list[int]) -> list[int]:
    """Merge each stage without trainable weights into the next, but the last into the previous."""
    kept: list[int] = []
    start = 0
    for stop in sorted(set(ends)):
        if any(map(is_trainable, graph.steps[start : stop + 1])):
            kept.append(stop)
            start = stop + 1
    return [*kept[:-1], max(ends)]
