"""The training loop: epochs of AdamW over activations, with warm-up and a cosine schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.inputs._input import chunks
from skltransfer.training.adamw import held

if TYPE_CHECKING:
    from skltransfer.augmentation.policy import RowsByEpoch
    from skltransfer.inputs._input import Array, Rows
    from skltransfer.tasks._task import Singles, Targets
    from skltransfer.training.state import TrainingState
    from skltransfer.training.train_step import TrainStep

_WARM_UP = 0.1
_ROWS_TOGETHER = 64
_SORTED_TOGETHER = 16
"""Number of batches whose rows are sorted together by length. Each epoch draws these rows at
random, so batches still differ between epochs."""

_RANDOM_VALUES = 1 << 16  # drawing 16-bit integers takes a quarter of the time of floats


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: linear warm-up over a tenth of the steps, then a cosine to zero.

    The cosine follows Loshchilov and Hutter, "SGDR" (2017), without restarts.
    """

    peak: float
    n_steps: int
    kind: str = "cosine"

    def __call__(self, step: int) -> float:
        """Return the learning rate of `step`, counted from 0."""
        if self.kind == "constant":
            return self.peak
        warm = max(1, round(_WARM_UP * self.n_steps))
        if step < warm:
            return self.peak * (step + 1) / (warm + 1)
        return (
            self.peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.n_steps - warm)))
        )


@dataclass(frozen=True)
class TrainingData:
    """The training data.

    Attributes
    ----------
    rows : callable
        Takes (positions, epoch), and returns the activations, at the freeze point, of the rows at
        these positions.
    targets : Targets
        Target values, and weights of the rows. The loss is divided by the mean weight.
    columns : ndarray of float32, shape (n, n_columns)
        The extra columns that the head reads in addition to the pooled features; often none.
    """

    rows: RowsByEpoch
    targets: Targets
    columns: Singles

    def __len__(self) -> int:
        return len(self.targets.weights)

    def batch_rows(self, batch_size: int) -> int:
        """Return the number of rows in a batch."""
        return min(batch_size, len(self))

    def batch(
        self, positions: np.ndarray, weights: np.ndarray, epoch: int, number: int
    ) -> tuple[Array, Singles, Singles, Singles]:
        """Return activations, targets, weights and columns of the `number`-th batch of an epoch."""
        targets, columns = self.targets.values[positions], self.columns[positions]
        return self.rows(positions, epoch), targets, weights, columns


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of the training loop.

    Attributes
    ----------
    batch_size : int
        Number of rows in a step; fewer if the training data have fewer rows.
    rates, decays : ndarray of float32, shape (n_weights,)
        Learning-rate factor, and weight decay, of each weight.
    dropout : float
        Probability of dropping an input of a head layer.
    seed : int
        Determines the order of rows and the dropout.
    """

    batch_size: int
    rates: np.ndarray
    decays: np.ndarray
    dropout: float
    seed: int


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Return the number of steps that it takes to train on every row once."""
    return math.ceil(n_rows / min(batch_size, n_rows))


def run_epoch(
    step: TrainStep,
    state: TrainingState,
    data: TrainingData,
    how: OptimizerConfig,
    schedule: Schedule,
    epoch: int,
    advance: Callable[[int], None] = lambda n_rows: None,
) -> float:
    """Train on every row once; modify `state`, which must come from `TrainingState.to_train`.

    Returns
    -------
    float
        Mean weighted loss of the rows. The loss of a row is computed before the step that trains on
        it.
    """
    rng = np.random.default_rng([how.seed, epoch])
    gradient = step.batch_gradient(data.batch_rows(how.batch_size))
    update = step.update()
    rates, decays = held(how.rates), held(how.decays)
    mean_weight = data.targets.weights.mean()
    fixed, standardizer = step.held(state.fixed), step.held(state.standardizer)
    losses = []
    lengths = _lengths(data) if step.pads else None
    batches = _batches(len(data), how.batch_size, rng, lengths)
    for number, (positions, real) in enumerate(batches):
        weights = (data.targets.weights[positions] / mean_weight).astype(np.float32) * real
        rows, targets, weights, columns = data.batch(positions, weights, epoch, number)
        masks = _dropout_masks(step, len(weights), how.dropout, rng)
        batch = rows, targets, weights, *([columns] if step.n_columns else []), *masks
        rate = schedule(state.n_steps)
        state.n_steps += 1
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a loss that is not finite is refused later
            found, loss = gradient(state.params, fixed, standardizer, *batch)
            state.params, state.exp_avg, state.exp_avg_sq = update(
                state.params,
                state.exp_avg,
                state.exp_avg_sq,
                found,
                rates,
                decays,
                rate,
                state.n_steps,
            )
        losses.append(float(loss) * len(positions))
        advance(int(real.sum()))
    return math.fsum(losses) / len(data)


