"""Resizing as two matrix products, which every format of exported models supports.

``keras.ops.image.resize`` with ``antialias=True`` becomes a TensorFlow operation that ONNX Runtime
and LiteRT lack. Its filter is linear and separable, so an image x becomes A x Bᵀ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs._input import Size

_SMALLEST_SUM = 1e-9


class Span(NamedTuple):
    """The part of the source that is used in one direction, and where it goes; numbers or tensors.

    Attributes
    ----------
    start, stop : float
        The used part of the source, in pixels.
    offset, inner : float
        Beginning and length of the filled part of the target, in pixels.
    """

    start: Any
    stop: Any
    offset: Any
    inner: Any


def resized_by_products(images: KerasTensor, size: Size, how: str) -> KerasTensor:
    """Resize images as `skltransfer.inputs.images.resizing.resize` does.

    Parameters
    ----------
    images : tensor of shape (n, h, w, 3)
        All of one size, which may be unknown.
    size : tuple of two int
        Height and width of the result.
    how : {"stretch", "crop", "pad"}
        As in the parameter `resize` of the estimators.

    Returns
    -------
    tensor of shape (n, size[0], size[1], 3)
    """
    from keras import ops

    height, width = ops.shape(images)[1:3]
    down = _weights(height, size[0], _span(height, width, size, how))
    across = _weights(width, size[1], _span(width, height, size[::-1], how))
    rows = ops.matmul(down, ops.reshape(images, (-1, height, width * 3)))
    return ops.matmul(across, ops.reshape(rows, (-1, size[0], width, 3)))


def _span(n_source: Any, n_across: Any, size: Size, how: str) -> Span:
    """Return the span in one direction; `n_across` is the source's size in the other."""
    from keras import ops

    n_wanted, n_wanted_across = size
    n = ops.cast(n_source, "float64")
    fitting = n * n_wanted_across / ops.cast(n_across, "float64")
    if how == "crop":
        kept = ops.minimum(n, ops.cast(n_across, "float64") * n_wanted / n_wanted_across)
        return Span((n - kept) / 2, (n + kept) / 2, 0.0, float(n_wanted))
    if how == "pad":
        inner = ops.minimum(float(n_wanted), ops.maximum(1.0, ops.round(fitting)))
        return Span(0.0, n, ops.floor((n_wanted - inner) / 2), inner)
    return Span(0.0, n, 0.0, float(n_wanted))


def _weights(n_source: Any, n_wanted: int, span: Span) -> KerasTensor:
    """Return the matrix (n_wanted, n_source) with a triangle filter for each target pixel."""
    from keras import ops

    step = (span.stop - span.start) / span.inner
    reach = ops.maximum(step, 1.0)
    places = ops.arange(n_wanted, dtype="float64") - span.offset
    centres = ops.reshape(span.start + (places + 0.5) * step, (-1, 1))
    pixels = ops.cast(ops.reshape(ops.arange(n_source), (1, -1)), "float64") + 0.5
    triangles = ops.maximum(0.0, 1 - ops.abs(pixels - centres) / reach)
    sums = ops.maximum(ops.sum(triangles, axis=1, keepdims=True), _SMALLEST_SUM)
    filled = ops.logical_and(places >= 0, places < span.inner)
    filled = ops.cast(ops.reshape(filled, (-1, 1)), "float64")
    return ops.cast(filled * triangles / sums, "float32")
