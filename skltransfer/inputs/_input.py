"""The protocols for kinds of input: from X to the rows of tensors that a network reads.

A backbone declares its kind of input with an `InputKind`. In `fit`, the kind looks at X and decides
on an `Encoding`. The encoding is stored, and turns every later X into a `Source`. A source holds
rows, which are identified by their content and read when they are needed. The rest of the package
knows only these protocols.
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
    from scipy.sparse import csr_array
    from sklearn.base import BaseEstimator
    from sklearn.utils import Tags

    from skltransfer.inputs.exported_input import ExportedInput

_VALUES_TRIED = 1 << 19  # three images of the usual size, or many small rows
_MOST_ROWS_TRIED = 32

Array: TypeAlias = NDArray[np.generic]
Rows: TypeAlias = tuple[Array, ...]
"""Rows of several tensors: one array for each tensor, with the same number of rows. If the length
of a tensor differs by row, the array is 1-D and its elements are arrays, one for each row.
"""

Moments: TypeAlias = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Mean and scale of columns."""

Size: TypeAlias = tuple[int, ...]
"""The variable part of a row's shape, such as height and width; fixed when a network is built."""

View: TypeAlias = Callable[[Array, int, np.random.Generator], Array]
"""Maps (row, number of a view, random generator) to this view of the row."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a row.

    Attributes
    ----------
    shape : tuple of int or None
        Shape without the axis of rows. None, allowed only as the first entry, stands for a length
        that differs by row.
    dtype : str, default="float32"
        NumPy dtype.
    shortest : int, default=1
        Minimum length of a row, if lengths differ by row.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    shortest: int = 1

    @property
    def is_ragged(self) -> bool:
        """Whether rows differ in length."""
        return None in self.shape

    def empty(self, n_rows: int) -> Array:
        """Allocate rows with undefined content."""
        if self.is_ragged:
            return np.empty(n_rows, object)
        return np.empty((n_rows, *self.sides), self.dtype)

    @property
    def sides(self) -> tuple[int, ...]:
        """The shape, if it is the same for all rows."""
        return cast(tuple[int, ...], self.shape)

    def blank(self) -> Array:
        """Return a row of zeros; if rows differ in length, one of the length `shortest`."""
        shape = [self.shortest if side is None else side for side in self.shape]
        return np.zeros(shape, self.dtype)

    def missing(self) -> Array:
        """Return the placeholder for a row that could not be read."""
        blank = self.blank()
        return np.full_like(blank, np.nan) if blank.dtype.kind == "f" else blank


RowSpec: TypeAlias = tuple[TensorSpec, ...]
"""The tensors of a row."""


@dataclass(frozen=True)
class ViewFamily:
    """The views that one value of the parameter `augment` names.

    Attributes
    ----------
    seed_name : str
        Enters the seed of random draws, in addition to the user's seed and the content of the row.
    view : callable
        See `View`. View 0 is the row itself.
    n_distinct : callable
        Returns how many different views a row of a given size has; None means any number.
    """

    seed_name: str
    view: View
    n_distinct: Callable[[Size], int | None]


class Source(Protocol):
    """Rows of X, read on demand; may be used from several threads."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    @property
    def is_at_hand(self) -> bool:
        """Whether reading only copies memory, so that a thread would not pay off."""
        ...

    def digest(self, row: int) -> bytes:
        """Return a 32-byte digest of the stored row, without decoding it.

        Raises
        ------
        ReadError
            If the row cannot be read.
        """
        ...

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return whether a row is unchanged since its digest was taken; only files can change."""
        ...

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Read the given rows into the first places of `out`, one array for each tensor.

        Raises
        ------
        ReadError
            If one of them cannot be read.
        """
        ...

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of the given rows; messages still use their numbers in X."""
        ...


class Encoding(Protocol):
    """How X is read: decided in `fit`, stored as plain data, and used in every later call."""

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
        """Whether the encoding depends on which rows `fit` gets, because it learns from them."""
        ...

    @property
    def refuses_views(self) -> str | None:
        """Why rows cannot have views, and what to do; None if they can."""
        ...

    def recipe(self) -> list[object]:
        """All that a row's tensors depend on, except the stored content, in JSON types.

        Versions of libraries are left out: they change no number by more than rounding.
        """
        ...

    def cache_key_fields(self) -> list[object]:
        """The recipe, and the versions of libraries that determine the bits."""
        ...

    def source(
        self, estimator: BaseEstimator, X: object, chosen: NDArray[np.intp] | None = None
    ) -> Source:
        """Return the source of X, or of its `chosen` rows, after checking X against `fit`.

        Raises
        ------
        ValueError, TypeError
            If X is of another kind than in `fit`; the message says what to do.
        """
        ...

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Return a Keras input for rows as `fit` saw them, and the rows that the network reads.

        Raises
        ------
        ValueError
            If Keras has no exact counterpart of this encoding.
        """
        ...

    def exported_input(
        self, estimator: BaseEstimator, image_size: tuple[int, int] | None
    ) -> ExportedInput:
        """Return the input of an exported model; with `image_size`, for images of this size only.

        Raises
        ------
        ValueError
            If rows of this kind cannot be exported, or `image_size` is given for texts.
        """
        ...