def _batches(
    n: int, size: int, rng: np.random.Generator, lengths: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the positions of each batch, and a mask: 1 for rows that count, 0 for others.

    All batches have the same size. The last one is filled up with rows of other batches, which do
    not count in the loss, so that BatchNorm never sees padding.
    """
    size = min(size, n)
    order, parts = rng.permutation(n), list(chunks(n, size))
    if lengths is not None:
        order = _by_length(order, lengths, size)
        parts = [parts[number] for number in rng.permutation(len(parts))]
    for part in parts:
        chosen = order[part]
        filled = np.concatenate([chosen, order[: size - len(chosen)]])
        yield filled, (np.arange(size) < len(chosen)).astype(np.float32)


def _by_length(order: np.ndarray, lengths: np.ndarray, size: int) -> np.ndarray:
    """Return `order` with the rows of every `_SORTED_TOGETHER` batches sorted by length."""
    pools = [order[part] for part in chunks(len(order), _SORTED_TOGETHER * size)]
    return np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])


def _lengths(data: TrainingData) -> np.ndarray:
    """Return the length of each row's sequence."""
    return np.array([len(row) for row in data.rows(np.arange(len(data)), 0)])


def _dropout_masks(
    step: TrainStep, rows: int, rate: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return a dropout mask for each head layer: 0, or the inverse of the share of inputs kept.

    Extra columns are never dropped, because no other input carries the information of a column.
    Pooled features, in contrast, are partly redundant.
    """
    if rate == 0:
        return []
    kept = max(1, round((1.0 - rate) * _RANDOM_VALUES))
    widths = [shape[0] for shape in step.head.shapes[::2]]
    drawn = (rng.integers(_RANDOM_VALUES, size=(rows, w), dtype=np.uint16) for w in widths)
    masks = [(values < kept) * np.float32(_RANDOM_VALUES / kept) for values in drawn]
    masks[0][:, step.head.n_features - step.n_columns :] = 1
    return masks


def outputs_of(
    step: TrainStep, state: TrainingState, activations: np.ndarray, columns: Singles | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs of the head and pooled features of `activations`.

    Parameters
    ----------
    step, state : TrainStep, TrainingState
        The network above the freeze point, and its weights.
    activations : ndarray
        Rows at the freeze point.
    columns : ndarray of float32, shape (n, n_columns), or None, default=None
        The extra columns that the head reads; None means zeros, the means of standardised columns.

    Returns
    -------
    outputs : ndarray of float32, shape (n, n_outputs)
    features : ndarray of float32, shape (n, n_features)
    """
    rows: Rows = (activations,)
    arguments = state.params, state.fixed, state.standardizer
    if step.n_columns:
        means = np.zeros((len(activations), step.n_columns), np.float32)
        rows = activations, means if columns is None else columns
    return step.forward()(rows, arguments)


def features_of(data: TrainingData, above: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply `above` to the activations that all rows have in epoch 0, a few rows at a time."""
    positions = np.arange(len(data))
    parts = chunks(len(data), _ROWS_TOGETHER)
    return np.concatenate([above(data.rows(positions[part], 0)) for part in parts])


def estimate_statistics(
    step: TrainStep, state: TrainingState, data: TrainingData, batch_size: int, seed: int
) -> np.ndarray:
    """Set BatchNorm's statistics above the freeze point to those of the training rows.

    The mean and variance of each batch are averaged over all batches (Li et al., "Revisiting Batch
    Normalization For Practical Domain Adaptation", 2017; Wu and Johnson, "Rethinking 'Batch' in
    BatchNorm", 2021).

    Returns
    -------
    ndarray of float32, shape (n, n_features)
        Pooled features of the rows, normalised by the statistics of their batches.
    """
    moments = step.moments(min(batch_size, len(data)))
    rng = np.random.default_rng([seed, 2**31])
    features = np.empty((len(data), step.head.n_features - step.n_columns), np.float32)
    sums, total = None, 0.0
    for positions, real in _batches(len(data), batch_size, rng):
        found = moments(state.params, state.fixed, data.rows(positions, 0))
        counted = real == 1
        features[positions[counted]] = np.asarray(found[0])[counted]
        share = float(real.sum())
        batch = [np.asarray(moment, np.float64) * share for moment in found[1:]]
        sums = batch if sums is None else [a + b for a, b in zip(sums, batch, strict=True)]
        total += share
    state.fixed = step.with_statistics(state.fixed, [s / total for s in sums or []])
    return features
