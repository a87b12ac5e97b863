"""Views of an image: flips, turns, crops and colours.

Random views are seeded by the content of the image, never by its position in X.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs._input import Array, Size, ViewFamily
from skltransfer.inputs.images.resizing import resize

# Crops keep at least this share of the area, and change the aspect ratio by at most this factor;
# colours are scaled by at most this share.
_SMALLEST_CROP = 0.6
_LARGEST_STRETCH = 4 / 3
_COLOUR = 0.2


def flip(pixels: Array, number: int, rng: np.random.Generator) -> Array:
    """Mirror every second view left to right."""
    return pixels[:, ::-1] if number % 2 else pixels


def dihedral(pixels: Array, number: int, rng: np.random.Generator) -> Array:
    """Apply the eight symmetries of a square in turn; for other images, the four of a rectangle."""
    turned = pixels[:, ::-1] if number % 2 else pixels
    half, quarter = number // 2 % 2, number // 4 % 2
    turned = turned[::-1, ::-1] if half else turned
    square = pixels.shape[0] == pixels.shape[1]
    return turned.transpose(1, 0, 2) if quarter and square else turned


def crop_flip_colour(pixels: Array, number: int, rng: np.random.Generator) -> Array:
    """Crop at random, keep the size, flip and recolour; view 0 is the image itself."""
    if number == 0:
        return pixels
    height, width = pixels.shape[:2]
    area = rng.uniform(_SMALLEST_CROP, 1.0)
    ratio = np.exp(rng.uniform(-1, 1) * np.log(_LARGEST_STRETCH))
    h = min(height, max(1, round(height * np.sqrt(area / ratio))))
    w = min(width, max(1, round(width * np.sqrt(area * ratio))))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    cropped = resize(np.ascontiguousarray(pixels[top : top + h, left : left + w]), (height, width))
    if rng.random() < 0.5:
        cropped = cropped[:, ::-1]
    return _recoloured(cropped, rng)


def _recoloured(pixels: NDArray[np.floating], rng: np.random.Generator) -> Array:
    brightness, contrast, saturation = 1 + rng.uniform(-_COLOUR, _COLOUR, size=3)
    pixels = pixels * np.float32(brightness)
    grey = pixels.mean(axis=-1, keepdims=True)
    middle = pixels.mean(dtype=np.float32)
    pixels = grey + np.float32(saturation) * (pixels - grey)
    recoloured: np.ndarray = np.clip(middle + np.float32(contrast) * (pixels - middle), 0, 255)
    return recoloured.astype(np.float32)


def _n_symmetries(size: Size) -> int:
    return 8 if size[0] == size[1] else 4


VIEWS: dict[str, ViewFamily] = {
    "flip": ViewFamily("flip", flip, lambda size: 2),
    # The name is part of the seed of random draws, so these views keep their first name.
    "dihedral": ViewFamily("flips+turns", dihedral, _n_symmetries),
    "standard": ViewFamily("standard", crop_flip_colour, lambda size: None),
}
"""Keyed by the names that ``augment`` takes."""
