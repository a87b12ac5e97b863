"""One way to compute rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skltransfer.frozen.engines import FrozenPart


@dataclass(frozen=True)
class ResumePlan:
    """One way to compute rows: from what X holds, or from activations that the cache has.

    Attributes
    ----------
    name : str
        Where it begins.
    part : callable
        Gives the compiled part; called when rows are computed by this plan.
    segments : tuple of str
        Segments of the network that it runs through, under which work is counted.
    start : bytes or None
        Namespace of the cache where its input is looked up; None: rows are read.
    kept : tuple of bytes or None
        For each of the results that pass on the way the namespace in which they are kept, or None.
    """

    name: str
    part: Callable[[], FrozenPart]
    segments: tuple[str, ...] = ()
    start: bytes | None = None
    kept: tuple[bytes | None, ...] = ()
