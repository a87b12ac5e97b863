"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def similar_names(
    wanted: str, known: Iterable[str], *, at_most: int = 3, cutoff: float = 0.6
) -> str:
    """Return the `known` names most similar to `wanted`, as in "'a' or 'b'"; "" if none is similar.

    If `known` is a dict, its keys are compared with `wanted`, and its values are returned.
    """
    shown = known if isinstance(known, dict) else {name: name for name in known}
    close = difflib.get_close_matches(wanted, shown, n=at_most, cutoff=cutoff)
    # Among equally similar names, difflib puts those first that come last in the alphabet.
    close.sort(key=lambda name: (-difflib.SequenceMatcher(None, name, wanted).ratio(), name))
    return " or ".join(repr(shown[name]) for name in close)


def did_you_mean(
    wanted: str, known: Iterable[str], *, at_most: int = 3, cutoff: float = 0.6
) -> str:
    """Return the end of a message, which suggests the most similar names; "" if none is similar."""
    close = similar_names(wanted, known, at_most=at_most, cutoff=cutoff)
    return f" Did you mean {close}?" if close else ""
