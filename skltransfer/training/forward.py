"""Outputs of the trained part of a network, in which a row's bits do not depend on other rows.

The suffix (the layers above the freeze point) and the head are compiled separately. A block that is
not full is padded until values of enough rows have shown that padding changes no bit; see
`InvariantBatches`. A row has hundreds of features. After a few calls, the suffix, which takes
nearly all the time, therefore computes a single row without padding. But a row has few outputs: if
suffix and head were one function, every prediction of a single row would compute a full block for
hundreds of calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from skltransfer.inputs._input import Rows
    from skltransfer.network.batch_invariance import InvariantBatches
    from skltransfer.network.packs import RunRows


class Forward(Protocol):
    """Computes outputs and pooled features of rows."""

    def __call__(self, rows: Rows, state: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs (n, n_outputs) and features (n, n_features).

        A row consists of its activations at the freeze point and, if there are any, its extra
        columns; `state` is (weights, fixed, standardizer).
        """
        ...


@dataclass(frozen=True)
class SuffixAndHead:
    """A compiled suffix, then a compiled head; see `Forward`.

    Attributes
    ----------
    suffix : InvariantBatches, RowsInPacks or None
        From (weights of the suffix, fixed) and activations to pooled features; None if the rows are
        pooled features.
    head : InvariantBatches
        From (weights of the head, standardizer), pooled features and extra columns to outputs.
    n_suffix : int
        Number of weights of the suffix, which precede those of the head.
    """

    suffix: RunRows | None
    head: InvariantBatches
    n_suffix: int

    def __call__(self, rows: Rows, state: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs and features."""
        (x, *columns), (params, fixed, standardizer) = rows, state
        features = x
        if self.suffix is not None:
            features = self.suffix((x,), (params[: self.n_suffix], fixed))[0]
        (outputs,) = self.head((features, *columns), (params[self.n_suffix :], standardizer))
        return outputs, features