class InputKind(Protocol):
    """A kind of input, with everything that the backbone decides about it, as plain data."""

    @property
    def name(self) -> str:
        """Name of the kind, such as "image"."""
        ...

    @property
    def size(self) -> Size:
        """The size of rows that the backbone was trained at."""
        ...

    @property
    def pooling(self) -> str:
        """Default pooling of this kind."""
        ...

    @property
    def poolings(self) -> frozenset[str]:
        """All values of `pooling` that this kind allows."""
        ...

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the estimators' parameters that apply only to this kind."""
        ...

    @property
    def views(self) -> Mapping[str, ViewFamily]:
        """The views that `augment` names."""
        ...

    @property
    def takes_layers(self) -> bool:
        """Whether `augment` may be a Keras layer."""
        ...

    def identity(self) -> list[object]:
        """Return what the network's output depends on besides the weights, in JSON types."""
        ...

    def row_spec(self, size: Size) -> RowSpec:
        """Return the tensors of a row of the given size."""
        ...

    def trial_rows(self, size: Size) -> Rows:
        """Return a few rows of noise for testing networks, the same in every process."""
        ...

    @property
    def baseline(self) -> str:
        """What `plain_rows` are, such as "pixels"."""
        ...

    def plain_rows(self, rows: Rows) -> Array | csr_array:
        """Return features (n, d) made without a network: dense, or counts in a sparse matrix.

        These features are the baseline that a network has to beat.
        """
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
            Has the values of `parameters`, and receives the attributes.
        X : object
            The user's X.
        weights : ndarray of shape (n,) or None
            Weights of the rows. Rows of weight 0 do not affect the decision.
        accepts : callable
            Returns whether the backbone can be built for rows of a size.

        Returns
        -------
        encoding : Encoding
            How X is read.
        source : Source
            The rows of X that have weight.
        """
        ...

    def check(self, X: object) -> None:
        """Refuse an X that no parameter could make readable, before anything is done."""
        ...


def columns_of(source: Source) -> NDArray[np.float32] | None:
    """Return numbers (n, n_columns) that a head may read in addition to the features, or None.

    Only rows of plain numbers have such numbers: the standardised values of the rows, which a
    network would see only as images.
    """
    found: NDArray[np.float32] | None = getattr(source, "columns", None)
    return found


def moments_of(encoding: Encoding) -> Moments | None:
    """Return the mean and scale that standardise the numbers of `columns_of`, or None."""
    found: Moments | None = getattr(encoding, "column_moments", None)
    return found


def empty_rows(spec: RowSpec, n_rows: int) -> Rows:
    """Allocate rows of several tensors."""
    return tuple(tensor.empty(n_rows) for tensor in spec)


def chunks(n_rows: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of `size` rows; the last may be shorter."""
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def blocks_of(source: Source, size: int) -> Iterator[tuple[int, Source]]:
    """Yield the rows of a source, `size` at a time, with the position of the first of them."""
    positions = np.arange(len(source))
    for part in chunks(len(source), size):
        yield part.start, source.take(positions[part])


def part_of(rows: Rows, positions: slice | Array) -> Rows:
    """Return the rows at `positions`; a slice gives views."""
    return tuple(array[positions] for array in rows)


def each_row(rows: Rows) -> Iterator[Rows]:
    """Yield every row as an array of one row, whatever its length."""
    for row in range(len(rows[0])):
        yield tuple(np.asarray(array[row])[np.newaxis] for array in rows)


def trial_rows(shape: Sequence[int], low: float, high: float) -> NDArray[np.float32]:
    """Return random rows of one shape, the same in every process."""
    count = min(max(_VALUES_TRIED // math.prod(shape), 2), _MOST_ROWS_TRIED)
    rows = np.random.default_rng(0).uniform(low, high, (count, *shape))
    return rows.astype(np.float32)
