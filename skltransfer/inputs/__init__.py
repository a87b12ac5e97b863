"""What comes in: pictures from arrays, files, bytes and PIL images, as float32 RGB."""

from ._errors import ImageReadError
from ._kinds import looks_like_images, refuse_empty
from ._pictures import read_images
from ._rule import DECODING_VERSION, PixelRule, decoder_fingerprint
from ._sources import ImageSource
from .arrays import (
    ValueRange,
    check_pixel_range,
    check_scale,
    decide_pixel_range,
)
from .folders import images_from_folder
from .images import MAX_PIXELS, decode
from .resizing import draft_size, resize

__all__ = [
    "DECODING_VERSION",
    "MAX_PIXELS",
    "ImageReadError",
    "ImageSource",
    "PixelRule",
    "ValueRange",
    "check_pixel_range",
    "check_scale",
    "decide_pixel_range",
    "decode",
    "decoder_fingerprint",
    "draft_size",
    "images_from_folder",
    "looks_like_images",
    "read_images",
    "refuse_empty",
    "resize",
]
