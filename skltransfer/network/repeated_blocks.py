"""Blocks that a network repeats, as transformers and mixers do, found by what they are made of.

A network is read as the pieces between freeze points. Where a group of pieces follows itself with
the same layers and the same shapes of weights, each repetition is a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from skltransfer.network.freeze_points import is_sum, kind_of
from skltransfer.network.graph import Graph, Step

Piece: TypeAlias = tuple[tuple[object, ...], ...]
"""The steps of a piece: the class and the shapes of the weights of each."""


@dataclass(frozen=True)
class Run:
    """Blocks of `period` pieces that follow each other, from the piece `start` on."""

    start: int
    stop: int
    period: int

    @property
    def starts(self) -> range:
        """The first piece of each block."""
        return range(self.start, self.stop, self.period)

    @property
    def merit(self) -> tuple[int, int]:
        """The longer run is better; of two that are as long, the one of shorter blocks."""
        return self.stop - self.start, -self.period


def block_ends(graph: Graph, start: int, points: Sequence[int]) -> list[int]:
    """Where a stretch of a network is cut into the blocks that it repeats.

    What lies before the first block, such as the embedding of patches and their positions, is a
    piece of its own. What lies behind the last one, such as a final normalisation, belongs to it.

    Parameters
    ----------
    graph : Graph
        The network.
    start : int
        First step of the stretch.
    points : sequence of int
        The freeze points in the stretch, in order.

    Returns
    -------
    list of int
        Freeze points, each before a block, in order; none where no block is repeated.
    """
    ends = [point for point in points if not is_only_normalised(graph, point, points)]
    bounds = pairwise([start - 1, *ends])
    pieces = [_piece(graph, before + 1, stop) for before, stop in bounds]
    runs = _runs(pieces, 0, len(pieces))
    return [ends[first - 1] for run in runs for first in run.starts if first]


def is_only_normalised(graph: Graph, point: int, points: Sequence[int]) -> bool:
    """Whether a normalisation alone reads a sum: a post-norm block ends behind it."""
    (first, *others) = graph.consumers[point] or (-1,)
    is_read_once = not others and first in points
    return is_read_once and is_sum(graph, point) and _normalises(graph.steps[first])


def _normalises(step: Step) -> bool:
    return kind_of(step) == "normalisation"


def _piece(graph: Graph, start: int, stop: int) -> Piece:
    """What is compared of the steps from `start` to `stop`.

    Dropout and masks may differ, and so may whether a normalisation follows the block: a pre-norm
    network has one behind its last block only.
    """
    closes = all(_closes_block(graph, producer) for producer in graph.producers[stop])
    is_left_out = closes and _normalises(graph.steps[stop])
    indices = range(start, stop if is_left_out else stop + 1)
    steps = [graph.steps[index] for index in indices if index not in graph.mask_steps]
    kinds = [(step, type(step.operation).__name__) for step in steps]
    return tuple((name, *_shapes(step)) for step, name in kinds if "Drop" not in name)


def _closes_block(graph: Graph, index: int) -> bool:
    return is_sum(graph, index) or kind_of(graph.steps[index]) == "module"


def _shapes(step: Step) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in step.weights]


def _runs(pieces: Sequence[Piece], start: int, stop: int) -> list[Run]:
    """Runs of blocks among the pieces from `start` on and before `stop`, in order."""
    best = max(_all_runs(pieces, start, stop), key=lambda run: run.merit, default=None)
    if best is None:
        return []
    return [*_runs(pieces, start, best.start), best, *_runs(pieces, best.stop, stop)]


def _all_runs(pieces: Sequence[Piece], start: int, stop: int) -> list[Run]:
    """Every run of two blocks or more that own weights; the earliest of each length first."""
    found = []
    for period in range(1, (stop - start) // 2 + 1):
        for first in range(start, stop - 2 * period + 1):
            unit, end = pieces[first : first + period], first + period
            while end + period <= stop and pieces[end : end + period] == unit:
                end += period
            if end > first + period and _owns_weights(unit):
                found.append(Run(first, end, period))
    return found


def _owns_weights(unit: Sequence[Piece]) -> bool:
    return any(len(kind) > 1 for piece in unit for kind in piece)
