"""Rows of different lengths, run together in packs if that changes no bit of a row.

If a short row runs alone, most of the time is spent on reading weights from memory. A *pack* is a
few rows, joined one behind the other, so that weights are read once for all of them; see
`packed_rows`. Whether packs change bits depends on the kernels, the implementations of operations.
Each compiled function is therefore tested on trial packs: every row must have the bits that it has
alone. If one has not, all rows run alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from skltransfer.backend import CompiledFunction, as_tensor, start
from skltransfer.inputs._input import Array, Rows, RowSpec, TensorSpec, chunks, empty_rows
from skltransfer.network.batch_invariance import (
    Compute,
    InvariantBatches,
    always,
    block_threads,
    check_wanted,
    in_invariant_batches,
)

_POSITIONS = 128
"""Number of positions in a full pack: so many that weights are read seldom, but so few that tensors
stay small."""

_MULTIPLE = 16
"""Packs are filled up to a multiple of this number of positions, the width of the widest vector
register, because kernels compute the remaining positions in another way. This also means that few
different sizes occur.
"""

_ROWS_SORTED = 64
_LENGTHS_TRIED = (1, 9, 40, 3, 14, 23, 5, 61, 12)
_N_TRIED = len(_LENGTHS_TRIED)

LENGTH = TensorSpec((), "int32")
"""Specification of the last argument of functions of rows of unknown length: the rows' lengths."""

Pack: TypeAlias = list[int]
"""Numbers of the rows in a pack."""


