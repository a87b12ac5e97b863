"""A plan for computing rows: where the computation starts, and what is cached before its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skltransfer.frozen.engines import FrozenPart


@dataclass(frozen=True)
class ResumePlan:
    """A plan for computing rows: from X, or from cached activations.

    Attributes
    ----------
    name : str
        Name of the starting point.
    part : callable
        Returns the compiled part of the network; called when rows are computed by this plan.
    segments : tuple of str
        Names of the segments (usually stages) of the network that this part contains. For each
        segment, the rows that run through it are counted.
    start : bytes or None
        Namespace in which the input of the part is cached; None means that rows are read.
    kept : tuple of bytes or None
        For each cache point that the part passes, the namespace in which its activations are
        cached; None if they are not cached.
    """

    name: str
    part: Callable[[], FrozenPart]
    segments: tuple[str, ...] = ()
    start: bytes | None = None
    kept: tuple[bytes | None, ...] = ()
