"""How many pixels are decoded of one file."""

from __future__ import annotations

from PIL import Image

MAX_PIXELS = 2**26
"""Most pixels decoded of one file: 67 million, more than cameras take but for JPEGs, which are
decoded reduced. Reading so many takes 0.35 GB for a moment, and of WebP 1.1."""

MAX_SIDE = 65_535
"""Longest side of a file, as in JPEG: Pillow's time grows with the square of a line's length."""

_MAX_REDUCED_FROM = 4 * MAX_PIXELS
"""Most pixels of a JPEG that is decoded reduced: its Huffman codes are all read."""


def refusal(image: Image.Image, header_size: tuple[int, int]) -> str | None:
    """Why an opened image is larger than is good for memory and time; None: it is not.

    Parameters
    ----------
    image : PIL.Image.Image
        Not loaded yet; its size is the one it will be decoded at.
    header_size : tuple of two int
        Width and height that the header announces.
    """
    # Progressive files keep all coefficients, whatever the size they are decoded at.
    decoded = header_size if "progressive" in image.info else image.size
    fits = _pixels(decoded) <= MAX_PIXELS and _pixels(header_size) <= _MAX_REDUCED_FROM
    if fits and max(header_size) <= MAX_SIDE:
        return None
    return too_large("{:,}x{:,}".format(*header_size))


def too_large(announced: str) -> str:
    """Say that a file announces too many pixels, and the way out."""
    return (
        f"its header announces {announced} pixels, and at most {MAX_PIXELS:,} are decoded, "
        f"{MAX_SIDE:,} on a side. Make it smaller, or cut it into tiles."
    )


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
