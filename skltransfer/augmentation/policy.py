"""Which views of a row are used for training and for prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skltransfer.augmentation.keras_layers import is_keras_layer, name_of_layer, view_by_layer
from skltransfer.augmentation.viewed_source import ViewedSource
from skltransfer.inputs._input import Array, Encoding, InputKind, Size, Source, View, ViewFamily

if TYPE_CHECKING:
    from keras import Layer

_USUAL_VIEWS = 4

RowsByEpoch: TypeAlias = Callable[[NDArray[np.intp], int], Array]
"""Returns the training rows for positions and an epoch."""


@dataclass(frozen=True)
class Views:
    """The views of rows that `augment`, `n_views` and the random seed define.

    Attributes
    ----------
    augment : str or keras.Layer
        A name in `families`, or a layer that turns rows into rows of the same shape.
    n_views : int or None
        Number of fixed views of a row. None draws a new view in every epoch.
    seed : int
        Determines the random draws, together with a row's content.
    size : tuple of int
        Size of the rows that the network reads.
    families : mapping of str to ViewFamily
        The named augmentations of this kind of input.
    """

    augment: str | Layer
    n_views: int | None
    seed: int
    size: Size
    families: Mapping[str, ViewFamily]

    def training_rows(
        self,
        source: Source,
        keys: list[bytes],
        plain: Callable[[NDArray[np.intp]], Array] | None,
        activations: Callable[..., Array],
    ) -> RowsByEpoch:
        """Return a function from (positions, epoch) to activations of the views of that epoch.

        Fixed views run through the frozen part once, whatever the number of epochs. In each epoch,
        a row takes its next view; different rows start at different views. Views that are drawn in
        every epoch never recur, so they are not cached.

        Parameters
        ----------
        source : Source
            The rows.
        keys : list of bytes
            Digests of the rows' tensors.
        plain : callable or None
            Returns the activations of the rows themselves, given their positions; not called if
            views are drawn in every epoch.
        activations : callable
            Returns the activations of a source; its argument `use_cache` says whether to cache
            them.
        """
        if self.n_views is None or plain is None:
            return lambda positions, epoch: activations(
                self._drawn(source.take(positions), epoch), use_cache=False
            )
        others = [activations(view) for view in self.trained_on(source)[1:]]
        views = [plain, *(seen.__getitem__ for seen in others)]
        offsets = np.array([key[0] for key in keys])

        def rows(positions: NDArray[np.intp], epoch: int) -> Array:
            chosen = (offsets[positions] + epoch) % len(views)
            return _side_by_side([views[k](i) for k, i in zip(chosen, positions, strict=True)])

        return rows

    def trained_on(self, source: Source) -> list[Source]:
        """Return the sources of the `n_views` fixed views, all of them different."""
        most = self._n_distinct or math.inf
        return self._first(source, int(min(self.n_views or 1, most)))

    def averaged(self, source: Source) -> list[Source]:
        """Return sources of the views to average: all if finitely many, else `n_views` or four."""
        return self._first(source, self._n_distinct or self.n_views or _USUAL_VIEWS)

    def _first(self, source: Source, n_views: int) -> list[Source]:
        """Return the sources of fixed views; the first are the rows themselves."""
        return [source, *(self._seen(source, number, ()) for number in range(1, n_views))]

    def _drawn(self, source: Source, epoch: int) -> ViewedSource:
        return self._seen(source, None, (epoch,))

    def _seen(self, source: Source, number: int | None, more_seed: tuple[int, ...]) -> ViewedSource:
        name, view = self._view
        return ViewedSource(source, view, name, number, (self.seed, *more_seed))

    @cached_property
    def _view(self) -> tuple[str, View]:
        """Return the name of the views and the function that makes them."""
        if is_keras_layer(self.augment):
            return name_of_layer(self.augment, self.size), view_by_layer(self.augment)
        family = self.families[self.augment]
        return family.seed_name, family.view

    @cached_property
    def _n_distinct(self) -> int | None:
        """Return how many distinct views exist; None means that there is no limit."""
        if is_keras_layer(self.augment):
            return None
        return self.families[self.augment].n_distinct(self.size)


def check_views(
    kind: InputKind, augment: str | Layer | None, n_views: int | None, tta: bool
) -> None:
    """Refuse parameter values that contradict each other."""
    names = ", ".join(map(repr, kind.views))
    if augment is None:
        for name, value, off in (("n_views", n_views, None), ("tta", tta, False)):
            if value != off:
                raise ValueError(
                    f"{name}={value!r} needs views of the {kind.name}s: set augment to {names} or "
                    f"a Keras layer, or leave {name}={off}."
                )
    elif is_keras_layer(augment) and not kind.takes_layers:
        raise ValueError(
            f"augment={augment!r} is a Keras layer, which cannot make views of {kind.name}s. Set "
            f"augment to {names}, or None."
        )
    elif not is_keras_layer(augment) and augment not in tuple(kind.views):
        layers = (
            f" and a Keras layer that turns {kind.name}s, as the network reads them, into "
            f"{kind.name}s of the same shape"
        )
        raise ValueError(
            f"augment={augment!r} is not one of None, {names}{layers if kind.takes_layers else ''}."
        )


def _side_by_side(rows: list[Array]) -> Array:
    """Return rows as one array, which is an array of objects if the rows differ in length."""
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    together = np.empty(len(rows), object)
    together[:] = rows
    return together


def check_has_views(encoding: Encoding) -> None:
    """Raise an error if the rows cannot have views."""
    if encoding.refuses_views is not None:
        raise ValueError(encoding.refuses_views)
