"""The head of the network: standardised features, hidden layers, and the outputs.

The head starts from the solution of a convex problem. This is the first phase of "linear probing
then fine-tuning" (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", ICLR 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skltransfer._fields import PositiveInt
from skltransfer.backend import as_array, as_tensor
from skltransfer.backend.blas import one_thread

if TYPE_CHECKING:
    from skltransfer.tasks._task import Floats, Singles, Task

_VARIANCE_FLOOR = 0.1

Drop: TypeAlias = Callable[[Any, int], Any]
"""A function that applies dropout to the input of a layer. Its second argument is the index of the
layer's kernel in the weights."""


@dataclass(frozen=True)
class Standardizer:
    """Weighted moments of the features.

    Attributes
    ----------
    mean, scale : ndarray of float32, shape (n_features,)
        Weighted mean and scale of each feature. A tenth of the mean variance is added to each
        variance, so that nearly constant features do not dominate. Features that vary only by
        rounding have scale 1.
    """

    mean: Singles
    scale: Singles

    @classmethod
    def of(cls, features: Singles, weights: Floats) -> Standardizer:
        """Return the weighted moments of `features`."""
        share = (weights / weights.sum())[:, None]
        mean = (features * share).sum(axis=0, dtype=np.float64)
        variance = ((features - mean) ** 2 * share).sum(axis=0, dtype=np.float64)
        scale = np.sqrt(variance + _VARIANCE_FLOOR * variance.mean())
        scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def beside(self, features: Singles, columns: Singles, weights: Floats) -> Standardizer:
        """Return the standardizer of `features` followed by extra `columns` (already standardised).

        All columns are divided by one number, so that together they vary as much as all features
        together (block scaling: Westerhuis, Kourti and MacGregor, "Analysis of Multiblock and
        Hierarchical PCA and PLS Models", 1998). Without this division, a penalty on the kernel
        would leave little influence to a few columns among a thousand features.
        """
        of_features = _total_variance(self(features), weights)
        of_columns = _total_variance(columns, weights)
        scale = np.sqrt(of_columns / of_features) if of_features and of_columns else 1.0
        n_columns = columns.shape[1]
        return Standardizer(
            np.append(self.mean, np.zeros(n_columns, np.float32)),
            np.append(self.scale, np.full(n_columns, scale, np.float32)),
        )

    def __call__(self, features: Singles) -> Singles:
        """Standardise rows of features."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True)
class Head:
    """Shape of the head.

    Attributes
    ----------
    n_features : int
        Number of inputs: pooled features and extra columns.
    units : tuple of int
        Widths of the hidden layers; () is a linear head.
    activation : str
        Name of a Keras activation.
    n_outputs : int
        Number of outputs, such as a logit for each class.
    n_columns : int, default=0
        How many of the inputs, counted from the end, are extra columns.
    """

    n_features: PositiveInt
    units: tuple[PositiveInt, ...]
    activation: str
    n_outputs: PositiveInt
    n_columns: int = 0

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the weights: a kernel and a bias for each layer."""
        widths = (self.n_features, *self.units, self.n_outputs)
        layers = pairwise(widths)
        return [shape for fan_in, width in layers for shape in ((fan_in, width), (width,))]

    def outputs(self, weights: list[Any], features: Any, drop: Drop | None = None) -> Any:
        """Return outputs for standardised `features`; `drop` is applied before every layer."""
        import keras

        x = self.hidden(weights, features, drop)
        x = drop(x, len(weights) - 2) if drop else x
        return keras.ops.matmul(x, weights[-2]) + weights[-1]

    def hidden(self, weights: list[Any], features: Any, drop: Drop | None = None) -> Any:
        """Return the output of the last hidden layer; without hidden layers, return `features`."""
        x = features
        for index in range(0, len(weights) - 2, 2):
            x = drop(x, index) if drop else x
            x = self.activated(weights[index], weights[index + 1], x)
        return x

    def activated(self, kernel: Any, bias: Any, x: Any) -> Any:
        """Return the output of one hidden layer."""
        import keras

        activation = keras.activations.get(self.activation)
        return activation(keras.ops.matmul(x, kernel) + bias)


def _total_variance(columns: Singles, weights: Floats) -> float:
    """Return the sum of the weighted variances of all columns."""
    share = (weights / weights.sum())[:, None]
    deviations = columns - (columns * share).sum(axis=0)
    return float((deviations**2 * share).sum())


def linear_probe_init(
    head: Head, task: Task, features: Singles, targets: Singles, weights: Floats, seed: int
) -> list[Singles]:
    """Return the weights of a head whose last layer solves a convex problem.

    As far as its width allows, each hidden layer contains the linear solution for its input, once
    with each sign. The other units of the layer are random directions. The head is therefore as
    good as a linear one from the start.

    Parameters
    ----------
    head : Head
        Shape of the head.
    task : Task
        Defines and solves the convex problem.
    features : ndarray of float32, shape (n, n_features)
        Standardised features.
    targets : ndarray of float32, shape (n, n_outputs)
        Target of each row.
    weights : ndarray of float64, shape (n,)
        Weights of the rows.
    seed : int
        Seed of the random directions.
    """
    x, targets, weights = task.completed(features, targets, weights)
    *hidden, _, _ = random_head(head, seed)
    for kernel, bias in zip(hidden[::2], hidden[1::2], strict=True):
        solution = task.linear_probe(x, targets, weights)
        for array, solved in zip((kernel, bias), solution, strict=True):
            directions = np.concatenate([solved, -solved], axis=-1)[..., : len(bias)]
            array[..., : directions.shape[-1]] = directions
        with one_thread():
            x = as_array(head.activated(as_tensor(kernel), as_tensor(bias), x))
    return [*hidden, *task.linear_probe(x, targets, weights)]


def random_head(head: Head, seed: int = 0) -> list[Singles]:
    """Return He-initialised hidden layers (He et al. 2015) and a last layer of zeros."""
    rng = np.random.default_rng(seed)
    arrays = [
        (rng.standard_normal(shape) * np.sqrt(2.0 / shape[0])).astype(np.float32)
        if len(shape) == 2
        else np.zeros(shape, np.float32)
        for shape in head.shapes
    ]
    arrays[-2] = np.zeros_like(arrays[-2])
    return arrays
