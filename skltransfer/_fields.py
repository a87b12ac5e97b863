"""Types of fields in saved files, annotated with conditions on their values.

When a file is loaded, ``skltransfer.persistence.checks`` derives its checks from these annotations.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

PositiveInt: TypeAlias = Annotated[int, lambda number: number > 0]
ImageSize: TypeAlias = tuple[PositiveInt, PositiveInt]
ImageShape: TypeAlias = Annotated[
    tuple[PositiveInt, ...] | list[PositiveInt], lambda shape: len(shape) in (2, 3)
]
ValueRange: TypeAlias = Annotated[
    tuple[float, float], lambda ends: -np.inf < ends[0] < ends[1] < np.inf
]
Vector: TypeAlias = Annotated[NDArray[np.floating], lambda array: array.ndim == 1]
Matrix: TypeAlias = Annotated[NDArray[np.floating], lambda array: array.ndim == 2]
FiniteVector: TypeAlias = Annotated[Vector, lambda array: bool(np.isfinite(array).all())]
IntVector: TypeAlias = Annotated[NDArray[np.integer], lambda array: array.ndim == 1]
LabelVector: TypeAlias = Annotated[NDArray[np.generic], lambda array: array.ndim == 1]
