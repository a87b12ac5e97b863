"""Training and running a head alone, with NumPy.

A batch of pooled features needs so little arithmetic that passing the batch to TensorFlow would
take longer. Moreover, NumPy does not compile anything for a new shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.backend.blas import one_thread
from skltransfer.training.train_step import TrainStep, split

if TYPE_CHECKING:
    from skltransfer.inputs._input import Rows
    from skltransfer.training.batch_gradient import GradientAndLoss
    from skltransfer.training.forward import Forward
    from skltransfer.training.head import Head

Layers = list[tuple[np.ndarray, np.ndarray]]
Masks = Sequence[np.ndarray]


class HeadTrainStep(TrainStep):
    """The train step for a fully frozen backbone, whose rows are pooled features."""

    def held(self, array: np.ndarray) -> np.ndarray:
        """Return the array unchanged."""
        return np.asarray(array)

    @staticmethod
    def serves(head: Head) -> bool:
        """Return whether this class implements the gradient of the head's activation."""
        return not head.units or head.activation == "relu"

    def _compile_forward(self) -> Forward:
        return self._forward

    def _compile_gradient(self, rows: int) -> Callable[..., GradientAndLoss]:
        return self._gradient

    def _forward(self, rows: Rows, state: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs and features, computed row by row, so that they depend on no other row."""
        (x, *columns), (params, _, standardizer) = rows, state
        layers = self._layers(params)
        z = (_beside(x, columns) - standardizer[0]) / standardizer[1]
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            for kernel, bias in layers[:-1]:
                z = np.maximum(_row_by_row(z, kernel) + bias, 0)
            kernel, bias = layers[-1]
            return _row_by_row(z, kernel) + bias, x

    def _gradient(
        self,
        params: np.ndarray,
        fixed: np.ndarray,
        standardizer: np.ndarray,
        x: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        *others: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """Return the gradient with respect to all weights, and the loss."""
        n_tables = bool(self.n_columns)
        x, masks = _beside(x, others[:n_tables]), others[n_tables:]
        layers, gradient = self._layers(params), np.empty_like(params)
        with one_thread():
            inputs, outputs = _run(layers, (x - standardizer[0]) / standardizer[1], masks)
            shares = (weights / len(x)).astype(np.float32, copy=False)[:, np.newaxis]
            loss, slope = self.loss.of_arrays(outputs, targets, shares)
            _run_back(layers, inputs, masks, slope, self._layers(gradient))
        return gradient, loss

    def _layers(self, flat: np.ndarray) -> Layers:
        """Return kernel and bias of each layer, as views of a flat vector."""
        parts = split(flat, self.shapes)
        return list(zip(parts[::2], parts[1::2], strict=True))


def _beside(x: np.ndarray, columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([x, *columns], axis=1) if columns else x


def _row_by_row(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Multiply each row by the kernel as if it were alone."""
    product: np.ndarray = np.matmul(x[:, np.newaxis], kernel)
    return product[:, 0]


def _run(layers: Layers, x: np.ndarray, masks: Masks) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the inputs of all layers, after dropout, and the outputs."""
    inputs, z = [], x
    for number, (kernel, bias) in enumerate(layers):
        x = np.maximum(z, 0) if number else z
        inputs.append(x * masks[number] if masks else x)
        z = inputs[-1] @ kernel + bias
    return inputs, z


def _run_back(
    layers: Layers, inputs: list[np.ndarray], masks: Masks, slope: np.ndarray, gradient: Layers
) -> None:
    """Fill in the gradient of each layer, beginning with the last.

    `slope` is the gradient of the loss with respect to the outputs.
    """
    for number in reversed(range(len(layers))):
        by_kernel, by_bias = gradient[number]
        np.matmul(inputs[number].T, slope, out=by_kernel)
        np.sum(slope, axis=0, out=by_bias)
        if number:
            slope = (slope @ layers[number][0].T) * (inputs[number] > 0)
            slope = slope * masks[number] if masks else slope
