"""Adapting a trained state to the target domain: first the moments, then the last layer.

The moments (mean and variance) of the labelled rows are mixed with those of the target rows, both
in the head's standardizer and in BatchNorm above the freeze point (Li et al., "Revisiting Batch
Normalization For Practical Domain Adaptation", 2017). If there are few target rows, their share of
the mix is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.adaptation.last_layer import Labelled, Unlabelled, adapted_layer
from skltransfer.backend import as_array, as_tensor
from skltransfer.backend.blas import one_thread
from skltransfer.training.head import Standardizer
from skltransfer.training.loop import estimate_statistics, features_of, outputs_of
from skltransfer.training.train_step import join, split

if TYPE_CHECKING:
    from skltransfer.tasks._task import Singles
    from skltransfer.training.loop import TrainingData
    from skltransfer.training.state import TrainingState
    from skltransfer.training.train_step import TrainStep

_ROWS_OF_HALF_TRUST = 64


@dataclass(frozen=True)
class Adapter:
    """Adapts a trained state to the target domain.

    Attributes
    ----------
    methods : sequence of str
        One or more of "statistics", "self" and "mcc".
    step : TrainStep
        The suffix (the layers above the freeze point) and the head, compiled.
    source, target : TrainingData
        The labelled rows, and the rows of the target domain. Of the latter, the targets are not
        used.
    batch_size, seed : int
        Batch size and seed with which BatchNorm's statistics are estimated.
    """

    methods: Sequence[str]
    step: TrainStep
    source: TrainingData
    target: TrainingData
    batch_size: int
    seed: int

    def __call__(self, state: TrainingState) -> TrainingState:
        """Return the adapted state."""
        features = self._features(state, self.source)
        adapted = self._with_statistics(state)
        of_target = self._features(adapted, self.target)
        if "statistics" in self.methods:
            adapted = replace(adapted, standardizer=self._moments(state, features, of_target))
        if {"self", "mcc"}.isdisjoint(self.methods):
            return adapted
        seen = (
            self._hidden(state, features, self.source.columns),
            self._hidden(adapted, of_target, self.target.columns),
        )
        return self._with_last_layer(adapted, *seen)

    @property
    def _trust(self) -> float:
        """Share of the target's moments in the mix; it grows with the number of distinct rows."""
        return len(self.target) / (len(self.target) + _ROWS_OF_HALF_TRUST)

    def _with_statistics(self, state: TrainingState) -> TrainingState:
        """Return the state with BatchNorm's statistics mixed with those of the target rows."""
        if "statistics" not in self.methods or not self.step.norms:
            return state
        found = replace(state)
        estimate_statistics(self.step, found, self.target, self.batch_size, self.seed)
        mixed = state.fixed + np.float32(self._trust) * (found.fixed - state.fixed)
        return replace(state, fixed=mixed)

    def _moments(self, state: TrainingState, source: Singles, target: Singles) -> np.ndarray:
        """Return a standardizer that gives target features the moments that labelled features have.

        These moments need not be mean 0 and scale 1, because training may have moved the features
        since the head was initialised.
        """
        own = Standardizer.of(source, self.source.targets.weights)
        other = Standardizer.of(target, self.target.targets.weights)
        mean = own.mean + self._trust * (other.mean - own.mean)
        scale = np.sqrt(own.scale**2 + self._trust * (other.scale**2 - own.scale**2))
        moments, n_features = (
            state.standardizer.copy(),
            source.shape[1],
        )  # extra columns keep theirs
        first, by = moments[:, :n_features]
        moments[:, :n_features] = (
            mean + scale * (first - own.mean) / own.scale,
            scale * by / own.scale,
        )
        return moments

    def _features(self, state: TrainingState, data: TrainingData) -> Singles:
        """Return pooled features of all rows."""
        if self.step.head_only:
            return np.asarray(data.rows(np.arange(len(data)), 0), np.float32)
        return features_of(data, lambda rows: outputs_of(self.step, state, rows)[1])

    def _hidden(self, state: TrainingState, features: Singles, columns: Singles) -> Singles:
        """Return the input of the last layer."""
        mean, scale = state.standardizer
        standardised = (np.concatenate([features, columns], axis=1) - mean) / scale
        weights = [as_tensor(array) for array in self.step.of_head(state.params)]
        with one_thread():
            return np.asarray(as_array(self.step.head.hidden(weights, standardised)))

    def _with_last_layer(
        self, state: TrainingState, source: Singles, target: Singles
    ) -> TrainingState:
        of_source, weights = self.source.targets, self.target.targets.weights
        *others, kernel, bias = split(state.params, self.step.shapes)
        layer = adapted_layer(
            (kernel, bias),
            Labelled(source, of_source.values, of_source.weights),
            Unlabelled(target, weights),
            self.methods,
        )
        return replace(state, params=join([*others, *layer]))
