"""The extra columns of the head as an input of a Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skltransfer.inputs.moments import standardized_tensor

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Moments


def table_input(moments: Moments) -> tuple[KerasTensor, KerasTensor]:
    """Return an input named "table", and a tensor of its standardised numbers."""
    import keras

    table = keras.Input((len(moments[0]),), dtype="float32", name="table")
    return table, standardized_tensor(table, *moments)
