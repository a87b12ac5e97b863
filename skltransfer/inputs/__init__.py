"""What comes in: pictures from arrays, files, bytes and PIL images, as float32 RGB."""

from skltransfer.inputs._errors import ImageReadError
from skltransfer.inputs._kinds import looks_like_images, refuse_empty
from skltransfer.inputs._pictures import read_images
from skltransfer.inputs._rule import DECODING_VERSION, PixelRule, decoder_fingerprint
from skltransfer.inputs._sources import ImageSource
from skltransfer.inputs.arrays import (
    ValueRange,
    check_pixel_range,
    check_scale,
    decide_pixel_range,
)
from skltransfer.inputs.folders import images_from_folder
from skltransfer.inputs.images import MAX_PIXELS, decode
from skltransfer.inputs.resizing import draft_size, resize

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
