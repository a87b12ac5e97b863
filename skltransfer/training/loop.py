"""The training loop: epochs of AdamW over activations, with a warm-up and a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from skltransfer.training.adamw import held
from skltransfer.training.train_step import Program

_WARM_UP = 0.1
_RANDOM_VALUES = 1 << 16  # numbers of 16 bits are drawn in a quarter of the time of floats


@dataclass
class TrainingState:
    """All that changes during training.

    Attributes
    ----------
    theta : ndarray or tensor of shape (n_weights,)
        Weights that learn: the suffix, then the head.
    fixed : ndarray of shape (n_fixed,)
        BatchNorm's statistics and other variables above the cut.
    standardizer : ndarray of shape (2, n_features)
        Mean and scale of the pooled features.
    first, second : ndarray or tensor of shape (n_weights,)
        AdamW's moments; None before the first step.
    n_steps : int
        Steps done.
    """

    theta: np.ndarray
    fixed: np.ndarray
    standardizer: np.ndarray
    first: np.ndarray | None = None
    second: np.ndarray | None = None
    n_steps: int = 0

    def to_train(self) -> TrainingState:
        """A copy, as steps change arrays in place; with moments of zero if there are none."""
        first, second = (
            np.zeros(np.shape(self.theta), np.float32) if array is None else np.array(array)
            for array in (self.first, self.second)
        )
        return TrainingState(
            np.array(self.theta), self.fixed, self.standardizer, first, second, self.n_steps
        )

    def as_arrays(self) -> TrainingState:
        """The same without tensors."""
        arrays = (self.theta, self.fixed, self.standardizer, self.first, self.second)
        return TrainingState(*map(np.asarray, arrays), self.n_steps)

    def without_optimiser(self) -> TrainingState:
        """A copy of the weights alone: all that prediction and a warm start need."""
        return TrainingState(np.array(self.theta), self.fixed, self.standardizer)


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: a linear warm-up over a tenth of the steps, then a cosine to zero.

    The cosine is that of Loshchilov and Hutter, "SGDR" (2017), without restarts.
    """

    peak: float
    n_steps: int
    kind: str = "cosine"

    def __call__(self, step: int) -> float:
        """Learning rate of `step`, counted from 0."""
        if self.kind == "constant":
            return self.peak
        warm = max(1, round(_WARM_UP * self.n_steps))
        if step < warm:
            return self.peak * (step + 1) / (warm + 1)
        return (
            self.peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.n_steps - warm)))
        )


@dataclass(frozen=True)
class Examples:
    """What is trained on.

    Attributes
    ----------
    rows : callable
        From (positions, epoch) to their activations at the cut.
    targets : ndarray of float32, shape (n, n_classes)
        Probabilities that each row should get.
    weights : ndarray of float64, shape (n,)
        Weights of the rows; the loss divides by their mean.
    """

    rows: Callable[[np.ndarray, int], np.ndarray]
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Optimisation:
    """Settings of the training loop.

    Attributes
    ----------
    batch_size : int
        Rows of a step; less when there are fewer rows.
    rates, decays : ndarray of float32, shape (n_weights,)
        Factor on the learning rate, and weight decay, of each weight.
    dropout : float
        Probability that an input of a layer of the head is dropped.
    seed : int
        Decides the order of rows and the dropout.
    """

    batch_size: int
    rates: np.ndarray
    decays: np.ndarray
    dropout: float
    seed: int


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Number of steps in which every row is seen once."""
    return math.ceil(n_rows / min(batch_size, n_rows))


def run_epoch(
    program: Program,
    state: TrainingState,
    examples: Examples,
    how: Optimisation,
    schedule: Schedule,
    epoch: int,
    advance: Callable[[int], None] = lambda n_rows: None,
) -> float:
    """Train on every row once; `state`, which was made `to_train`, is changed.

    Returns
    -------
    float
        Mean weighted cross-entropy of the rows, each before the step that it took part in.
    """
    rng = np.random.default_rng([how.seed, epoch])
    gradient = program.batch_gradient(min(how.batch_size, len(examples)))
    update = program.update()
    rates, decays = held(how.rates), held(how.decays)
    mean_weight = examples.weights.mean()
    fixed, standardizer = program.held(state.fixed), program.held(state.standardizer)
    losses = []
    for positions, real in _batches(len(examples), how.batch_size, rng):
        weights = (examples.weights[positions] / mean_weight).astype(np.float32) * real
        masks = _dropout_masks(program.head, len(positions), how.dropout, rng)
        batch = examples.rows(positions, epoch), examples.targets[positions], weights, *masks
        rate = schedule(state.n_steps)
        state.n_steps += 1
        with np.errstate(over="ignore", invalid="ignore"):  # the loss tells of it
            found, loss = gradient(state.theta, fixed, standardizer, *batch)
            state.theta, state.first, state.second = update(
                state.theta,
                state.first,
                state.second,
                found,
                rates,
                decays,
                rate,
                state.n_steps,
            )
        losses.append(float(loss) * len(positions))
        advance(int(real.sum()))
    return math.fsum(losses) / len(examples)


def _batches(
    n: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of each batch, and 1 where they count.

    All batches have one size: the last is filled up with real rows that do not count, so that
    BatchNorm never sees padding.
    """
    order = rng.permutation(n)
    size = min(size, n)
    for start in range(0, n, size):
        chosen = order[start : start + size]
        filled = np.concatenate([chosen, order[: size - len(chosen)]])
        yield filled, (np.arange(size) < len(chosen)).astype(np.float32)


def _dropout_masks(head, rows: int, rate: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Zero or the inverse of the share that is kept, for each input of each layer of the head."""
    if rate == 0:
        return []
    kept = max(1, round((1.0 - rate) * _RANDOM_VALUES))
    widths = [shape[0] for shape in head.shapes[::2]]
    drawn = (rng.integers(_RANDOM_VALUES, size=(rows, w), dtype=np.uint16) for w in widths)
    return [(values < kept) * np.float32(_RANDOM_VALUES / kept) for values in drawn]


def logits_of(program: Program, state: TrainingState, activations: np.ndarray):
    """Logits and pooled features of `activations`.

    Returns
    -------
    logits : ndarray of float32, shape (n, n_classes)
    features : ndarray of float32, shape (n, n_features)
    """
    forward = program.forward()
    return forward(state.theta, state.fixed, state.standardizer, activations, chosen=(0, 1))


def estimate_statistics(
    program: Program, state: TrainingState, examples: Examples, batch_size: int, seed: int
) -> np.ndarray:
    """Set BatchNorm's statistics above the cut to the training rows' own.

    Means over batches of the batches' moments (Li et al., "Revisiting Batch Normalization For
    Practical Domain Adaptation", 2017; Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021).

    Returns
    -------
    ndarray of float32, shape (n, n_features)
        Pooled features of the rows as their batches were normalised.
    """
    moments = program.moments(min(batch_size, len(examples)))
    rng = np.random.default_rng([seed, 2**31])
    features = np.empty((len(examples), program.head.n_features), np.float32)
    sums, total = None, 0.0
    for positions, real in _batches(len(examples), batch_size, rng):
        found = moments(state.theta, state.fixed, examples.rows(positions, 0))
        counted = real == 1
        features[positions[counted]] = np.asarray(found[0])[counted]
        share = float(real.sum())
        batch = [np.asarray(moment, np.float64) * share for moment in found[1:]]
        sums = batch if sums is None else [a + b for a, b in zip(sums, batch, strict=True)]
        total += share
    state.fixed = program.with_statistics(state.fixed, [s / total for s in sums or []])
    return features
