"""The only definition of resizing: antialiased bilinear, in float32, unrounded.

The filter is Pillow's triangle; ``keras.ops.image.resize`` with ``antialias=True`` uses the same
filter. In each direction, resizing is a product with a sparse matrix. SciPy computes such a product
in a fixed order and in the calling thread, so the bits depend only on the image. Large images are
resized horizontally a few rows at a time, so that a whole image is never in memory as floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import csr_array

_PIXELS_TOGETHER = 2**18
"""Number of pixels converted to floats together; larger images take a few rows at a time."""

ReadRows = Callable[[int, int], np.ndarray]
"""A function that takes `top` and `bottom` and returns the rows of an image from `top` to before
`bottom`, as an array of shape (bottom - top, w, 3) or (bottom - top, w, 1)."""


Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


class Placement(NamedTuple):
    """The part of the source that fills a part of the target.

    Attributes
    ----------
    box : tuple of four float
        Left, top, right and bottom of the used part, in source pixels.
    offset : tuple of two int
        Top and left of the filled part of the target.
    inner : tuple of two int
        Height and width of the filled part of the target.
    """

    box: Box
    offset: tuple[int, int]
    inner: tuple[int, int]


def resize(image: np.ndarray, size: tuple[int, int], how: str = "stretch") -> np.ndarray:
    """Resize one image.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3) or (h, w, 1), dtype uint8 or float32
        Grey is repeated to three channels.
    size : tuple of two int
        Target height and width.
    how : {"stretch", "crop", "pad", "within"}, default="stretch"
        ``"stretch"`` ignores the aspect ratio. ``"crop"`` uses the largest central box of the
        target's aspect ratio, with exact, fractional edges. ``"pad"`` fits the whole image in the
        middle and fills the rest with black (0); the height and width of the fitted image are
        rounded to whole pixels, and an odd pixel of padding goes to the bottom or right.
        ``"within"``, for display, reduces a larger image until it fits, and leaves a smaller one
        unchanged.

    Returns
    -------
    ndarray of shape (size[0], size[1], 3), dtype float32
        C-contiguous. If `image` already has this form, the result is a view of it. With
        ``"within"``, the result may be smaller than `size`.
    """
    return resize_rows(lambda top, bottom: image[top:bottom], image.shape[:2], size, how)


def resize_rows(
    rows: ReadRows,
    source: tuple[int, int],
    size: tuple[int, int],
    how: str = "stretch",
) -> np.ndarray:
    """Resize one image that is read a few rows at a time; the bits are those of `resize`.

    Parameters
    ----------
    rows : callable
        Returns the rows from `top` to before `bottom`, in the form that `resize` takes.
    source : tuple of two int
        Height and width of the image.
    size : tuple of two int
        Target height and width.
    how : {"stretch", "crop", "pad", "within"}, default="stretch"
        As in :func:`resize`.

    Returns
    -------
    ndarray of shape (size[0], size[1], 3), dtype float32
        C-contiguous. If the result of `rows` already has this form, it is returned.
    """
    if how == "within":
        size, how = place(source, size, how).inner, "stretch"
    if tuple(source) == tuple(size):
        return _as_float_rgb(rows(0, source[0]))
    (left, upper, right, lower), (top, before), (height, width) = place(source, size, how)
    down = _triangles(source[0], height, upper, lower, 1)
    narrowed = _narrowed(rows, source[1], down.needed, (width, left, right))
    filled: np.ndarray = (down.weights @ narrowed).reshape(height, width, -1)
    if filled.shape == (*size, 3):
        return filled
    resized = np.zeros((*size, 3), np.float32)
    resized[top : top + height, before : before + width] = filled  # grey is repeated
    return resized


def place(source: tuple[int, int], size: tuple[int, int], how: str) -> Placement:
    """Return which box of the source goes where in the target.

    Parameters
    ----------
    source, size : tuple of two int
        Height and width of the source and of the target.
    how : {"stretch", "crop", "pad", "within"}
        As in :func:`resize`.

    Returns
    -------
    Placement
        The used part of the source and the filled part of the target.

    Raises
    ------
    ValueError
        If `how` is none of the four.
    """
    height, width = size
    whole = (0.0, 0.0, float(source[1]), float(source[0]))
    if how == "crop":
        return Placement(_central_box(source, size), (0, 0), (height, width))
    if how == "pad":
        inner = _fitted_size(source, size)
        return Placement(whole, ((height - inner[0]) // 2, (width - inner[1]) // 2), inner)
    if how == "within":
        fits = source[0] <= height and source[1] <= width
        inner = (source[0], source[1]) if fits else _fitted_size(source, size)
        return Placement(whole, (0, 0), inner)
    if how != "stretch":
        raise ValueError(f"resize={how!r} is not one of 'stretch', 'crop' and 'pad'.")
    return Placement(whole, (0, 0), (height, width))


def draft_size(source: tuple[int, int], size: tuple[int, int], how: str) -> tuple[int, int]:
    """Return the size to request from a JPEG decoder, which can decode at 1/2, 1/4 and 1/8.

    Pillow's draft mode decodes at the smallest of these fractions at which neither height nor width
    is below this size. A file at least twice as large as needed in both directions is therefore
    decoded at a reduced size, and never has to be enlarged.

    Parameters
    ----------
    source, size : tuple of two int
        Height and width of the file and of the target.
    how : {"stretch", "crop", "pad", "within"}
        As in :func:`resize`.

    Returns
    -------
    tuple of two int
        Height and width.
    """
    return place(source, size, how).inner


def _central_box(source: tuple[int, int], size: tuple[int, int]) -> Box:
    """Return the largest central box of the source with the aspect ratio of the target."""
    (source_height, source_width), (height, width) = source, size
    if source_height * width <= source_width * height:
        kept = source_height * width / height
        return ((source_width - kept) / 2, 0.0, (source_width + kept) / 2, float(source_height))
    kept = source_width * height / width
    return (0.0, (source_height - kept) / 2, float(source_width), (source_height + kept) / 2)


def _fitted_size(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size within the target that keeps the aspect ratio of the source."""
    (source_height, source_width), (height, width) = source, size
    if source_height * width <= source_width * height:
        return max(1, round(source_height * width / source_width)), width
    return height, max(1, round(source_width * height / source_height))


