"""Types of public parameters, for type checkers, and a function that recognises URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Path: TypeAlias = str | os.PathLike[str]
Weights: TypeAlias = Path | None
Size: TypeAlias = tuple[int, int]
ImageShape: TypeAlias = tuple[int, int] | tuple[int, int, int]
PixelRange: TypeAlias = tuple[float, float]
FreezeDepth: TypeAlias = int | float | str
Auto: TypeAlias = Literal["auto"]
Seed: TypeAlias = int | np.random.RandomState | None

Images: TypeAlias = Any
"""Arrays, frames, Series and lists of numbers, paths, bytes, PIL images, texts or sounds."""
Labels: TypeAlias = Any
"""Any array-like of strings, ints or bools; scikit-learn has no type for it."""
Numbers: TypeAlias = Any
"""Any array-like of numbers, of one or two dimensions."""
Tabular: TypeAlias = Any
"""A scikit-learn transformer that turns a frame into numbers."""
SampleWeight: TypeAlias = Sequence[float] | NDArray[Any] | None
ClassWeight: TypeAlias = (
    Mapping[Any, float] | Sequence[Mapping[int, float]] | Literal["balanced"] | None
)

Pooling: TypeAlias = Literal["avg", "max", "flatten", "cls", "last", "avg_std"]
Resize: TypeAlias = Literal["stretch", "crop", "pad"]
OnError: TypeAlias = Literal["raise", "nan"]
RegressionLoss: TypeAlias = Literal["squared_error", "absolute_error", "huber"]
HeadInit: TypeAlias = Literal["convex", "random"]
Schedule: TypeAlias = Literal["cosine", "constant"]
Adaptation: TypeAlias = Literal["statistics", "self", "mcc"]
BatchNorm: TypeAlias = Literal["frozen", "train", "adapt"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def is_url(path: Path) -> bool:
    """Return whether a path is a URL such as ``s3://bucket/name``.

    A `pathlib` path has lost one of the two slashes.
    """
    name, sign = (path, "://") if isinstance(path, str) else (os.fsdecode(path), ":/")
    return sign in name and _URL.match(name) is not None
