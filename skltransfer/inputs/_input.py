"""The seam for what comes in: from X to rows of tensors that a network reads.

A backbone says of which kind its input is, by an `InputKind`. In `fit` the kind looks at X and
decides on an `Encoding`, which is stored and turns every later X into a `Source`: rows that are
known by their content and read when they are needed. The rest of the package sees these protocols
and no kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from keras import KerasTensor
    from sklearn.base import BaseEstimator
    from sklearn.utils import Tags

_VALUES_TRIED = 1 << 19  # three images of usual size, and many small rows
_MOST_ROWS_TRIED = 32

Array: TypeAlias = NDArray[np.generic]
Rows: TypeAlias = tuple[Array, ...]
"""Rows of several tensors: one array for each tensor, with as many rows each. Where the length of
rows is not known ahead, it is a 1-D array of objects, each of them the array of one row."""

Size: TypeAlias = tuple[int, ...]
"""What is free in the shape of a row when a network is built, such as height and width."""

View: TypeAlias = Callable[[Array, int, np.random.Generator], Array]
"""From (a row, the number of the view, a random generator) to the row seen differently."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a row.

    Attributes
    ----------
    shape : tuple of int or None
        Without the axis of rows. None, only as the first, is a length that differs by row.
    dtype : str, default="float32"
        A dtype of NumPy.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def is_ragged(self) -> bool:
        """Whether the length of rows is not known ahead."""
        return None in self.shape

    def empty(self, n_rows: int) -> Array:
        """Room for rows, which hold anything."""
        if self.is_ragged:
            return np.empty(n_rows, object)
        return np.empty((n_rows, *self.sides), self.dtype)

    @property
    def sides(self) -> tuple[int, ...]:
        """The shape, where it is the same for all rows."""
        return cast(tuple[int, ...], self.shape)

    def blank(self) -> Array:
        """A row of zeros; of unknown length, the shortest that networks take."""
        return np.zeros([1 if side is None else side for side in self.shape], self.dtype)

    def missing(self) -> Array:
        """What stands for a row that could not be read."""
        blank = self.blank()
        return np.full_like(blank, np.nan) if blank.dtype.kind == "f" else blank


RowSpec: TypeAlias = tuple[TensorSpec, ...]
"""The tensors of a row."""


@dataclass(frozen=True)
class ViewFamily:
    """Views under one name of the parameter `augment`.

    Attributes
    ----------
    seed_name : str
        What random draws are seeded by, beside the seed and the content.
    view : callable
        See `View`. View 0 is the row itself.
    n_distinct : callable
        How many different views rows of a size have; None: any number.
    """

    seed_name: str
    view: View
    n_distinct: Callable[[Size], int | None]


class Source(Protocol):
    """Rows of X, read when they are asked for; safe to use from several threads."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    @property
    def is_at_hand(self) -> bool:
        """Whether reading is a mere copy, for which a thread is not worth while."""
        ...

    def digest(self, row: int) -> bytes:
        """Return 32 bytes by which what is stored of a row is known, without reading all of it.

        Raises
        ------
        ReadError
            When the row cannot be read.
        """
        ...

    def still_has(self, row: int, digest: bytes) -> bool:
        """Whether a row is as it was when its digest was taken; only files may not be."""
        ...

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Read some rows into the first places of `out`, an array for each tensor.

        Raises
        ------
        ReadError
            When one of them cannot be read.
        """
        ...

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of some rows, which keep their numbers in messages."""
        ...


class Encoding(Protocol):
    """How X is read: decided in `fit`, stored as plain data, repeated in every later call."""

    @property
    def size(self) -> Size:
        """The size of rows, for which the network is built."""
        ...

    @property
    def row_spec(self) -> RowSpec:
        """The tensors of a row."""
        ...

    @property
    def is_learned(self) -> bool:
        """Whether it depends on the training rows, so that other rows have another encoding."""
        ...

    @property
    def refuses_views(self) -> str | None:
        """Why rows cannot be seen differently, and the way out; None: they can."""
        ...

    def cache_key_fields(self) -> list[object]:
        """All that a row's tensors depend on but what is stored, in JSON's types."""
        ...

    def source(
        self, estimator: BaseEstimator, X: object, chosen: NDArray[np.intp] | None = None
    ) -> Source:
        """X, or the `chosen` rows of it, checked against what `fit` saw.

        Raises
        ------
        ValueError, TypeError
            When X is of another kind than in `fit`; with the way out.
        """
        ...

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Input of a Keras model for what `fit` saw, and the rows that are made of it.

        Raises
        ------
        ValueError
            When Keras has no exact equal of this encoding.
        """
        ...


class InputKind(Protocol):
    """What a backbone reads, with all that the backbone decides of it; plain data."""

    @property
    def name(self) -> str:
        """The kind, such as "image"."""
        ...

    @property
    def size(self) -> Size:
        """The size of rows that the backbone was trained at."""
        ...

    @property
    def pooling(self) -> str:
        """How the kind's features become one row when nothing is asked for."""
        ...

    @property
    def poolings(self) -> frozenset[str]:
        """All that may be asked for."""
        ...

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the estimators' parameters that mean something for this kind alone."""
        ...

    @property
    def views(self) -> Mapping[str, ViewFamily]:
        """The views that `augment` names."""
        ...

    def identity(self) -> list[object]:
        """What the network's numbers depend on beside the weights, in JSON's types."""
        ...

    def row_spec(self, size: Size) -> RowSpec:
        """The tensors of rows of a size."""
        ...

    def trial_rows(self, size: Size) -> Rows:
        """A few rows of noise, the same in every process, to try networks on."""
        ...

    def adapt_tags(self, tags: Tags) -> None:
        """Change the tags of an estimator that reads this kind."""
        ...

    def fit(
        self,
        estimator: BaseEstimator,
        X: object,
        weights: NDArray[np.float64] | None,
        accepts: Callable[[Size], bool],
    ) -> tuple[Encoding, Source]:
        """Decide how X is read; set `n_features_in_` and `feature_names_in_`.

        Parameters
        ----------
        estimator : BaseEstimator
            Gives the values of `parameters`, and is given the attributes.
        X : object
            What the user handed over.
        weights : ndarray of shape (n,) or None
            Weights of the rows. Nothing is decided by rows of weight 0.
        accepts : callable
            Whether the backbone can be built for rows of a size.

        Returns
        -------
        encoding : Encoding
            The rule.
        source : Source
            The rows of X that have weight.
        """
        ...

    def check(self, X: object) -> None:
        """Refuse an X that no parameter would make readable, before anything is done."""
        ...


def empty_rows(spec: RowSpec, n_rows: int) -> Rows:
    """Room for rows of several tensors."""
    return tuple(tensor.empty(n_rows) for tensor in spec)


def chunks(n_rows: int, size: int) -> Iterator[slice]:
    """Slices of `size` rows, one after the other; the last may be shorter."""
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def part_of(rows: Rows, positions: slice | Array) -> Rows:
    """Some of the rows; of a slice, views."""
    return tuple(array[positions] for array in rows)


def each_row(rows: Rows) -> Iterator[Rows]:
    """Every row as rows of one, whatever its length."""
    for row in range(len(rows[0])):
        yield tuple(np.asarray(array[row])[np.newaxis] for array in rows)


def trial_rows(shape: Sequence[int], low: float, high: float) -> NDArray[np.float32]:
    """Rows of random numbers of one shape, the same in every process."""
    count = min(max(_VALUES_TRIED // math.prod(shape), 2), _MOST_ROWS_TRIED)
    rows = np.random.default_rng(0).uniform(low, high, (count, *shape))
    return rows.astype(np.float32)
