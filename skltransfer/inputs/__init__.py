"""What comes in: pictures from arrays, files, bytes and PIL images, as float32 RGB."""

from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images.arrays import (
    ValueRange,
    check_pixel_range,
    check_scale,
    decide_pixel_range,
)
from skltransfer.inputs.images.decoding import MAX_PIXELS, decode
from skltransfer.inputs.images.folders import images_from_folder
from skltransfer.inputs.images.preprocessing import DECODING_VERSION, PixelRule, decoder_fingerprint
from skltransfer.inputs.images.recognition import looks_like_images, refuse_empty
from skltransfer.inputs.images.resizing import draft_size, resize
from skltransfer.inputs.images.sources import ImageSource
from skltransfer.inputs.images.taking import read_images

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
