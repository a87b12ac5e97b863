"""A plan for computing rows."""

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
        Name of its starting point.
    part : callable
        Returns the compiled part; called when rows are computed by this plan.
    segments : tuple of str
        Segments of the network that it runs; work is counted for each.
    start : bytes or None
        Namespace in which its input is cached; None means that rows are read.
    kept : tuple of bytes or None
        For each activation on the way, the namespace in which it is cached; None if it is not.
    """

    name: str
    part: Callable[[], FrozenPart]
    segments: tuple[str, ...] = ()
    start: bytes | None = None
    kept: tuple[bytes | None, ...] = ()
