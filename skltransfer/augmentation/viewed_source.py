"""Views of the rows of another source, whose randomness depends on content, not on position."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from skltransfer.inputs.digests import digest_array

if TYPE_CHECKING:
    from skltransfer.inputs._input import Array, Rows, Source, View


class ViewedSource:
    """Views of the rows of another source.

    Parameters
    ----------
    source : Source
        The rows; each consists of one tensor.
    view : callable
        Makes a view from (row, number, random generator); number 0 changes nothing.
    name : str
        Description of `view`, used in the content digest.
    number : int or None
        Number of the view; None draws it at random.
    seed : tuple of int
        Determines the random draws, together with the content and `number`.
    """

    is_at_hand = False  # views are computed

    def __init__(
        self, source: Source, view: View, name: str, number: int | None, seed: tuple[int, ...]
    ) -> None:
        self.source = source
        self.view = view
        self.name = name
        self.number = number
        self.seed = seed
        self._stored: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.source)

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Read the given rows and write their views to `out`."""
        self.source.load(rows, out)
        (seen,) = out
        for position in range(len(rows)):
            # The seed comes from the tensor, so it does not depend on how the row is stored.
            drawn = np.random.default_rng(list(self._described(digest_array(seen[position]))))
            number = int(drawn.integers(2**16)) if self.number is None else self.number
            seen[position] = self.view(seen[position].copy(), number, drawn)

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of the given rows."""
        return type(self)(self.source.take(rows), self.view, self.name, self.number, self.seed)

    def digest(self, row: int) -> bytes:
        """Return a digest of the stored row and of the view; for view 0, only of the row."""
        stored = self._stored[row] = self.source.digest(row)
        return stored if self.number == 0 else self._described(stored)

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return whether the row is unchanged since the digest of its view was taken."""
        return self.source.still_has(row, self._stored[row])

    def _described(self, content: bytes) -> bytes:
        described = f"{self.name} {self.number} {self.seed}".encode()
        return hashlib.sha256(content + described).digest()
