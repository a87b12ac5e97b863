"""Views of a picture: flips, turns, crops and colours, drawn by content and never by position."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from skltransfer.inputs.digests import digest_array
from skltransfer.inputs.images.preprocessing import PixelRule
from skltransfer.inputs.images.resizing import resize

# Crops keep at least this share of the area; colours are scaled by at most this much.
_SMALLEST_CROP = 0.6
_LARGEST_STRETCH = 4 / 3
_COLOUR = 0.2

View = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


class ViewedSource:
    """The pictures of another source, seen differently.

    Parameters
    ----------
    source : ImageSource
        The pictures.
    view : callable
        From (pixels, number, random generator) to pixels; number 0 changes nothing.
    name : str
        Description of `view`, for the content's digest.
    number : int or None
        Which view; None: a random one.
    seed : tuple of int
        With the content and `number` it decides what is drawn.
    """

    def __init__(self, source, view: View, name: str, number: int | None, seed: tuple[int, ...]):
        self.source = source
        self.view = view
        self.name = name
        self.number = number
        self.seed = seed
        self._stored: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.source)

    def is_at_hand(self, rule: PixelRule) -> bool:
        """Never: views are computed."""
        return False

    def load_block(self, indices, rule: PixelRule, out: np.ndarray) -> None:
        """Read pictures `indices` and write their views into `out`."""
        self.source.load_block(indices, rule, out)
        for position in range(len(indices)):
            # By the pixels, which are the same however the picture is stored.
            drawn = np.random.default_rng(list(self._described(digest_array(out[position]))))
            number = int(drawn.integers(2**16)) if self.number is None else self.number
            out[position] = self.view(out[position].copy(), number, drawn)

    def digest(self, index: int) -> bytes:
        """What is stored of the picture, and what the view depends on beside it.

        View 0 is the picture itself.
        """
        stored = self._stored[index] = self.source.digest(index)
        return stored if self.number == 0 else self._described(stored)

    def still_has(self, index: int, digest: bytes) -> bool:
        """Whether the picture is as it was when the digest of its view was taken."""
        return self.source.still_has(index, self._stored[index])

    def _described(self, content: bytes) -> bytes:
        described = f"{self.name} {self.number} {self.seed}".encode()
        return hashlib.sha256(content + described).digest()


def flip(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Mirror every second view left to right."""
    return pixels[:, ::-1] if number % 2 else pixels


def flips_and_turns(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """The eight symmetries of a square, in turn; of other pictures the four of a rectangle."""
    turned = pixels[:, ::-1] if number % 2 else pixels
    half, quarter = number // 2 % 2, number // 4 % 2
    turned = turned[::-1, ::-1] if half else turned
    square = pixels.shape[0] == pixels.shape[1]
    return turned.transpose(1, 0, 2) if quarter and square else turned


def crop_flip_colour(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop at the same size, flipped and recoloured; view 0 is the picture itself."""
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


def _recoloured(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    brightness, contrast, saturation = 1 + rng.uniform(-_COLOUR, _COLOUR, size=3)
    pixels = pixels * np.float32(brightness)
    grey = pixels.mean(axis=-1, keepdims=True)
    middle = pixels.mean(dtype=np.float32)
    pixels = grey + np.float32(saturation) * (pixels - grey)
    return np.clip(middle + np.float32(contrast) * (pixels - middle), 0, 255).astype(np.float32)


VIEWS: dict[str, tuple[View, Callable[[tuple[int, int]], int | None]]] = {
    "flip": (flip, lambda size: 2),
    "flips+turns": (flips_and_turns, lambda size: 8 if size[0] == size[1] else 4),
    "standard": (crop_flip_colour, lambda size: None),
}
"""By the names of ``augment``: views, and how many pictures of (height, width) have; None: any."""
