"""Compiled training and prediction above a freeze point.

The *suffix* consists of the layers above the freeze point, the last frozen step; the *head* is on
top of the suffix. All trained weights of both form one flat vector, which compiled functions take
as an argument. All fits with the same network, freeze point, shape of head and loss therefore share
these functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from skltransfer.backend import (
    CompiledFunction,
    as_tensor,
    compile_function,
    value_and_gradients,
)
from skltransfer.frozen.prefix import row_spec, rows_to_pack
from skltransfer.inputs._input import trial_rows
from skltransfer.network.batch_invariance import (
    InvariantBatches,
    in_invariant_batches,
    most_block_rows,
)
from skltransfer.network.carried_input import run_from
from skltransfer.network.execution import is_batch_norm, needed_steps
from skltransfer.network.masks import reads_masks
from skltransfer.network.packed_rows import PackedRows
from skltransfer.network.packs import LENGTH, run_rows
from skltransfer.network.padding import padded, takes_padding
from skltransfer.network.pooling import pooled
from skltransfer.training.adamw import Update, adamw
from skltransfer.training.batch_gradient import BatchGradient, GradientAndLoss
from skltransfer.training.forward import SuffixAndHead

if TYPE_CHECKING:
    from keras import KerasTensor, Variable
    from numpy.typing import ArrayLike

    from skltransfer.backend import Shape
    from skltransfer.inputs._input import Rows, TensorSpec
    from skltransfer.network.execution import Moments
    from skltransfer.network.packs import RunRows
    from skltransfer.network.runtime import Network
    from skltransfer.tasks._task import Loss
    from skltransfer.training.forward import Forward
    from skltransfer.training.head import Head

_Compiled = TypeVar("_Compiled")


class TrainStep:
    """The trained part of a network, compiled.

    Parameters
    ----------
    network : Network
        The backbone, up to the end of its features.
    freeze_point : int or None
        Last frozen step; None if nothing is frozen.
    head : Head
        The head on top.
    loss : Loss
        The loss of a row.
    by_batch : bool
        Whether BatchNorm above the freeze point uses the statistics of the training batch.
    dropout : bool
        Whether dropout masks are applied before the head's layers.
    """

    def __init__(
        self,
        network: Network,
        freeze_point: int | None,
        head: Head,
        loss: Loss,
        by_batch: bool,
        dropout: bool,
    ) -> None:
        self.network = network
        self.graph = network.features
        self.freeze_point = freeze_point
        self.head = head
        self.loss = loss
        self.by_batch = by_batch
        self.dropout = dropout
        self.end = network.end
        self._compiled: dict[Any, Any] = {}

    def held(self, array: np.ndarray) -> KerasTensor:
        """Prepare an argument that is used in many calls."""
        return as_tensor(array)

    @property
    def head_only(self) -> bool:
        """Whether the whole backbone is frozen, so that rows are pooled features."""
        return self.freeze_point == self.end

    @property
    def n_columns(self) -> int:
        """Number of extra columns that the head reads in addition to the pooled features."""
        return self.head.n_columns

    @cached_property
    def input(self) -> TensorSpec:
        """Shape and dtype of a row of activations at the freeze point."""
        return row_spec(self.network, self.freeze_point)[0]

    @cached_property
    def pads(self) -> bool:
        """Whether rows of different lengths are padded at their ends to fit into one batch."""
        if not self.input.is_ragged or not takes_padding(self.graph, self.steps):
            return False
        return self.freeze_point is None or not reads_masks(self.graph, self.freeze_point)

    @cached_property
    def steps(self) -> list[int]:
        """Steps of the backbone above the freeze point."""
        if self.head_only:
            return []
        return needed_steps(self.graph, self.freeze_point, (self.end,))

    @cached_property
    def trained(self) -> list[Variable]:
        """Trained variables of the backbone, in order from the input."""
        found = {id(v): v for i in self.steps for v in self._of(i, "trainable_weights")}
        return list(found.values())

    @cached_property
    def norms(self) -> list[int]:
        """BatchNorm steps above the freeze point."""
        return [i for i in self.steps if is_batch_norm(self.graph.steps[i])]

    @cached_property
    def fixed(self) -> list[Variable]:
        """Untrained variables above the freeze point, mostly BatchNorm's statistics."""
        found = {id(v): v for i in self.steps for v in self._of(i, "non_trainable_weights")}
        return [v for v in found.values() if "float" in v.dtype]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the trained weights: the suffix, then the head."""
        return [tuple(v.shape) for v in self.trained] + self.head.shapes

    def pretrained(self) -> list[np.ndarray]:
        """Values of `trained` before any training."""
        return [self.network.arrays[id(variable)] for variable in self.trained]

    def forward(self) -> Forward:
        """Return a function that computes outputs and features; see `Forward` for its arguments."""
        return self._once("forward", self._compile_forward)

    def moments(self, rows: int) -> CompiledFunction:
        """Return a function of (weights, fixed, x).

        Its results are the features of the batch x, and BatchNorm's statistics in this batch.
        """
        return self._once(("moments", rows), lambda: self._compile_moments(rows))

    def batch_shapes(self, rows: int) -> list[Shape]:
        """Return the shapes of a step's arguments: state, x, targets, row weights, columns, masks.

        There are columns only if the head reads extra ones, and masks only with dropout, one for
        each layer of the head.
        """
        widths = [(rows, shape[0]) for shape in self.head.shapes[::2]] if self.dropout else []
        batch = [(rows, *self.input.shape), (rows, self.head.n_outputs), (rows,)]
        return [*self._state_shapes(), *batch, *self._column_shapes(rows), *widths]

    def gradient(self, rows: int) -> Callable[..., GradientAndLoss]:
        """Return a function of (weights, fixed, standardizer, *batch).

        Its results are the gradient and the loss. `batch_shapes` describes the batch. If rows are
        padded, their lengths follow x.
        """
        return self._once(("gradient", rows), lambda: self._compile_gradient(rows))

    def batch_gradient(self, rows: int) -> BatchGradient:
        """Return the function of `gradient`, but with smaller batches once memory runs out."""
        if self.pads:
            made = BatchGradient(self.gradient, rows, padded)
        elif self.input.is_ragged:  # rows of different lengths cannot be stacked
            made = BatchGradient(self.gradient, rows, lambda x: (np.stack(list(x)),), 1)
        else:
            made = BatchGradient(self.gradient, rows)
        return self._once(("batch", rows), lambda: made)

    def update(self) -> Update:
        """Return a function that takes one step of AdamW with all weights, see `adamw`."""
        return self._once("update", lambda: adamw(count(self.shapes)))

    def with_statistics(self, fixed: np.ndarray, moments: list[np.ndarray]) -> np.ndarray:
        """Return `fixed` with BatchNorm's statistics replaced by (mean, variance) of each layer.

        A layer that is called several times gets the mean over its calls. Keras' moving averages
        tend to the same mean.
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

    def tuned(
        self, arrays: Sequence[np.ndarray], params: np.ndarray, fixed: np.ndarray
    ) -> list[np.ndarray]:
        """Return the backbone's `arrays`, with trained values instead of pretrained ones."""
        learned = dict(zip(map(id, self.trained), split(params, self.shapes), strict=False))
        shapes = [tuple(v.shape) for v in self.fixed]
        learned.update(zip(map(id, self.fixed), split(fixed, shapes), strict=True))
        variables = self.network.variables
        return [learned.get(id(v), a) for v, a in zip(variables, arrays, strict=True)]

    def of_head(self, params: np.ndarray) -> list[np.ndarray]:
        """Return the head's weights."""
        return split(params, self.shapes)[len(self.trained) :]

    def stage_of_weights(self) -> np.ndarray:
        """Return, for each trained weight of the backbone, how many stages follow its stage."""
        stages = self.network.stages
        found: dict[int, tuple[int, int]] = {}
        for index in self.steps:
            above = sum(index <= stage.stop for stage in stages[:-1])
            for variable in self._of(index, "trainable_weights"):
                found.setdefault(id(variable), (above, int(np.prod(variable.shape))))
        pairs = list(found.values())
        return np.repeat([a for a, _ in pairs], [n for _, n in pairs]).astype(np.float32)

    def _of(self, index: int, kind: str) -> list[Variable]:
        return list(getattr(self.graph.steps[index].operation, kind, ()))

    def _once(self, key: Any, compile_it: Callable[[], _Compiled]) -> _Compiled:
        with self.network.lock:
            if key not in self._compiled:
                self._compiled[key] = compile_it()
            found: _Compiled = self._compiled[key]
            return found

    def _compile_forward(self) -> Forward:
        suffix = None if self.head_only else self._compile_suffix()
        return SuffixAndHead(suffix, self._compile_head(), self._n_suffix)

    def _compile_suffix(self) -> RunRows:
        def compute(
            params: KerasTensor, fixed: KerasTensor, x: KerasTensor, *lengths: KerasTensor
        ) -> tuple[KerasTensor]:
            pack = PackedRows.of(x, *lengths) if packs else None
            weights = split(params, self.shapes[: len(self.trained)])
            return (self._features(weights, fixed, x, lengths=pack),)

        trial = self._trial_rows()
        packs = self.input.is_ragged and trial is not None
        tensors = (self.input, LENGTH) if self.input.is_ragged else (self.input,)
        _, fixed, _ = self._state_shapes()
        shapes = [(self._n_suffix,), fixed, *((None, *tensor.shape) for tensor in tensors)]
        dtypes = ["float32", "float32", *(tensor.dtype for tensor in tensors)]
        function = compile_function(compute, shapes, dtypes)
        state = join(self.pretrained()), join(self.network.arrays[id(v)] for v in self.fixed)
        return run_rows(function, (self.input,), most_block_rows(), state, trial)

    def _compile_head(self) -> InvariantBatches:
        def compute(
            params: KerasTensor,
            standardizer: KerasTensor,
            features: KerasTensor,
            *columns: KerasTensor,
        ) -> tuple[KerasTensor]:
            z = (_beside(features, columns) - standardizer[0]) / standardizer[1]
            return (self.head.outputs(split(params, self.head.shapes), z),)

        widths = [self.head.n_features - self.n_columns, *filter(None, [self.n_columns])]
        state = [(count(self.head.shapes),), (2, self.head.n_features)]
        function = compile_function(compute, [*state, *((None, width) for width in widths)])
        rng = np.random.default_rng(0)
        weights = join(rng.normal(0, shape[0] ** -0.5, shape) for shape in self.head.shapes)
        standardizer = np.array([[0.0], [1.0]], np.float32).repeat(self.head.n_features, axis=1)
        features = trial_rows((widths[0],), -1.0, 1.0)
        others = (rng.normal(size=(len(features), n)).astype(np.float32) for n in widths[1:])
        trial = features, *others
        return in_invariant_batches(function, most_block_rows(), (weights, standardizer), trial)

    def _trial_rows(self) -> Rows | None:
        """Return activations for testing whether rows may run together."""
        if self.input.is_ragged:
            return rows_to_pack(self.network, self.freeze_point)
        if self.freeze_point is None:
            return self.network.trial_rows()
        return (trial_rows(self.input.sides, 0.0, 1.0),)

    def _dtypes(self, n_arguments: int, of_rows: int) -> list[str]:
        """Return the dtypes of a compiled function's arguments; the argument at `of_rows` is x."""
        return [self.input.dtype if i == of_rows else "float32" for i in range(n_arguments)]

    def _compile_moments(self, rows: int) -> CompiledFunction:
        def compute(
            params: KerasTensor, fixed: KerasTensor, x: KerasTensor
        ) -> tuple[KerasTensor, ...]:
            moments: Moments = {}
            features = self._features(split(params, self.shapes), fixed, x, moments)
            return (features, *(tensor for index in self.norms for tensor in moments[index]))

        shapes: list[Shape] = [*self._state_shapes()[:2], (rows, *self.input.shape)]
        return compile_function(compute, shapes, self._dtypes(len(shapes), 2))

    def _compile_gradient(self, rows: int) -> Callable[..., GradientAndLoss]:
        def compute(
            params: KerasTensor,
            fixed: KerasTensor,
            standardizer: KerasTensor,
            x: KerasTensor,
            *others: KerasTensor,
        ) -> tuple[KerasTensor, KerasTensor]:
            from keras import ops

            lengths, others = (others[0], others[1:]) if self.pads else (None, others)
            targets, weights, *beside = others
            n_tables = len(self._column_shapes(rows))
            columns, masks = beside[:n_tables], beside[n_tables:]

            def loss_of(parameters: list[KerasTensor]) -> KerasTensor:
                moments: Moments | None = {} if self.by_batch else None
                features = self._features(parameters, fixed, x, moments, lengths)
                outputs = self.head.outputs(
                    parameters[len(self.trained) :],
                    (_beside(features, columns) - standardizer[0]) / standardizer[1],
                    (lambda z, index: z * masks[index // 2]) if masks else None,
                )
                return ops.sum(weights * self.loss.of_tensors(outputs, targets)) / rows

            loss, gradients = value_and_gradients(loss_of, split(params, self.shapes))
            return ops.concatenate([ops.reshape(g, (-1,)) for g in gradients]), loss

        shapes = self.batch_shapes(rows)
        dtypes = self._dtypes(len(shapes), 3)
        if self.pads:
            shapes.insert(4, (rows,))
            dtypes.insert(4, "int32")
        function = compile_function(compute, shapes, dtypes)
        return cast("Callable[..., GradientAndLoss]", function)  # it returns two tensors

    def _features(
        self,
        parameters: list[KerasTensor],
        fixed: KerasTensor,
        x: KerasTensor,
        moments: Moments | None = None,
        lengths: KerasTensor | PackedRows | None = None,
    ) -> KerasTensor:
        """Return pooled features of activations `x`; for `lengths`, see `run_steps`."""
        if self.head_only:
            return x
        values = dict(
            self.network.arrays
        )  # includes variables that are neither trained nor fixed, such as counters
        values.update({id(v): p for v, p in zip(self.trained, parameters, strict=False)})
        shapes = [tuple(v.shape) for v in self.fixed]
        values.update({id(v): p for v, p in zip(self.fixed, split(fixed, shapes), strict=True)})
        x = self.network.preprocess(x) if self.freeze_point is None else x
        place = self.graph, self.freeze_point, [self.end]
        outputs = run_from(*place, x, values, moments=moments, lengths=lengths)
        return pooled(outputs, self.network.pooling, lengths)

    def _column_shapes(self, rows: int | None) -> list[Shape]:
        """Return the shape of the columns, if there are any."""
        return [(rows, self.n_columns)] if self.n_columns else []

    @property
    def _n_suffix(self) -> int:
        """Number of trained weights of the suffix."""
        return count(self.shapes[: len(self.trained)])

    def _state_shapes(self) -> list[tuple[int, ...]]:
        fixed = count([tuple(v.shape) for v in self.fixed])
        return [(count(self.shapes),), (fixed,), (2, self.head.n_features)]


def count(shapes: list[tuple[int, ...]]) -> int:
    """Return the total number of weights of `shapes`."""
    return sum(math.prod(shape) for shape in shapes)


def split(flat: KerasTensor, shapes: list[tuple[int, ...]]) -> list[Any]:
    """Return consecutive views of a flat array or tensor, in `shapes`."""
    parts, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        part = flat[start : start + size]
        parts.append(
            part.reshape(shape) if isinstance(part, np.ndarray) else _reshaped(part, shape)
        )
        start += size
    return parts


def join(arrays: Iterable[ArrayLike]) -> np.ndarray:
    """Return one flat float32 vector of all arrays."""
    flat = [np.asarray(array, np.float32).ravel() for array in arrays]
    return np.concatenate(flat) if flat else np.zeros(0, np.float32)


def _beside(features: KerasTensor, columns: Sequence[KerasTensor]) -> KerasTensor:
    from keras import ops

    return ops.concatenate([features, *columns], axis=1) if columns else features


def _reshaped(tensor: KerasTensor, shape: tuple[int, ...]) -> KerasTensor:
    from keras import ops

    return ops.reshape(tensor, shape)
