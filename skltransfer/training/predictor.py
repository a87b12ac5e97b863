"""Predictions of a fitted network and its head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.inputs._input import blocks_of
from skltransfer.training.loop import outputs_of

if TYPE_CHECKING:
    from skltransfer.frozen.frozen_prefix import FrozenPrefix
    from skltransfer.inputs._input import Array, Source
    from skltransfer.inputs.errors import ReadError
    from skltransfer.tasks._task import Floats, Singles, Task
    from skltransfer.training.state import TrainingState
    from skltransfer.training.train_step import TrainStep

_ROWS_TOGETHER = 256


@dataclass(frozen=True)
class Predictor:
    """The trained network, and how rows run through it.

    Attributes
    ----------
    prefix : FrozenPrefix
        The frozen part.
    step : TrainStep
        The suffix and the head, compiled.
    state : TrainingState
        Their weights.
    task : Task
        Turns outputs into predictions.
    """

    prefix: FrozenPrefix
    step: TrainStep
    state: TrainingState
    task: Task

    def predictions(
        self,
        source: Source,
        columns: Singles | None,
        views_of: Callable[[Source], Sequence[Source]],
        advance: Callable[[int], None],
    ) -> tuple[Floats, dict[int, ReadError]]:
        """Return predictions averaged over views (NaN for unreadable rows), and the read errors.

        Parameters
        ----------
        source : Source
            The rows.
        columns : ndarray of float32, shape (n, n_columns), or None
            What the head reads beside the features, if anything.
        views_of : callable
            From rows to the views to average; the first are the rows themselves.
        advance : callable
            Called with the number of rows done.

        Raises
        ------
        ValueError
            If the network overflows for a row that was read.
        """
        blocks, failures = [], {}
        for start, rows in blocks_of(source, _ROWS_TOGETHER):
            beside = None if columns is None else columns[start : start + len(rows)]
            block, unread = self._predicted(views_of(rows), beside)
            advance(len(rows))
            blocks.append(block)
            failures.update({start + row: why for row, why in unread.items()})
        found = np.concatenate(blocks)
        self._check_finite(found, failures)
        return found, failures

    def features(self, source: Source, columns: Singles | None) -> Singles:
        """Return standardised features, as the head sees them; NaN for unreadable rows."""
        blocks = []
        for _, rows in blocks_of(source, _ROWS_TOGETHER):
            activations, unread = self._activations(rows)
            block = outputs_of(self.step, self.state, activations)[1].copy()  # may be read-only
            block[list(unread)] = np.nan
            blocks.append(block)
        mean, scale = self.state.standardizer
        found = np.concatenate(blocks)
        if columns is not None:
            found = np.concatenate([found, columns], axis=1)
        return np.asarray((found - mean) / scale)

    def _predicted(
        self, views: Sequence[Source], columns: Singles | None
    ) -> tuple[Floats, dict[int, ReadError]]:
        outputs, failures = [], {}
        for view in views:
            activations, unread = self._activations(view)
            failures.update(unread)
            outputs.append(outputs_of(self.step, self.state, activations, columns)[0])
        found = self.task.averaged(outputs)
        found[list(failures)] = np.nan  # an activation such as ReLU may have hidden the NaN
        return found, failures

    def _activations(self, source: Source) -> tuple[Array, dict[int, ReadError]]:
        """Compute activations, and cache content digests for a later fit."""
        contents, point = self.prefix.digests(source), self.step.freeze_point
        if not contents.cache.keeps_rows:
            return self.prefix.activations(source, point)
        found = self.prefix.activations(source, point, observer=contents)
        contents.remember()
        return found

    def _check_finite(self, found: Floats, failures: dict[int, ReadError]) -> None:
        flat = found.reshape(len(found), -1)
        faulty = sorted({*np.flatnonzero(np.isnan(flat).any(axis=1)).tolist()} - {*failures})
        if faulty:
            network = self.prefix.network
            raise ValueError(
                f"backbone={network.spec.name!r} gives NaN or infinity for row {faulty[0]} of X, "
                f"and for {len(faulty)} of {len(found)} rows in all, with "
                f"precision={network.precision!r}. In float16, numbers end at 65504; fit with "
                "precision='float32', or leave these rows out."
            )
