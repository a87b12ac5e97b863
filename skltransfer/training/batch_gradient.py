"""Gradients of batches, accumulated over smaller batches if memory is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skltransfer._warnings import warn_user
from skltransfer.backend import backend_title, is_out_of_memory
from skltransfer.inputs._input import chunks

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Rows

GradientAndLoss: TypeAlias = tuple[Any, Any]
"""A gradient with one value for each weight, and the loss; tensors or arrays."""


class BatchGradient:
    """A function that returns the gradient and the loss of a batch; see `TrainStep.gradient`.

    Parameters
    ----------
    compiled : callable
        Returns the compiled gradient for a number of rows.
    n_rows : int
        Number of rows of a batch.
    prepare : callable
        Turns activations into the arguments of the compiled gradient.
    together : int
        Number of rows in one call of the compiled gradient. It is 1 for rows of different lengths,
        which cannot be stacked. None means `n_rows`.
    """

    def __init__(
        self,
        compiled: Callable[[int], Callable[..., GradientAndLoss]],
        n_rows: int,
        prepare: Callable[[np.ndarray], Rows] = lambda rows: (rows,),
        together: int | None = None,
    ) -> None:
        self._compiled = compiled
        self._n_rows = n_rows
        self._prepare = prepare
        self._together = together or n_rows

    def __call__(
        self, params: KerasTensor, fixed: KerasTensor, standardizer: KerasTensor, *batch: np.ndarray
    ) -> GradientAndLoss:
        """Return gradient and loss; if memory runs out, halve the number of rows in a call."""
        together, state = self._together, (params, fixed, standardizer)
        try:
            if together == self._n_rows:
                return self._of(together, state, batch)
            return self._added_up(together, state, batch)
        except Exception as error:
            if together == 1 or not is_out_of_memory(error):
                raise
        self._together = (together + 1) // 2
        _warn(together, self._together)
        return self(*state, *batch)

    def _of(self, together: int, state: tuple[KerasTensor, ...], batch: Rows) -> GradientAndLoss:
        rows, *others = batch
        return self._compiled(together)(*state, *self._prepare(rows), *others)

    def _added_up(
        self, together: int, state: tuple[KerasTensor, ...], batch: Rows
    ) -> GradientAndLoss:
        share = together / self._n_rows
        total: KerasTensor = None
        loss = 0.0
        for some in _split(batch, together):
            found, of_these = self._of(together, state, some)
            total = found * share if total is None else total + found * share
            loss += float(of_these) * share
        return total, loss


def _split(batch: Rows, together: int) -> Iterator[Rows]:
    """Yield parts of a batch; the last is filled up with the batch's first rows, at weight 0."""
    x, targets, weights, *masks = batch
    n_rows = len(x)
    for part in chunks(n_rows, together):
        places = np.arange(part.start, part.start + together)
        rows, counted = places % n_rows, (places < n_rows).astype(np.float32)
        yield x[rows], targets[rows], weights[rows] * counted, *(mask[rows] for mask in masks)


def _warn(n_rows: int, fewer: int) -> None:
    warn_user(
        f"{backend_title()} ran out of memory on a training batch of {n_rows} rows. Gradients "
        f"are now added up over {fewer} rows at a time. This changes results only by rounding, "
        "except that batch_norm='train' uses the statistics of the smaller batches. A smaller "
        "batch_size or input_size needs less memory."
    )
