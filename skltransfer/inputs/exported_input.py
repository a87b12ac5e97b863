"""How rows enter an exported model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Array


@dataclass(frozen=True)
class ExportedInput:
    """The input of an exported model.

    Attributes
    ----------
    name : str
        Name of the tensor.
    shape : tuple of int or None
        Its shape, beginning with the number of rows; None is any size.
    dtype : str
        Its dtype.
    rows : callable
        Computes the rows that the network reads; called with the tensor.
    trials : list of tuple
        Test rows, in pairs: as the estimator takes them, and as an array for the model.
    described : dict
        How rows are read, for the metadata of the model.
    files : dict of str to str
        Files that belong beside the model: the content of each file, by the ending of its name.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    rows: Callable[[KerasTensor], KerasTensor]
    trials: Sequence[tuple[Any, Array]]
    described: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
