"""How pixels are read: the settings that decoded images depend on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import __version__ as pillow_version
from PIL import features
from scipy import __version__ as scipy_version

from skltransfer._fields import ImageSize, ValueRange
from skltransfer._types import Resize

DECODING_VERSION: int = 5
"""Part of every cache key. Increase it whenever the same input would give other pixels."""

_FRACTIONS = (0.0, 1.0)


@dataclass(frozen=True)
class ImagePreprocessing:
    """How any source becomes the pixels that a backbone sees.

    Parameters
    ----------
    size : tuple of two int
        Height and width of the result.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle another aspect ratio, see `skltransfer.inputs.images.resizing.resize`.
    pixel_range : tuple of two float or None, default=None
        The values that mean black and white in numeric arrays. None stands for 0 and 255.
    is_explicit : bool, default=False
        Whether the user gave `pixel_range`. If so, it also applies to files, encoded bytes and PIL
        images of more than 8 bits; otherwise these have ranges of their own.
    """

    size: ImageSize
    resize: Resize | Literal["within"] = "stretch"
    pixel_range: ValueRange | None = None
    is_explicit: bool = False

    @property
    def clips(self) -> bool:
        """Whether floats are clipped to the range: if it is 0 to 1, and not the user's choice."""
        return not self.is_explicit and self.pixel_range == _FRACTIONS


@lru_cache(maxsize=1)
def decoder_fingerprint() -> str:
    """Return the libraries that determine the bits of a decoded file.

    Returns
    -------
    str
        The names and versions of these libraries. They differ between environments in which decoded
        files may differ, so that such environments can share a cache. zlib is left out: all its
        versions give the same bytes, and which one is loaded may depend on what a process imported
        first.
    """
    decoding = {"jpg", "libjpeg_turbo", "libtiff", "webp", "avif", "jpg_2000"}
    present = sorted(decoding.intersection(features.get_supported()))
    codecs = [f"{codec} {features.version(codec)}" for codec in present]
    libraries = [f"pillow {pillow_version}", f"scipy {scipy_version}"]
    return "; ".join([*libraries, *codecs])
