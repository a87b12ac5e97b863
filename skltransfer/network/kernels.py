"""Operations computed in another way than in Keras, so that all rows of a batch round alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from skltransfer.backend import add_bias
from skltransfer.inputs._input import chunks

if TYPE_CHECKING:
    from keras import KerasTensor, Layer


_MOST_INPUTS = 512
"""Maximum number of inputs of a matrix product. If there are more, oneDNN sums their products in
parts. On some processors, these parts depend on the number of positions; with more than 1,024
inputs, they depend on the number of threads.
"""


def layer_normalised(
    x: KerasTensor, gamma: KerasTensor | None, beta: KerasTensor | None, epsilon: float
) -> KerasTensor:
    """Normalise each position over its channels, the last axis; `gamma` and `beta` may be None.

    Keras uses TensorFlow's reciprocal square root, whose rounding depends on a number's position in
    memory. A square root and a division, as used here, are rounded correctly. The maximum between
    them changes no value; it keeps TensorFlow's optimizer from combining the two.
    """
    from keras import ops

    x = ops.cast(x, "float32")
    mean, variance = ops.moments(x, axes=-1, keepdims=True)
    x = (x - mean) / ops.maximum(ops.sqrt(variance + epsilon), 0.0)
    x = x if gamma is None else x * ops.cast(gamma, "float32")
    return x if beta is None else add_bias(x, ops.cast(beta, "float32"))


def dense(layer: Layer, x: KerasTensor) -> KerasTensor:
    """Call a dense layer on a single row (1, length, width)."""
    y = _product(x, layer.kernel, layer.bias if layer.use_bias else None)
    is_gelu = getattr(layer.activation, "__name__", None) == "gelu"
    return _as_row(_gelu(y) if is_gelu else layer.activation(y))


def attended(
    layer: Layer,
    query: KerasTensor,
    value: KerasTensor,
    key: KerasTensor | None = None,
    *,
    is_read: KerasTensor,
) -> KerasTensor:
    """Call an attention layer on a single row (1, length, width).

    `is_read` says which query reads which key. A result does not depend on where the keys that it
    reads are placed among the others. With Keras' softmax it would, because softmax first sums the
    numbers that have the same place in vector registers. A matrix product adds key after key, so a
    matrix product computes the sum of the weights here, as its last column.
    """
    from keras import ops

    q, v = _by_head(query, layer._query_dense), _by_head(value, layer._value_dense)
    k = _by_head(value if key is None else key, layer._key_dense)
    scores = ops.matmul(q * (q.shape[-1] ** -0.5), ops.transpose(k, (0, 2, 1)))
    scores = ops.where(is_read, scores, -float("inf"))
    weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
    sums = ops.matmul(weights, ops.concatenate([v, ops.ones_like(v[..., :1])], axis=-1))
    heads = ops.unstack(sums[..., :-1] / sums[..., -1:], layer.num_heads)
    output = layer._output_dense
    return _as_row(_product(ops.concatenate(heads, axis=-1), output.kernel, output.bias))


def _by_head(x: KerasTensor, part: Layer) -> KerasTensor:
    """Return queries, keys or values as (heads, length, width), without a slow transposition.

    `part` is the dense layer of attention that computes them from `x`.
    """
    from keras import ops

    return ops.stack(ops.split(_product(x, part.kernel, part.bias), part.kernel.shape[1], axis=-1))


def _product(x: KerasTensor, kernel: KerasTensor, bias: KerasTensor | None) -> KerasTensor:
    """Multiply the positions of `x` by a kernel whose axes are flattened to two, and add a bias."""
    from keras import ops

    width = x.shape[-1]
    n_outputs = math.prod(kernel.shape) // width
    x, kernel = ops.reshape(x, (-1, width)), ops.reshape(kernel, (width, n_outputs))
    parts = chunks(width, _MOST_INPUTS)
    y, *others = [ops.matmul(x[:, part], kernel[part]) for part in parts]
    y = y if bias is None else add_bias(y, ops.reshape(bias, (n_outputs,)))
    return sum(others, start=y)


def _as_row(x: KerasTensor) -> KerasTensor:
    from keras import ops

    return ops.reshape(x, (1, -1, x.shape[-1]))


def _gelu(x: KerasTensor) -> KerasTensor:
    """Compute the exact GELU in the form that TensorFlow's optimizer fuses with a product."""
    from keras import ops

    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))
