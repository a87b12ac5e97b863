"""Which views of a picture are trained on and predicted from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skltransfer.inputs.views import VIEWS, ViewedSource


@dataclass(frozen=True)
class Views:
    """The parameters `augment` and `n_views`, with the seed of what is drawn.

    Attributes
    ----------
    augment : str
        A name of ``VIEWS``.
    n_views : int or None
        Number of fixed views of a picture; None: a new one each epoch.
    seed : int
        Decides, with a picture's content, what is drawn.
    """

    augment: str
    n_views: int | None
    seed: int

    def training_rows(self, source, keys: list[bytes], activations: Callable) -> Callable:
        """Function from (positions, epoch) to activations of the views used in that epoch.

        Fixed views run through the frozen part once, whatever the number of epochs; each picture
        starts with another of them.
        """
        if self.n_views is None:
            return lambda positions, epoch: activations(self._drawn(source.take(positions), epoch))
        fixed = [activations(view) for view in self.fixed(source, self.n_views)]
        offsets = np.array([key[0] for key in keys])

        def rows(positions: np.ndarray, epoch: int) -> np.ndarray:
            chosen = (offsets[positions] + epoch) % len(fixed)
            return np.stack([fixed[k][i] for k, i in zip(chosen, positions, strict=True)])

        return rows

    def fixed(self, source, n_views: int | None = None) -> list:
        """Sources of fixed views, the pictures themselves first."""
        view, usual = VIEWS[self.augment]
        numbers = range(n_views or self.n_views or usual)
        return [ViewedSource(source, view, self.augment, k, (self.seed,)) for k in numbers]

    def _drawn(self, source, epoch: int) -> ViewedSource:
        view, _ = VIEWS[self.augment]
        return ViewedSource(source, view, self.augment, None, (self.seed, epoch))
