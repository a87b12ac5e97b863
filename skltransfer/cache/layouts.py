"""Layouts of rows: their dtype and shape, as encoded in file names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

NUMERIC_KINDS = "biufc"

_NAME = re.compile(rf"(big)?([{NUMERIC_KINDS}]\d+)(-n)?((?:-\d+)*)")


@dataclass(frozen=True)
class Layout:
    """The common dtype and shape of the rows in one segment (file).

    Attributes
    ----------
    dtype : dtype
        Dtype of all rows.
    shape : tuple of int
        Shape of a row; for ragged rows, without the first axis.
    is_ragged : bool
        Whether each row has its own length on a first axis.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    is_ragged: bool = False

    @property
    def name(self) -> str:
        """A name for files, such as ``f4-7-7-320``, or ``f4-n-384`` for ragged rows."""
        dtype = self.dtype.str.lstrip("<|").replace(">", "big")
        return "-".join([dtype, *["n"] * self.is_ragged, *map(str, self.shape)])

    def sizes(self, lengths: list[int]) -> list[int]:
        """Return the number of bytes of each row; the lengths matter only for ragged rows."""
        step = self.dtype.itemsize * math.prod(self.shape)
        return [step * length for length in lengths] if self.is_ragged else [step] * len(lengths)

    def __str__(self) -> str:
        axes = ", ".join([*["n"] * self.is_ragged, *map(str, self.shape)])
        return f"{self.dtype} of shape ({axes})"


@lru_cache(maxsize=1024)
def layout_named(name: str) -> Layout | None:
    """Return the layout that a name encodes; None if it encodes none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    big, code, ragged, axes = match.groups()
    try:
        dtype = np.dtype((">" if big else "<") + code)
    except TypeError:  # such as f3
        return None
    return Layout(dtype, tuple(map(int, axes.split("-")[1:])), ragged is not None)
