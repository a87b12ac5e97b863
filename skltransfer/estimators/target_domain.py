"""Reading the rows of the target domain once, as training rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skltransfer._warnings import warn_unreadable
from skltransfer.tasks._task import Targets
from skltransfer.tasks.weighting import merge_rows
from skltransfer.training.loop import TrainingData

if TYPE_CHECKING:
    from skltransfer.frozen.frozen_prefix import FrozenPrefix
    from skltransfer.inputs._input import Array, Source
    from skltransfer.tasks._task import Singles


def read_target(
    prefix: FrozenPrefix,
    source: Source,
    columns: Singles | None,
    freeze_points: Sequence[int | None],
) -> list[TrainingData]:
    """Return activations of the target's rows at each of the `freeze_points`.

    Equal rows are merged into one, whose weight is their number. `columns` are the extra columns
    that the head reads. With ``on_error="nan"``, rows that cannot be read are left out with a
    warning.
    """
    contents = prefix.digests(source)
    plain, failures = prefix.activations_at(source, freeze_points, observer=contents)
    readable = [row for row in range(len(source)) if row not in failures]
    failures = failures | contents.complete(readable, prefix.n_jobs, prefix.keep_going)
    read = np.array([row for row in readable if row not in failures], dtype=np.intp)
    if not len(read):
        first = failures[0]
        message = f"None of {len(source)} rows of X_target could be read; the first: {first}"
        raise type(first)(message, first.row, first.source)
    if failures:
        warn_unreadable(failures, len(source))
    keys = [contents.digests[row] or b"" for row in read]
    columns = np.zeros((len(source), 0), np.float32) if columns is None else columns
    beside = [columns[row].tobytes() for row in read]
    rows = merge_rows(keys, np.zeros(len(read), np.intp), np.ones(len(read)), beside)
    positions = read[rows.rows]

    def rows_at(freeze_point: int | None) -> Callable[[NDArray[np.intp], int], Array]:
        return lambda chosen, epoch: plain[freeze_point][positions[chosen]]

    targets = Targets(np.zeros((len(rows), 0), np.float32), rows.weights)
    return [TrainingData(rows_at(point), targets, columns[positions]) for point in freeze_points]
