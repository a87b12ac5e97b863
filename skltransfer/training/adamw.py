"""Steps of AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).

The gradient is scaled down to a norm of at most 1. On a CPU, NumPy updates the weights in place, a
few tens of thousands at a time, so that they stay in the processor's cache. This takes half as long
as with TensorFlow, and the number of threads does not change the bits. On a GPU, the weights stay
on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skltransfer.backend import as_tensor, compile_function, holds_weights
from skltransfer.inputs._input import chunks

if TYPE_CHECKING:
    from keras import KerasTensor

Update: TypeAlias = Callable[..., tuple[Any, ...]]
"""A function that takes the arguments described in `adamw`, and returns vectors of NumPy or of the
backend."""

_BETA_1, _BETA_2, _EPSILON = np.float32(0.9), np.float32(0.999), np.float32(1e-7)
_LARGEST_NORM = 1.0
_WEIGHTS_TOGETHER = 1 << 15


def adamw(n_weights: int) -> Update:
    """Return a function that takes one step with `n_weights` weights.

    Its arguments are float32 vectors with one value for each weight: the weights, their first and
    second moments, the gradient, learning-rate factors and weight decays; then the learning rate
    and the number of the step, starting at 1. It returns the new weights and moments. The vectors
    passed in must not be used again.
    """
    return _step_on_device(n_weights) if holds_weights() else _step_on_host


def held(array: np.ndarray) -> KerasTensor:
    """Return a vector for use in many steps: on a GPU, a copy that stays there; else the vector."""
    return as_tensor(array) if holds_weights() else array


def _step_on_host(
    params: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    gradient: KerasTensor,
    rates: np.ndarray,
    decays: np.ndarray,
    rate: float,
    number: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gradient = np.asarray(gradient)
    scale, rate, of_first, of_second = _factors(_norm(gradient), rate, number)
    into_first, into_second = (1 - _BETA_1) * scale, (1 - _BETA_2) * scale * scale
    # The bias of the moments is corrected outside the root and the quotient: this saves passes over
    # the weights.
    of_change, epsilon = rate * of_first / np.sqrt(of_second), _EPSILON / np.sqrt(of_second)
    for part in chunks(len(params), _WEIGHTS_TOGETHER):
        change = gradient[part] * into_first
        exp_avg[part] *= _BETA_1
        exp_avg[part] += change
        other = np.square(gradient[part])
        other *= into_second
        exp_avg_sq[part] *= _BETA_2
        exp_avg_sq[part] += other
        np.sqrt(exp_avg_sq[part], out=other)
        other += epsilon
        np.divide(exp_avg[part], other, out=change)
        change *= of_change
        np.multiply(decays[part], params[part], out=other)
        other *= rate
        change += other
        change *= rates[part]
        params[part] -= change
    return params, exp_avg, exp_avg_sq


def _norm(gradient: np.ndarray) -> float:
    """Return the norm of the gradient."""
    squares = (np.square(gradient[part]) for part in chunks(len(gradient), _WEIGHTS_TOGETHER))
    return math.sqrt(math.fsum(float(some.sum()) for some in squares))


def _factors(norm: float, rate: float, number: int) -> np.ndarray:
    """Return the gradient's factor, the rate, and the bias corrections of both moments."""
    scale = _LARGEST_NORM / max(norm, _LARGEST_NORM)
    return np.array(
        [scale, rate, 1 / (1 - float(_BETA_1) ** number), 1 / (1 - float(_BETA_2) ** number)],
        np.float32,
    )


def _step_on_device(n_weights: int) -> Update:
    def compute(
        params: KerasTensor,
        exp_avg: KerasTensor,
        exp_avg_sq: KerasTensor,
        gradient: KerasTensor,
        rates: KerasTensor,
        decays: KerasTensor,
        factors: KerasTensor,
    ) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        from keras import ops

        norm = ops.sqrt(ops.sum(gradient * gradient))
        gradient = gradient * (_LARGEST_NORM / ops.maximum(norm, _LARGEST_NORM))
        exp_avg = _BETA_1 * exp_avg + (1 - _BETA_1) * gradient
        exp_avg_sq = _BETA_2 * exp_avg_sq + (1 - _BETA_2) * gradient * gradient
        change = (
            exp_avg * factors[2] / (ops.sqrt(exp_avg_sq * factors[3]) + _EPSILON) + decays * params
        )
        return params - factors[1] * rates * change, exp_avg, exp_avg_sq

    function = compile_function(compute, [*[(n_weights,)] * 6, (4,)])
    return lambda *arguments: function(*arguments[:6], _factors(0.0, *arguments[6:]))
