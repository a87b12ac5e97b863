"""Limits on the pixels decoded from one file."""

from __future__ import annotations

from PIL import Image

MAX_PIXELS = 2**26
"""Maximum number of pixels decoded from one file: 67 million. Cameras that produce more write
JPEGs, which are decoded at a reduced size. Reading this many pixels takes 0.35 GB temporarily, and
1.1 GB for WebP.
"""

MAX_SIDE = 65_535
"""Longest side that is read; this is JPEG's own limit. Longer sides are refused because Pillow's
time grows with the square of the length of a line."""

_MAX_REDUCED_FROM = 4 * MAX_PIXELS
"""Maximum number of pixels in the header of a JPEG that is decoded at a reduced size. There is a
limit because all its Huffman codes are decoded even then."""


def refusal(image: Image.Image, header_size: tuple[int, int]) -> str | None:
    """Return why an opened image would take too much memory or time; None if it would not.

    Parameters
    ----------
    image : PIL.Image.Image
        Not loaded yet; its size is that of the decoded image.
    header_size : tuple of two int
        Width and height that the header announces.
    """
    # Progressive files keep all coefficients, whatever size they are decoded to.
    decoded = header_size if "progressive" in image.info else image.size
    return refusal_of_size(header_size, decoded)


def refusal_of_size(
    header_size: tuple[int, int], decoded: tuple[int, int] | None = None
) -> str | None:
    """Return why an image of this size is refused; None if it is not.

    Parameters
    ----------
    header_size : tuple of two int
        Width and height that the header announces.
    decoded : tuple of two int, default=None
        The size at which the image will be decoded. None means the same size.
    """
    fits = _pixels(decoded or header_size) <= MAX_PIXELS
    if fits and _pixels(header_size) <= _MAX_REDUCED_FROM and max(header_size) <= MAX_SIDE:
        return None
    return too_large("{:,}x{:,}".format(*header_size))


def too_large(announced: str) -> str:
    """Say that a file announces too many pixels, and what to do."""
    return (
        f"its header announces {announced} pixels, but at most {MAX_PIXELS:,} are decoded, and at "
        f"most {MAX_SIDE:,} in width or height. Make it smaller, or cut it into tiles."
    )


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
