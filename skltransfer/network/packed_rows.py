"""Packs: several rows of different lengths, joined one behind the other into a single row.

Steps that treat each position separately then read their weights once for all rows of the pack.
Attention, cumulative sums and pooling are told where the rows begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor


@dataclass(frozen=True)
class PackedRows:
    """Where the rows of a pack lie, in tensors of shape (1, positions, ...).

    Attributes
    ----------
    row : tensor of shape (positions,)
        Number of the row at each position; behind the last row, the number of rows.
    first : tensor of shape (positions,)
        First position of the row at each position. Behind the last row, each position counts as a
        row of its own.
    starts, ends : tensor of shape (rows,)
        First position of each row, and first position behind it.
    """

    row: KerasTensor
    first: KerasTensor
    starts: KerasTensor
    ends: KerasTensor

    @classmethod
    def of(cls, x: KerasTensor, lengths: KerasTensor) -> PackedRows:
        """Locate rows of `lengths` in `x`, which may be longer than all these rows together."""
        from keras import ops

        ends = ops.cumsum(lengths)
        starts = ends - lengths
        places = ops.arange(ops.shape(x)[1], dtype="int32")
        row = ops.sum(ops.cast(ops.expand_dims(places, axis=1) >= ends, "int32"), axis=1)
        known = ops.take(starts, ops.minimum(row, ops.shape(lengths)[0] - 1))
        return cls(row, ops.where(places < ends[-1], known, places), starts, ends)

    def readable(self, causal: bool) -> KerasTensor:
        """Return whether each position (first axis) may read each position (second axis)."""
        from keras import ops

        same = ops.expand_dims(self.first, axis=1) == self.first
        if not causal:
            return same
        places = ops.arange(ops.shape(self.first)[0], dtype="int32")
        return ops.logical_and(same, ops.expand_dims(places, axis=1) >= places)

    def restarted(self, sums: KerasTensor, x: KerasTensor) -> KerasTensor:
        """Return the cumulative `sums` of the integers `x`, so that they restart with each row."""
        from keras import ops

        return sums - ops.take(sums - x, self.first, axis=1)

    def pooled(self, output: KerasTensor, pooling: str) -> KerasTensor:
        """Pool the positions of each row in a pack of shape (1, positions, c).

        `pooling` is "avg", "max", "cls" (take the first position) or "last" (take the last one).
        """
        from keras import ops

        x = output[0]
        if pooling in ("cls", "last"):
            return ops.take(x, self.starts if pooling == "cls" else self.ends - 1, axis=0)
        n_rows = ops.shape(self.starts)[0]
        if pooling == "max":
            return ops.segment_max(x, self.row, sorted=True)[:n_rows]
        sums = ops.segment_sum(x, self.row, sorted=True)[:n_rows]
        return sums / ops.expand_dims(ops.cast(self.ends - self.starts, "float32"), axis=1)
