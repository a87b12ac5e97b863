"""Which views of a picture are trained on and predicted from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skltransfer.augmentation.keras_layers import is_keras_layer, name_of_layer, view_by_layer
from skltransfer.augmentation.views import VIEWS, ViewedSource
from skltransfer.inputs.rows import RowSource

_USUAL_VIEWS = 4


@dataclass(frozen=True)
class Views:
    """The parameters `augment` and `n_views`, with the seed of what is drawn.

    Attributes
    ----------
    augment : str or keras.Layer
        A name of ``VIEWS``, or a layer from pictures to pictures.
    n_views : int or None
        Number of fixed views of a picture; None: a new one each epoch.
    seed : int
        Decides, with a picture's content, what is drawn.
    size : (int, int)
        Height and width of the pictures as the network sees them.
    """

    augment: Any
    n_views: int | None
    seed: int
    size: tuple[int, int]

    @staticmethod
    def check(augment, n_views: int | None, tta: bool) -> None:
        """Refuse values of the parameters that do not fit together."""
        if augment is None:
            for name, value, off in (("n_views", n_views, None), ("tta", tta, False)):
                if value != off:
                    raise ValueError(
                        f"{name}={value!r} needs views of the pictures: set augment to "
                        f"{', '.join(map(repr, VIEWS))} or a Keras layer, or leave {name}={off}."
                    )
        elif not is_keras_layer(augment) and augment not in tuple(VIEWS):
            raise ValueError(
                f"augment={augment!r} is none of None, {', '.join(map(repr, VIEWS))} and a Keras "
                "layer from pictures (h, w, 3) of values 0 to 255 to pictures of the same shape."
            )

    def training_rows(
        self, source, keys: list[bytes], plain: Callable, activations: Callable
    ) -> Callable:
        """Function from (positions, epoch) to activations of the views used in that epoch.

        Fixed views run through the frozen part once, whatever the number of epochs; each picture
        starts with another of them. Views drawn anew never come again, so they are not kept.

        Parameters
        ----------
        source : ImageSource
            The pictures.
        keys : list of bytes
            Digests of their pixels.
        plain : callable
            From positions to activations of the pictures themselves; not called for views that
            are drawn anew.
        activations : callable
            From a source, and whether to keep them, to its activations.
        """
        if self.n_views is None:
            return lambda positions, epoch: activations(
                self._drawn(source.take(positions), epoch), kept=False
            )
        others = [activations(view) for view in self.trained_on(source)[1:]]
        views = [plain, *(seen.__getitem__ for seen in others)]
        offsets = np.array([key[0] for key in keys])

        def rows(positions: np.ndarray, epoch: int) -> np.ndarray:
            chosen = (offsets[positions] + epoch) % len(views)
            return np.stack([views[k](i) for k, i in zip(chosen, positions, strict=True)])

        return rows

    def trained_on(self, source) -> list:
        """Sources of the `n_views` fixed views, none of which comes twice."""
        _, _, n_distinct = self._view
        return self._first(source, min(self.n_views or 1, n_distinct or math.inf))

    def averaged(self, source) -> list:
        """Sources of the views of a prediction: all that there are, else `n_views` or four."""
        _, _, n_distinct = self._view
        return self._first(source, n_distinct or self.n_views or _USUAL_VIEWS)

    def _first(self, source, n_views: int) -> list:
        """Sources of fixed views, the first of which are the pictures themselves."""
        require_pictures(source)
        return [source, *(self._seen(source, number, ()) for number in range(1, n_views))]

    def _drawn(self, source, epoch: int) -> ViewedSource:
        return self._seen(source, None, (epoch,))

    def _seen(self, source, number: int | None, more_seed: tuple[int, ...]) -> ViewedSource:
        name, view, _ = self._view
        return ViewedSource(source, view, name, number, (self.seed, *more_seed))

    @cached_property
    def _view(self) -> tuple[str, Callable, int | None]:
        """Name and function of the views, and how many there are; None: any number."""
        if is_keras_layer(self.augment):
            return name_of_layer(self.augment, self.size), view_by_layer(self.augment), None
        view, n_distinct = VIEWS[self.augment]
        return self.augment, view, n_distinct(self.size)


def require_pictures(source) -> None:
    """Refuse views of rows of plain numbers."""
    if isinstance(source, RowSource):
        raise ValueError(
            "augment is for pictures, but X holds rows of numbers. Leave augment=None, or set "
            "image_shape=(h, w, c) if the rows are flattened pictures."
        )
