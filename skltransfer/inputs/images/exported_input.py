"""Images as the input of an exported model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skltransfer.inputs._input import Size
from skltransfer.inputs.exported_input import ExportedInput
from skltransfer.inputs.images.keras_resizing import resized_by_products
from skltransfer.inputs.images.preprocessing import ImagePreprocessing

if TYPE_CHECKING:
    from keras import KerasTensor

_TRIAL_SIZES = ((96, 128), (300, 170))
_BLOCK = 8


def image_export(
    rule: ImagePreprocessing, pixel_range: tuple[float, float], image_size: Size | None
) -> ExportedInput:
    """Return the input for images of any size, or of `image_size` if it is given."""
    low, high = pixel_range
    factor = 255.0 / (high - low)

    def rows(pixels: KerasTensor) -> KerasTensor:
        from keras import ops

        scaled = (pixels - low) * factor
        scaled = ops.clip(scaled, 0.0, 255.0) if rule.clips else scaled
        return resized_by_products(scaled, rule.size, rule.resize)

    sizes = _TRIAL_SIZES if image_size is None else (image_size,)
    images = [_image(size, pixel_range) for size in sizes]
    return ExportedInput(
        name="pixels",
        shape=(None, *(image_size or (None, None)), 3),
        dtype="float32",
        rows=rows,
        trials=[(image, image) for image in images],
        described={
            "size": list(rule.size),
            "resize": rule.resize,
            "pixel_range": list(pixel_range),
        },
    )


def _image(size: Size, pixel_range: tuple[float, float]) -> np.ndarray:
    """Return two images of noise in blocks, which keep their contrast when they are resized."""
    rng = np.random.default_rng(0)
    coarse = rng.random((2, *(-(-side // _BLOCK) for side in size), 3))
    noise = coarse.repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)[:, : size[0], : size[1]]
    low, high = pixel_range
    return np.ascontiguousarray(low + (high - low) * noise, np.float32)