@dataclass(frozen=True)
class RowsInPacks:
    """A function of rows of unknown length, run on packs; called like `InvariantBatches`.

    Attributes
    ----------
    compute : callable
        The function. Its arguments are values common to all rows, called the state; then an array
        for each tensor of a row; then the lengths of the rows. It returns a tuple of tensors or
        arrays. If the length of an argument or a result differs by row, it has the shape
        (1, positions, ...), and holds the rows one behind the other. Otherwise, it has the shape
        (rows, ...).
    rows, results : tuple of TensorSpec
        The tensors of a row, and those of its result.
    n_positions : int, default=0
        Number of positions in a full pack; longer rows run alone. With 0, all rows run alone.
    multiple : int, default=1
        Packs are filled up to a multiple of this number of positions.
    """

    compute: Compute
    rows: RowSpec
    results: RowSpec
    n_positions: int = 0
    multiple: int = 1
    n_rows: ClassVar[int] = 1

    def __call__(
        self,
        rows: Rows,
        state: Sequence[Any] = (),
        chosen: Sequence[int] = (0,),
        is_wanted: Callable[[], bool] = always,
    ) -> list[np.ndarray]:
        """Compute any number of rows; return the results that are `chosen`.

        Raises
        ------
        CancelledError
            If a pack is no longer wanted when its turn comes.
        """
        start()
        state = [as_tensor(array) for array in state]
        outputs = [self.results[index].empty(len(rows[0])) for index in chosen]

        def run(pack: Pack) -> None:
            check_wanted(is_wanted)
            found = self._computed(state, rows, pack, chosen)
            if len(pack) > 1 and not all(np.isfinite(x).all() for result in found for x in result):
                for row in pack:  # alone: in a pack, infinity times 0 makes other rows NaN
                    run([row])
                return
            for output, result in zip(outputs, found, strict=True):
                for row, values in zip(pack, result, strict=True):
                    output[row] = values

        for _ in block_threads().map(run, packs(self._lengths(rows), self.n_positions)):
            pass  # re-raises errors of the threads
        return outputs

    def at_most(self, n_rows: int) -> RowsInPacks:
        """Return itself, because packs are small."""
        return self

    def _lengths(self, rows: Rows) -> list[int]:
        pairs = zip(rows, self.rows, strict=True)
        return next([len(row) for row in array] for array, spec in pairs if spec.is_ragged)

    def _computed(
        self, state: Sequence[Any], rows: Rows, pack: Pack, chosen: Sequence[int]
    ) -> list[list[np.ndarray]]:
        """Compute one pack; return the values of each of its rows, for each result."""
        part = tuple(array[pack] for array in rows)
        lengths = self._lengths(part)
        size = -(-sum(lengths) // self.multiple) * self.multiple
        given = [
            _joined(array, size) if spec.is_ragged else array
            for array, spec in zip(part, self.rows, strict=True)
        ]
        found = self.compute(*state, *given, np.array(lengths, np.int32))
        ends = np.cumsum(lengths)
        return [
            np.split(np.asarray(found[index])[0], ends)[:-1]
            if self.results[index].is_ragged
            else list(np.asarray(found[index]))
            for index in chosen
        ]

    def _bits(self, state: Sequence[Any], rows: Rows, pack: Pack) -> list[list[bytes]]:
        """Return the bits of each row of a pack, for each result."""
        found = self._computed(state, rows, pack, range(len(self.results)))
        return [[values.tobytes() for values in of_row] for of_row in zip(*found, strict=True)]


RunRows: TypeAlias = InvariantBatches | RowsInPacks


def in_packs(alone: RowsInPacks, state: Sequence[Any], trial: Rows) -> RowsInPacks:
    """Return the same function run on packs, or run on single rows if packs would change bits.

    Parameters
    ----------
    alone : RowsInPacks
        The function, run on single rows.
    state : sequence of ndarray
        For the test: values of the arguments that precede the rows.
    trial : tuple of ndarray
        Rows from which the rows for the test are cut.
    """
    alone = replace(alone, multiple=_MULTIPLE)
    together = replace(alone, n_positions=_POSITIONS)
    rows = tuple(
        _cut(array) if spec.is_ragged else np.resize(array, (_N_TRIED, *spec.sides))
        for array, spec in zip(trial, alone.rows, strict=True)
    )
    expected = [bits for row in range(_N_TRIED) for bits in alone._bits(state, rows, [row])]
    tried = _packs_tried(alone._lengths(rows))
    same = all(
        together._bits(state, rows, pack) == [expected[row] for row in pack] for pack in tried
    )
    return together if same else alone


def _packs_tried(lengths: Sequence[int]) -> Iterator[Pack]:
    """Yield full packs of every size, in which rows have different places and neighbours.

    Packs are filled up at their start, with rows of one position. Longer rows are therefore at the
    end, where positions are often computed in another way than elsewhere.
    """
    for number in range(1, _POSITIONS // _MULTIPLE + 1):
        room = number * _MULTIPLE
        pack = []
        for row in np.roll(range(1, _N_TRIED), number).tolist():
            if lengths[row] <= room:
                room -= lengths[row]
                pack.append(row)
        yield [0] * room + pack


def noise(spec: RowSpec) -> Rows:
    """Return one row of noise in float32, long enough for the test, for each tensor."""
    rng = np.random.default_rng(0)
    rows = empty_rows(spec, 1)
    for array, tensor in zip(rows, spec, strict=True):
        sides = TensorSpec(tensor.shape[1:]).sides
        array[0] = rng.normal(size=(max(_LENGTHS_TRIED), *sides)).astype(np.float32)
    return rows


def _cut(rows: Array) -> Array:
    """Cut rows of the lengths to be tried from `rows`, but none longer than the longest of them."""
    most = max(map(len, rows))
    lengths = [min(length, most) for length in _LENGTHS_TRIED]
    values = np.concatenate(list(rows))
    cut = np.empty(_N_TRIED, object)
    for place, end in enumerate(np.cumsum(lengths)):
        cut[place] = np.resize(values, (end, *values.shape[1:]))[end - lengths[place] :]
    return cut


def packs(lengths: Sequence[int], n_positions: int) -> list[Pack]:
    """Put each row, the longest first, into the first pack with room for it."""
    found: list[Pack] = []
    for part in chunks(len(lengths), _ROWS_SORTED):
        first = len(found)
        room: list[int] = []
        for row in sorted(range(part.start, part.stop), key=lambda row: -lengths[row]):
            fitting = (place for place, left in enumerate(room) if left >= lengths[row])
            place = next(fitting, len(room))
            if place == len(room):
                room.append(max(n_positions, lengths[row]))
                found.append([])
            room[place] -= lengths[row]
            found[first + place].append(row)
    return found


def _joined(rows: Array, size: int) -> Array:
    """Return rows (length, ...) one behind the other, as one row with zeros up to `size`."""
    together = np.concatenate([np.asarray(row) for row in rows])
    zeros = np.zeros((size - len(together), *together.shape[1:]), together.dtype)
    return np.concatenate([together, zeros])[np.newaxis]


def run_rows(
    function: CompiledFunction,
    row_spec: RowSpec,
    n_rows: int,
    state: tuple[np.ndarray, ...] = (),
    trial: Rows | None = None,
) -> RunRows:
    """Run a compiled function so that the bits of a row depend on nothing but the row.

    Parameters
    ----------
    function : CompiledFunction
        Its arguments are `state`, then rows of `row_spec` and, if these differ in length, their
        lengths.
    row_spec : tuple of TensorSpec
        The tensors of a row.
    n_rows : int
        Number of rows of one length that run together, if possible.
    state : tuple of ndarray
        For the test: values of the arguments that precede the rows.
    trial : tuple of ndarray or None, default=None
        Rows for testing whether rows may run together. None skips the test: rows of one length then
        run together, but rows of different lengths do not.
    """
    if any(tensor.is_ragged for tensor in row_spec):
        results = tuple(TensorSpec(shape[1:]) for shape in function.shapes)
        alone = RowsInPacks(function, row_spec, results)
        return alone if trial is None else in_packs(alone, state, trial)
    if trial is None:
        return InvariantBatches(function, n_rows)
    return in_invariant_batches(function, n_rows, state, trial)
