"""Compiled training and prediction of what lies above a cut: the suffix and the head.

All weights that learn are one flat vector that is handed in and out, so a program is compiled
once for each (network, cut, shape of head) and a hundred fits share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from skltransfer.backend import (
    CompiledFunction,
    as_tensor,
    compile_function,
    value_and_gradients,
)
from skltransfer.network.batch_invariance import Blocks, in_blocks, most_block_rows, trial_rows
from skltransfer.network.execution import is_batch_norm, needed_steps, run_steps
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import Network
from skltransfer.training.adamw import adamw
from skltransfer.training.batch_gradient import BatchGradient
from skltransfer.training.head import Head


class Program:
    """What is trained, compiled.

    Parameters
    ----------
    network : Network
        The backbone.
    cut : int or None
        Last frozen step; None: nothing is frozen.
    head : Head
        The classifier.
    by_batch : bool
        Whether BatchNorm above the cut uses the moments of the training batch.
    dropout : bool
        Whether masks are applied before the head's layers.
    """

    def __init__(
        self, network: Network, cut: int | None, head: Head, by_batch: bool, dropout: bool
    ):
        self.network = network
        self.graph = network.features
        self.cut = cut
        self.head = head
        self.by_batch = by_batch
        self.dropout = dropout
        self.end = len(self.graph.steps) - 1
        self._compiled: dict = {}

    held = staticmethod(as_tensor)
    """Make an argument ready for many calls."""

    @property
    def head_only(self) -> bool:
        """Whether the whole backbone is frozen, so that rows are pooled features."""
        return self.cut == self.end

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a row of activations at the cut."""
        if self.head_only:
            return (self.head.n_features,)
        if self.cut is None:
            return (*self.network.input_size, 3)
        return self.graph.steps[self.cut].shape

    @cached_property
    def steps(self) -> list[int]:
        """Steps of the backbone above the cut."""
        return [] if self.head_only else needed_steps(self.graph, self.cut, (self.end,))

    @cached_property
    def trained(self) -> list:
        """Variables of the backbone that learn, from the input on."""
        found = {id(v): v for i in self.steps for v in self._of(i, "trainable_weights")}
        return list(found.values())

    @cached_property
    def norms(self) -> list[int]:
        """BatchNorm steps above the cut."""
        return [i for i in self.steps if is_batch_norm(self.graph.steps[i])]

    @cached_property
    def fixed(self) -> list:
        """Variables above the cut that do not learn: BatchNorm's statistics, mostly."""
        found = {id(v): v for i in self.steps for v in self._of(i, "non_trainable_weights")}
        return [v for v in found.values() if "float" in v.dtype]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of what learns: the suffix, then the head."""
        return [tuple(v.shape) for v in self.trained] + self.head.shapes

    def forward(self) -> Callable:
        """From (weights, fixed, standardizer, x) to (logits, pooled features)."""
        return self._once("forward", self._compile_forward)

    def moments(self, rows: int) -> CompiledFunction:
        """From (weights, fixed, x) to the features and BatchNorm's moments of a batch."""
        return self._once(("moments", rows), lambda: self._compile_moments(rows))

    def batch_shapes(self, rows: int) -> list[tuple[int, ...]]:
        """Shapes of what a step is handed: state, x, targets, row weights and masks.

        Masks are there with dropout only, one for each layer of the head.
        """
        widths = [(rows, shape[0]) for shape in self.head.shapes[::2]] if self.dropout else []
        batch = [(rows, *self.input_shape), (rows, self.head.n_classes), (rows,), *widths]
        return [*self._state_shapes(), *batch]

    def gradient(self, rows: int) -> Callable:
        """From (weights, fixed, standardizer, *batch) to (gradient, loss), see `batch_shapes`."""
        return self._once(("gradient", rows), lambda: self._compile_gradient(rows))

    def batch_gradient(self, rows: int) -> BatchGradient:
        """As `gradient`, and in smaller batches where the backend runs out of memory."""
        return self._once(("batch", rows), lambda: BatchGradient(self.gradient, rows))

    def update(self) -> Callable:
        """One step of AdamW with all weights, see `adamw`."""
        return self._once("update", lambda: adamw(count(self.shapes)))

    def with_statistics(self, fixed: np.ndarray, moments: list[np.ndarray]) -> np.ndarray:
        """`fixed` with BatchNorm's statistics replaced by (mean, variance) of each in turn.

        Of a layer that is called several times the mean over its calls, as Keras' moving averages
        tend to.
        """
        shapes = [tuple(v.shape) for v in self.fixed]
        values = dict(zip(map(id, self.fixed), split(fixed, shapes), strict=True))
        seen: dict[int, list[np.ndarray]] = {}
        for index, mean, variance in zip(self.norms, moments[::2], moments[1::2], strict=True):
            norm = self.graph.steps[index].operation
            seen.setdefault(id(norm.moving_mean), []).append(mean)
            seen.setdefault(id(norm.moving_variance), []).append(variance)
        values.update({key: np.mean(of_calls, axis=0) for key, of_calls in seen.items()})
        return join(values[id(v)] for v in self.fixed)

    def tuned(self, arrays: tuple, theta: np.ndarray, fixed: np.ndarray) -> list[np.ndarray]:
        """The backbone's `arrays` with what was learned in place of what it was learned from."""
        learned = dict(zip(map(id, self.trained), split(theta, self.shapes), strict=False))
        shapes = [tuple(v.shape) for v in self.fixed]
        learned.update(zip(map(id, self.fixed), split(fixed, shapes), strict=True))
        variables = self.network.variables
        return [learned.get(id(v), a) for v, a in zip(variables, arrays, strict=True)]

    def of_head(self, theta: np.ndarray) -> list[np.ndarray]:
        """The head's weights."""
        return split(theta, self.shapes)[len(self.trained) :]

    def stage_of_weights(self) -> np.ndarray:
        """For each trained weight of the backbone the number of stages above its own."""
        stages = self.network.stages
        found = {}
        for index in self.steps:
            above = sum(index <= stage.stop for stage in stages[:-1])
            for variable in self._of(index, "trainable_weights"):
                found.setdefault(id(variable), (above, int(np.prod(variable.shape))))
        pairs = list(found.values())
        return np.repeat([a for a, _ in pairs], [n for _, n in pairs]).astype(np.float32)

    def _of(self, index: int, kind: str) -> list:
        return list(getattr(self.graph.steps[index].operation, kind, ()))

    def _once(self, key, compile_it: Callable):
        with self.network.lock:
            if key not in self._compiled:
                self._compiled[key] = compile_it()
            return self._compiled[key]

    def _compile_forward(self) -> Blocks:
        def compute(theta, fixed, standardizer, x):
            parameters = split(theta, self.shapes)
            features = self._features(parameters, fixed, x)
            mean, scale = standardizer[0], standardizer[1]
            logits = self.head.logits(parameters[len(self.trained) :], (features - mean) / scale)
            return logits, features

        function = compile_function(compute, [*self._state_shapes(), (None, *self.input_shape)])
        high = 255.0 if self.cut is None else 1.0
        trial = trial_rows(self.input_shape, 0.0, high)
        return in_blocks(function, most_block_rows(), self._trial_state(), trial)

    def _trial_state(self) -> tuple[np.ndarray, ...]:
        """The backbone as it is, and a head that lets every feature through."""
        rng = np.random.default_rng(0)
        head = [rng.normal(0, shape[0] ** -0.5, shape) for shape in self.head.shapes]
        backbone = [self.network.arrays[id(v)] for v in self.trained]
        fixed = join(self.network.arrays[id(v)] for v in self.fixed)
        standardizer = np.stack([np.zeros(self.head.n_features), np.ones(self.head.n_features)])
        return join([*backbone, *head]), fixed, standardizer.astype(np.float32)

    def _compile_moments(self, rows: int) -> CompiledFunction:
        def compute(theta, fixed, x):
            moments: dict[int, tuple] = {}
            features = self._features(split(theta, self.shapes), fixed, x, moments)
            return (features, *(tensor for index in self.norms for tensor in moments[index]))

        shapes = self._state_shapes()[:2]
        return compile_function(compute, [*shapes, (rows, *self.input_shape)])

    def _compile_gradient(self, rows: int) -> CompiledFunction:
        def compute(theta, fixed, standardizer, x, targets, weights, *masks):
            from keras import ops

            def loss_of(parameters):
                moments = {} if self.by_batch else None
                features = self._features(parameters, fixed, x, moments)
                logits = self.head.logits(
                    parameters[len(self.trained) :],
                    (features - standardizer[0]) / standardizer[1],
                    (lambda z, index: z * masks[index // 2]) if masks else None,
                )
                log_probabilities = ops.log_softmax(logits, axis=-1)
                return -ops.sum(weights * ops.sum(targets * log_probabilities, axis=-1)) / rows

            loss, gradients = value_and_gradients(loss_of, split(theta, self.shapes))
            return ops.concatenate([ops.reshape(g, (-1,)) for g in gradients]), loss

        return compile_function(compute, self.batch_shapes(rows))

    def _features(self, parameters: list, fixed, x, moments: dict | None = None):
        """Pooled features of activations `x`."""
        if self.head_only:
            return x
        values = dict(self.network.arrays)  # counters and the like are neither trained nor fixed
        values.update({id(v): p for v, p in zip(self.trained, parameters, strict=False)})
        shapes = [tuple(v.shape) for v in self.fixed]
        values.update({id(v): p for v, p in zip(self.fixed, split(fixed, shapes), strict=True)})
        x = self.network.preprocess(x) if self.cut is None else x
        outputs = run_steps(self.graph, self.cut, [self.end], x, values, moments=moments)
        return pooled(outputs, "avg")

    def _state_shapes(self) -> list[tuple[int, ...]]:
        fixed = count([tuple(v.shape) for v in self.fixed])
        return [(count(self.shapes),), (fixed,), (2, self.head.n_features)]


def count(shapes: list[tuple[int, ...]]) -> int:
    """Number of weights of `shapes` together."""
    return sum(math.prod(shape) for shape in shapes)


def split(flat, shapes: list[tuple[int, ...]]) -> list:
    """Views of a flat array or tensor in `shapes`, one after the other."""
    parts, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        part = flat[start : start + size]
        parts.append(
            part.reshape(shape) if isinstance(part, np.ndarray) else _reshaped(part, shape)
        )
        start += size
    return parts


def join(arrays) -> np.ndarray:
    """One flat float32 vector of all arrays."""
    flat = [np.asarray(array, np.float32).ravel() for array in arrays]
    return np.concatenate(flat) if flat else np.zeros(0, np.float32)


def _reshaped(tensor, shape: tuple[int, ...]):
    from keras import ops

    return ops.reshape(tensor, shape)
