"""The one definition of resizing: antialiased bilinear, in float32, unrounded.

The filter is the triangle of Pillow, which ``keras.ops.image.resize`` with
``antialias=True`` shares. Pillow's mode ``F`` sums in double precision, releases the GIL and
uses no threads of its own, so that the bits depend on the image alone. Large pictures are resized
across a few rows at a time, and then down, so that their floats never stand in memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

_PIXELS_TOGETHER = 2**20
"""Pixels of which floats are made together; larger pictures are taken a few rows at a time."""

ReadRows = Callable[[int, int], np.ndarray]
"""From (top, bottom) to these rows of a picture, of shape (bottom - top, w, 3) or (..., 1)."""


class Placement(NamedTuple):
    """Which part of the source fills which part of the target.

    Attributes
    ----------
    box : tuple of four float
        Left, top, right and bottom of the used part, in source pixels.
    offset : tuple of two int
        Top and left of the filled part of the target.
    inner : tuple of two int
        Height and width of the filled part of the target.
    """

    box: tuple[float, float, float, float]
    offset: tuple[int, int]
    inner: tuple[int, int]


def resize(image: np.ndarray, size: tuple[int, int], how: str = "stretch") -> np.ndarray:
    """Resize one picture.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3) or (h, w, 1), dtype uint8 or float32
        Grey is repeated to three channels.
    size : tuple of two int
        Height and width wanted.
    how : {"stretch", "crop", "pad", "within"}, default="stretch"
        ``"stretch"`` ignores the aspect ratio. ``"crop"`` uses the largest central box of the
        wanted aspect ratio, with its exact, fractional edges. ``"pad"`` fits the whole picture
        in the middle and fills the rest with black (0); its height and width are rounded to
        whole pixels, and an odd pixel of padding goes to the bottom or right. ``"within"``, for
        people to look at, reduces a larger picture until it fits, and leaves a smaller one alone.

    Returns
    -------
    ndarray of shape (size[0], size[1], 3), dtype float32
        C-contiguous. A view of `image` where it already is that. With ``"within"`` it may be
        smaller.
    """
    return resize_rows(lambda top, bottom: image[top:bottom], image.shape[:2], size, how)


def resize_rows(
    rows: ReadRows,
    source: tuple[int, int],
    size: tuple[int, int],
    how: str = "stretch",
    bands: Callable[[], Iterable[Image.Image]] | None = None,
) -> np.ndarray:
    """Resize one picture that is read a few rows at a time; the bits are those of `resize`.

    Parameters
    ----------
    rows : callable
        Gives the rows from `top` to before `bottom` as `resize` takes pictures.
    source : tuple of two int
        Height and width of the picture.
    size : tuple of two int
        Height and width wanted.
    how : {"stretch", "crop", "pad", "within"}, default="stretch"
        As in :func:`resize`.
    bands : callable, default=None
        Gives the channels of the whole picture as images of Pillow's mode L, from which a small
        one is resized with fewer copies.

    Returns
    -------
    ndarray of shape (size[0], size[1], 3), dtype float32
        C-contiguous. What `rows` gave where it already is that.
    """
    if how == "within":
        size, how = place(source, size, how).inner, "stretch"
    if tuple(source) == tuple(size):
        return _as_float_rgb(rows(0, source[0]))
    box, (top, left), (height, width) = place(source, size, how)
    is_filled = (height, width) == tuple(size)
    resized = (np.empty if is_filled else np.zeros)((*size, 3), np.float32)
    target = resized[top : top + height, left : left + width]
    images: Iterable[Image.Image]
    if math.prod(source) > _PIXELS_TOGETHER:
        planes = _narrowed(rows, source, _needed_rows(source[0], box, height), box, width)
        images, box = map(Image.fromarray, planes), (0, box[1], width, box[3])
    elif bands is not None:
        images = bands()
    else:
        images = map(Image.fromarray, np.moveaxis(rows(0, source[0]), -1, 0))
    for channel, image in enumerate(images):
        target[..., channel] = _resized(image, (height, width), box)
    if channel == 0:  # grey
        target[..., 1:] = target[..., :1]
    return resized


def place(source: tuple[int, int], size: tuple[int, int], how: str) -> Placement:
    """Say which box of a source of one size goes where in a target of another.

    Parameters
    ----------
    source, size : tuple of two int
        Height and width of the source and of the target.
    how : {"stretch", "crop", "pad"}
        As in :func:`resize`.

    Returns
    -------
    Placement
        The used part of the source and the filled part of the target.

    Raises
    ------
    ValueError
        When `how` is none of the three.
    """
    whole = (0.0, 0.0, float(source[1]), float(source[0]))
    if how == "crop":
        return Placement(_central_box(source, size), (0, 0), tuple(size))
    if how == "pad":
        height, width = inner = _fitted_size(source, size)
        return Placement(whole, ((size[0] - height) // 2, (size[1] - width) // 2), inner)
    if how == "within":
        fits = source[0] <= size[0] and source[1] <= size[1]
        return Placement(whole, (0, 0), tuple(source) if fits else _fitted_size(source, size))
    if how != "stretch":
        raise ValueError(f"resize={how!r} is not one of 'stretch', 'crop' and 'pad'.")
    return Placement(whole, (0, 0), tuple(size))


def draft_size(source: tuple[int, int], size: tuple[int, int], how: str) -> tuple[int, int]:
    """Size to ask of a JPEG decoder, which can decode at 1/2, 1/4 and 1/8.

    Pillow's draft mode takes the smallest of these fractions that is not below this size in
    either direction, so that a file at least twice as large as needed both ways is decoded
    reduced, and no pixel is made up.

    Parameters
    ----------
    source, size : tuple of two int
        Height and width of the file and of the target.
    how : {"stretch", "crop", "pad"}
        As in :func:`resize`.

    Returns
    -------
    tuple of two int
        Height and width.
    """
    return place(source, size, how).inner


def _central_box(source: tuple[int, int], size: tuple[int, int]) -> tuple[float, ...]:
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


def _needed_rows(height: int, box: tuple[float, ...], n_wanted: int) -> range:
    """Rows that count: those of a box and, as far as the filter reaches, its neighbours."""
    _, upper, _, lower = box
    reach = max(1.0, (lower - upper) / n_wanted) + 1
    return range(max(0, math.floor(upper - reach)), min(height, math.ceil(lower + reach)))


def _narrowed(
    rows: ReadRows, source: tuple[int, int], needed: range, box: tuple[float, ...], width: int
) -> np.ndarray:
    """Resize across, a few rows at a time, to an array of shape (channels, h, width).

    Rows that are not needed are there, too, and 0: were they left out, the second step would round
    otherwise.
    """
    narrowed = None
    together = max(1, _PIXELS_TOGETHER // source[1])
    for top in needed[::together]:
        block = rows(top, min(top + together, needed.stop))
        if narrowed is None:
            narrowed = np.zeros((block.shape[2], source[0], width), np.float32)
        size, across = (len(block), width), (box[0], 0, box[2], len(block))
        for channel, lines in enumerate(narrowed):  # one at a time, for the sake of memory
            image = Image.fromarray(block[..., channel])
            lines[top : top + len(block)] = _resized(image, size, across)
    return narrowed


def _resized(
    band: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    """Resize one channel in Pillow's mode F."""
    band = band if band.mode == "F" else band.convert("F")
    return np.asarray(band.resize(size[::-1], Image.Resampling.BILINEAR, box))


def _as_float_rgb(image: np.ndarray) -> np.ndarray:
    """Return float32 with three channels, unchanged where nothing is to be done."""
    rgb = image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(rgb, np.float32)
