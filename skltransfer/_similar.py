"""Names that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(
    wanted: str, known: Iterable[str], *, at_most: int = 3, cutoff: float = 0.6
) -> str:
    """Question that names the `known` words most similar to `wanted`; "" where none is."""
    close = difflib.get_close_matches(wanted, [*known], n=at_most, cutoff=cutoff)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
