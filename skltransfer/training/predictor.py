"""Predictions of a fitted network and its head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from skltransfer.backend import as_array, as_tensor
from skltransfer.backend.blas import one_thread
from skltransfer.inputs._input import blocks_of
from skltransfer.training.loop import outputs_of
from skltransfer.training.members import mean_of_members

if TYPE_CHECKING:
    from skltransfer.frozen.frozen_prefix import Activations, FrozenPrefix
    from skltransfer.inputs._input import Source
    from skltransfer.inputs.errors import ReadError
    from skltransfer.tasks._task import Floats, Singles, Task
    from skltransfer.training.state import TrainingState
    from skltransfer.training.train_step import TrainStep

_ROWS_TOGETHER = 256


@dataclass(frozen=True)
class Learned:
    """What a member, one of the averaged copies of the network, has learned.

    Attributes
    ----------
    step : TrainStep
        The suffix (the layers above the freeze point) and the head, compiled.
    state : TrainingState
        Their weights.
    """

    step: TrainStep
    state: TrainingState


@dataclass(frozen=True)
class Predictor:
    """The trained network, and how rows run through it.

    Attributes
    ----------
    prefix : FrozenPrefix
        The frozen part.
    members : tuple of Learned
        The trained parts above the frozen one; their outputs are averaged.
    task : Task
        Turns outputs into predictions.
    """

    prefix: FrozenPrefix
    members: tuple[Learned, ...]
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
            The extra columns that the head reads, if any.
        views_of : callable
            Takes rows, and returns their views to average over; the first view is the rows
            themselves.
        advance : callable
            Called with the number of further rows that are done.

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

    def outputs(
        self, source: Source, columns: Singles | None
    ) -> tuple[Singles, dict[int, ReadError]]:
        """Return the mean outputs of the members' heads, and the read errors."""
        activations, failures = self._activations(source)
        outputs = [
            outputs_of(m.step, m.state, activations[m.step.freeze_point], columns)[0]
            for m in self.members
        ]
        return mean_of_members(cast("list[Singles]", outputs)), failures

    def features(self, source: Source, columns: Singles | None) -> Singles:
        """Return the standardised inputs of the members' heads, concatenated.

        Unreadable rows are NaN.
        """
        blocks = []
        for start, rows in blocks_of(source, _ROWS_TOGETHER):
            activations, unread = self._activations(rows)
            beside = None if columns is None else columns[start : start + len(rows)]
            members = [_standardized(member, activations, beside) for member in self.members]
            block = np.concatenate(members, axis=1)
            block[list(unread)] = np.nan
            blocks.append(block)
        return np.concatenate(blocks)

    def outputs_of_features(self, features: Singles) -> Singles:
        """Return the mean outputs of the members' heads for rows returned by `features`."""
        widths = [member.step.head.n_features for member in self.members]
        parts = np.split(features, np.cumsum(widths)[:-1], axis=1)
        pairs = zip(self.members, parts, strict=True)
        return mean_of_members([_outputs_of_head(member, part) for member, part in pairs])

    def _predicted(
        self, views: Sequence[Source], columns: Singles | None
    ) -> tuple[Floats, dict[int, ReadError]]:
        outputs, failures = [], {}
        for view in views:
            found, unread = self.outputs(view, columns)
            failures.update(unread)
            outputs.append(found)
        averaged = self.task.averaged(outputs)
        averaged[list(failures)] = np.nan  # ReLU, for example, may have removed the NaN
        return averaged, failures

    def _activations(self, source: Source) -> tuple[Activations, dict[int, ReadError]]:
        """Compute activations, and cache the digests of the rows' content for a later fit."""
        contents = self.prefix.digests(source)
        points = [member.step.freeze_point for member in self.members]
        if not contents.cache.keeps_rows:
            return self.prefix.activations_at(source, points)
        found = self.prefix.activations_at(source, points, observer=contents)
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
                f"precision={network.precision!r}. The largest number in float16 is 65504; fit "
                "with precision='float32', or leave these rows out."
            )


def _outputs_of_head(member: Learned, features: Singles) -> Singles:
    weights = [as_tensor(array) for array in member.step.of_head(member.state.params)]
    with one_thread():
        return np.asarray(as_array(member.step.head.outputs(weights, as_tensor(features))))


def _standardized(
    member: Learned, activations: Activations, columns: Singles | None
) -> NDArray[np.floating]:
    features = outputs_of(member.step, member.state, activations[member.step.freeze_point])[1]
    if columns is not None:
        features = np.concatenate([features, columns], axis=1)
    mean, scale = member.state.standardizer
    return np.asarray((features - mean) / scale)
