"""Repeated blocks of a network, as in transformers and mixers, found by their structure.

A network is divided into pieces at its freeze points. If consecutive groups of pieces have the same
layers with the same shapes of weights, each group is a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from skltransfer.network.freeze_points import is_sum, kind_of
from skltransfer.network.graph import Graph, Step

Piece: TypeAlias = tuple[tuple[object, ...], ...]
"""The steps of a piece: the class of each, and the shapes of its weights."""


@dataclass(frozen=True)
class Run:
    """Consecutive equal blocks of `period` pieces each, starting at the piece `start`."""

    start: int
    stop: int
    period: int

    @property
    def starts(self) -> range:
        """The first piece of each block."""
        return range(self.start, self.stop, self.period)

    @property
    def merit(self) -> tuple[int, int]:
        """Sort key: a longer run is better; among equally long runs, one with shorter blocks."""
        return self.stop - self.start, -self.period


def block_ends(graph: Graph, start: int, points: Sequence[int]) -> list[int]:
    """Return the freeze points that divide a part of a network into its repeated blocks.

    The steps before the first block, such as the embedding of patches, form a stage of their own.
    The steps after the last block, such as a final normalisation, belong to that block.

    Parameters
    ----------
    graph : Graph
        The network.
    start : int
        First step of the part.
    points : sequence of int
        The freeze points in the part, in order.

    Returns
    -------
    list of int
        The freeze points just before the blocks, in order; empty if no block is repeated.
    """
    ends = [point for point in points if not is_only_normalised(graph, point, points)]
    bounds = pairwise([start - 1, *ends])
    pieces = [_piece(graph, before + 1, stop) for before, stop in bounds]
    runs = _runs(pieces, 0, len(pieces))
    return [ends[first - 1] for run in runs for first in run.starts if first]


def is_only_normalised(graph: Graph, point: int, points: Sequence[int]) -> bool:
    """Return whether a point is a sum that only a normalisation reads, as in a post-norm block."""
    (first, *others) = graph.consumers[point] or (-1,)
    is_read_once = not others and first in points
    return is_read_once and is_sum(graph, point) and _normalises(graph.steps[first])


def _normalises(step: Step) -> bool:
    return kind_of(step) == "normalisation"


def _piece(graph: Graph, start: int, stop: int) -> Piece:
    """Return the properties by which the steps from `start` to `stop` are compared.

    Dropout, masks and a normalisation after the block are ignored. The normalisation must be
    ignored because a pre-norm network has one only after its last block.
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
    """Return the runs of blocks among the pieces from `start` to before `stop`, in order."""
    best = max(_all_runs(pieces, start, stop), key=lambda run: run.merit, default=None)
    if best is None:
        return []
    return [*_runs(pieces, start, best.start), best, *_runs(pieces, best.stop, stop)]


def _all_runs(pieces: Sequence[Piece], start: int, stop: int) -> list[Run]:
    """Return every run of two or more blocks with weights, by period and then by start."""
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