class _Triangles(NamedTuple):
    """One step of resizing.

    Attributes
    ----------
    weights : csr_array of shape (n_wanted, len(needed)), dtype float32
        With channels, both dimensions are multiplied by the number of channels.
    needed : range
        The source rows or columns that have weights.
    """

    weights: csr_array
    needed: range


@lru_cache(maxsize=64)
def _triangles(
    n_source: int, n_wanted: int, start: float, stop: float, n_channels: int
) -> _Triangles:
    """Return one triangle filter for each of the target samples between `start` and `stop`.

    Each falls to 0 at the centre of the next sample or, when enlarging, one source pixel away.
    """
    step = (stop - start) / n_wanted
    reach = max(1.0, step)
    centres = start + (np.arange(n_wanted)[:, np.newaxis] + 0.5) * step
    places = np.floor(centres - reach + 0.5) + np.arange(math.ceil(2 * reach) + 1)
    weights = np.maximum(0, 1 - np.abs(places + 0.5 - centres) / reach)
    weights[(places < 0) | (places >= n_source)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights > 0
    needed = range(max(0, int(places[0, 0])), min(n_source, int(places[-1, -1]) + 1))

    weights, used = (np.repeat(array, n_channels, axis=0) for array in (weights, used))
    columns = n_channels * np.repeat(places - needed.start, n_channels, axis=0)
    columns += np.tile(np.arange(n_channels), n_wanted)[:, np.newaxis]
    ends = np.cumsum(used.sum(axis=1))
    content = weights[used].astype(np.float32), columns[used].astype(np.int32), np.r_[0, ends]
    return _Triangles(csr_array(content, (len(used), n_channels * len(needed))), needed)


def _narrowed(
    rows: ReadRows, width: int, needed: range, across: tuple[int, float, float]
) -> np.ndarray:
    """Resize the needed rows horizontally, a few at a time, to (h, target width * channels)."""
    together = max(1, _PIXELS_TOGETHER // width)
    blocks = []
    for top in needed[::together]:
        block = rows(top, min(top + together, needed.stop))
        columns = _triangles(width, *across, block.shape[2])
        block = block[:, columns.needed.start : columns.needed.stop].reshape(len(block), -1)
        blocks.append(block @ columns.weights.T)
    return np.concatenate(blocks) if len(blocks) > 1 else blocks[0]


def _as_float_rgb(image: np.ndarray) -> np.ndarray:
    """Return an image as float32 with three channels; unchanged if it has this form already."""
    rgb = image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(rgb, np.float32)
