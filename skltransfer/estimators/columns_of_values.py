"""Checks of the containers that y and sample_weight come in, whatever values they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs.missing import check_not_masked


def check_column(values: Any, name: str) -> None:
    """Refuse what is not a column, and masked arrays, whose mask NumPy drops silently.

    Parameters
    ----------
    values : object
        What the user passed.
    name : str
        The parameter.
    """
    check_not_masked(values, name)
    if isinstance(values, Mapping):
        way_out = f"list({name}.values()), in the order of the rows of X"
    elif isinstance(values, (str, bytes)):
        way_out = f"a list with one value for each row of X, such as [{name}]"
    elif hasattr(values, "__iter__") and not hasattr(values, "__getitem__"):
        way_out = f"list({name}), in the order of the rows of X"
    else:
        return
    raise TypeError(
        f"{name} is a {type(values).__name__}, which is neither an array nor a list. Pass "
        f"{way_out}."
    )


def as_given(y: Any, found: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the values of a nullable column, which scikit-learn turns into floats.

    As floats, True becomes 1.0, and different integers beyond 2^53 may become equal.

    Parameters
    ----------
    y : object
        What the user passed.
    found : ndarray of shape (n,)
        What scikit-learn turned it into.
    """
    column = y[y.columns[0]] if hasattr(y, "columns") else y
    if found.dtype.kind != "f" or isinstance(getattr(column, "dtype", None), np.dtype):
        return found
    values = column.to_numpy() if hasattr(column, "to_numpy") else found
    return values if isinstance(values, np.ndarray) else found
