"""Numeric arrays: which shapes are images, and which values are black and white.

The scale is decided once, in fit, and stored:

- bool is 0-1, uint16 is 0-65535, every other integer is 0-255;
- floats are 0-1 when the largest value seen in fit is at most 1.1 (resampling overshoots a little;
  values above 1 are clipped), and 0-255 when this value is from 2 to 255;
- anything else is an error that asks for ``pixel_range``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skltransfer._warnings import warn_user
from skltransfer.inputs.images.grey_levels import BLACK_TO_WHITE

_CHANNELS = (1, 2, 3, 4)
_SUSPICIOUSLY_DARK = 32
"""If no value lies above this grey level (of 0-255), the images are probably on another scale, such
as 0-16, or 12 bits in uint16."""
_TOLERANCE = 0.1 + 1e-6
"""How far values may lie outside the range without a warning, as a multiple of its width."""
_FARTHEST = 1e6
"""How far values may lie outside the range, in the same unit; beyond this, float32 could
overflow."""
_NARROWEST, _LARGEST_END = 1e-30, 1e30
"""Smallest width and largest end of a range by which float32 numbers can be scaled."""
_OVERSHOOT, _SMALLEST_OF_GREY_LEVELS = 1.1 + 1e-6, 2.0
"""If the largest float is at most the first number, the scale is 0 to 1. If it is between the two,
the scale is not known."""
_FAMILY_RANGES = {"bool": (0.0, 1.0), "uint16": (0.0, 65535.0)}


@dataclass(frozen=True)
class ValueRange:
    """Smallest and largest value of all arrays of one family of dtypes.

    Parameters
    ----------
    family : {"bool", "uint16", "integer", "float"}
        All integers except uint16 are one family.
    low, high : float
        Smallest and largest value.
    """

    family: str
    low: float
    high: float


# Shapes ------------------------------------------------------------------------------------


def as_image(array: np.ndarray, row: int) -> np.ndarray:
    """View one array as an image.

    Parameters
    ----------
    array : ndarray of shape (h, w) or (h, w, c)
        c is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
    row : int
        Index for messages.

    Returns
    -------
    ndarray of shape (h, w, c)
        A view.

    Raises
    ------
    TypeError
        When the dtype is not bool, integer or float.
    ValueError
        When the shape is not that of an image.
    """
    check_image_shape(array.shape, f"row {row}")
    check_numeric(array.dtype, f"row {row}")
    return array if array.ndim == 3 else array[..., np.newaxis]


def check_numeric(dtype: np.dtype, who: str) -> None:
    """Refuse a dtype that is not bool, integer or float."""
    if dtype.kind not in "biuf":
        raise TypeError(
            f"{who} is an array of dtype {dtype}, but images hold bool, integers or floats. "
            "Convert it, for instance with X.astype('float32')."
        )


def check_image_shape(shape: tuple[int, ...], who: str) -> None:
    """Refuse shapes that are not (h, w) or (h, w, c) with 1 to 4 channels."""
    if len(shape) not in (2, 3):
        way_out = " Drop the first axis: [x[0] for x in X]." if shape[:1] == (1,) else ""
        raise ValueError(
            f"{who} has shape {shape}, but an image is (h, w) or (h, w, channels).{way_out}"
        )
    if 0 in shape:
        raise ValueError(f"{who} has shape {shape}: an image needs at least one pixel.")
    if len(shape) == 3 and shape[2] not in _CHANNELS:
        raise ValueError(f"{who} has shape {shape}. {_channel_advice(shape)}")


def _channel_advice(shape: tuple[int, ...]) -> str:
    """Say how to move the channels to the last axis, or to choose some."""
    if shape[0] in _CHANNELS and min(shape[1:]) > max(_CHANNELS):
        return (
            "Its channels come first; put them last: np.moveaxis(image, 0, -1) for one "
            "image, np.moveaxis(X, 1, -1) for a batch."
        )
    return (
        f"{shape[2]} channels are not an image; allowed are 1 (grey), 2 (grey, alpha), "
        "3 (RGB) and 4 (RGB, alpha). Choose channels, for instance image[..., :3]."
    )


# The scale ---------------------------------------------------------------------------------


def value_range(array: np.ndarray) -> ValueRange:
    """Return the smallest and largest value of an array; NaN and infinities show in the result."""
    return ValueRange(_family(array.dtype), float(array.min()), float(array.max()))


def merge_ranges(ranges: Iterable[ValueRange]) -> tuple[ValueRange, ...]:
    """Merge the ranges of each family; return the families in alphabetical order."""
    merged: dict[str, ValueRange] = {}
    for new in ranges:
        old = merged.get(new.family, new)
        low, high = min(old.low, new.low), max(old.high, new.high)
        merged[new.family] = ValueRange(new.family, low, high)
    return tuple(merged[family] for family in sorted(merged))


def decide_pixel_range(
    values: np.ndarray | tuple[ValueRange, ...] | None,
    pixel_range: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Decide in fit which values mean black and white.

    Parameters
    ----------
    values : ndarray, tuple of ValueRange, or None
        The numbers, or the result of ``ImageSource.range_summary``. Empty or None means that X
        holds only files, encoded bytes and PIL images, which have ranges of their own.
    pixel_range : tuple of two float or None, default=None
        The user's choice, which takes precedence.

    Returns
    -------
    tuple of two float
        Low and high.

    Raises
    ------
    ValueError
        If `pixel_range` is not two finite increasing numbers, or if the rule cannot decide.

    Warns
    -----
    UserWarning
        If the rule applies but another scale is likely, or if values lie clearly outside the given
        `pixel_range`.
    """
    ranges = _summarised(values)
    if pixel_range is not None:
        chosen = check_pixel_range(pixel_range)
        check_scale(ranges, chosen)
        return chosen
    if not ranges:
        return BLACK_TO_WHITE
    candidates = {_range_by_rule(r) for r in ranges}
    if len(candidates) > 1:
        raise ValueError(_mixed_message(ranges))
    chosen = candidates.pop()
    _warn_of_overshoots(ranges, chosen)
    warn_if_dark(max(seen.high for seen in ranges), chosen[1])
    return chosen


def check_pixel_range(pixel_range: Any) -> tuple[float, float]:
    """Return `pixel_range` as two floats, or raise an error that says what is wrong."""
    try:
        low, high = (float(limit) for limit in pixel_range)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(
            f"pixel_range={pixel_range!r} is not allowed: give two finite numbers, the values "
            "of black and white, as in pixel_range=(0, 255), or None to have them found."
        )
    largest = max(abs(low), abs(high))
    if high - low < max(_NARROWEST, largest / 2**16) or largest > _LARGEST_END:
        raise ValueError(
            f"pixel_range={pixel_range!r} is too narrow or too far from 0 for float32, in which "
            "images are computed. Shift and scale X, and give the range of the result."
        )
    return low, high


def check_scale(
    values: np.ndarray | tuple[ValueRange, ...] | None, pixel_range: tuple[float, float]
) -> None:
    """Warn if numbers are clearly on another scale than the one decided in fit.

    Parameters
    ----------
    values : ndarray, tuple of ValueRange, or None
        As in :func:`decide_pixel_range`.
    pixel_range : tuple of two float
        The range decided in fit.

    Raises
    ------
    ValueError
        If values leave the range by more than a million times its width.

    Warns
    -----
    UserWarning
        If values leave the range by more than a tenth of its width, or if all values lie within the
        lowest 1/255 of the range, as those of images of 0-1 do in a range of 0-255.
    """
    low, high = pixel_range
    slack, one_level = _TOLERANCE * (high - low), (high - low) / BLACK_TO_WHITE[1]
    for seen in _summarised(values):
        if max(low - seen.low, seen.high - high) > _FARTHEST * (high - low):
            raise ValueError(
                f"X holds {seen.family} values from {seen.low:g} to {seen.high:g}, which is far "
                f"outside the pixel range ({low:g}, {high:g}). Clip or replace them, or give "
                "pixel_range=(low, high) in the constructor."
            )
        outside = seen.low < low - slack or seen.high > high + slack
        if outside or low < seen.high <= low + one_level:
            warn_user(
                f"X holds {seen.family} values from {seen.low:g} to {seen.high:g}, but the pixel "
                f"range is ({low:g}, {high:g}): they seem to be on another scale. Bring them to "
                "the scale of fit, or give pixel_range=(low, high) in the constructor.",
            )


def scale_pixels(
    array: np.ndarray,
    pixel_range: tuple[float, float] | None,
    out: np.ndarray | None = None,
    *,
    clip: bool = False,
) -> np.ndarray:
    """Scale numbers from their range to float32 grey levels of 0 to 255.

    Parameters
    ----------
    array : ndarray of any shape
        Numbers.
    pixel_range : tuple of two float or None
        The values that become 0 and 255; the first is larger if dark and bright are inverted.
    out : ndarray of the same shape and float32, default=None
        Where to write.
    clip : bool, default=False
        Whether to clip the result to 0 and 255.

    Returns
    -------
    ndarray of the same shape, dtype float32
        `out`, or a new array.
    """
    low, high = pixel_range or BLACK_TO_WHITE
    out = np.empty(array.shape, np.float32) if out is None else out
    np.copyto(out, array, casting="unsafe")
    if low != 0:
        out -= np.float32(low)
    if high - low != BLACK_TO_WHITE[1]:
        out *= np.float32(BLACK_TO_WHITE[1] / (high - low))
    return np.clip(out, *BLACK_TO_WHITE, out=out) if clip else out


def to_rgb(
    image: np.ndarray,
    pixel_range: tuple[float, float] | None,
    *,
    opaque: float | None = None,
    clip: bool = False,
) -> np.ndarray:
    """Scale an image to 0-255, and composite it over white if it has alpha.

    Parameters
    ----------
    image : ndarray of shape (h, w, c)
        c is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
    pixel_range : tuple of two float or None
        The values that become 0 and 255.
    opaque : float or None, default=None
        The alpha of an opaque pixel; 0 is transparent. None means that alpha has the same
        `pixel_range`.
    clip : bool, default=False
        Whether to clip floats to the range.

    Returns
    -------
    ndarray of shape (h, w, 1) or (h, w, 3), dtype uint8 or float32
        uint8 if nothing had to be computed, because uint8 resizes faster.
    """
    plain = image.dtype == np.uint8 and (pixel_range or BLACK_TO_WHITE) == BLACK_TO_WHITE
    has_alpha = image.shape[2] in (2, 4)
    if plain and has_alpha and image[..., -1].min() == 255:
        image, has_alpha = image[..., :-1], False
    clip = clip and image.dtype.kind == "f"
    if has_alpha:
        return _over_white(image, pixel_range, opaque, clip)
    return image if plain else scale_pixels(image, pixel_range, clip=clip)


def _over_white(
    image: np.ndarray,
    pixel_range: tuple[float, float] | None,
    opaque: float | None,
    clip: bool,
) -> np.ndarray:
    """Composite an image, whose last channel is alpha, over white."""
    *colours, alpha = np.moveaxis(image, -1, 0)
    opacity = scale_pixels(alpha, pixel_range if opaque is None else (0.0, opaque), clip=clip)
    opacity /= np.float32(255)
    planes = np.empty((len(colours), *alpha.shape), np.float32)
    for plane, colour in zip(planes, colours, strict=True):
        scale_pixels(colour, pixel_range, plane, clip=clip)
        plane -= np.float32(255)  # in place, to save memory
        plane *= opacity
        plane += np.float32(255)
    return np.moveaxis(planes, 0, -1)


def _family(dtype: np.dtype) -> str:
    """Return the family of a numeric dtype, which decides its range."""
    if dtype.kind == "b":
        return "bool"
    if dtype.kind == "f":
        return "float"
    return "uint16" if dtype.kind == "u" and dtype.itemsize == 2 else "integer"


def _summarised(values: np.ndarray | tuple[ValueRange, ...] | None) -> tuple[ValueRange, ...]:
    if values is None:
        return ()
    return (value_range(values),) if isinstance(values, np.ndarray) else tuple(values)


def _range_by_rule(seen: ValueRange) -> tuple[float, float]:
    """Apply the rule to one family, or raise an error that says why it cannot decide."""
    if seen.family in _FAMILY_RANGES:
        return _FAMILY_RANGES[seen.family]
    if seen.low < 0:
        raise ValueError(
            f"X holds negative values, down to {seen.low:g} (the largest is {seen.high:g}), so it "
            "looks already preprocessed, for instance scaled to (-1, 1) or standardised. Pass "
            "the raw pixels, or say which values are black and white, as in "
            "pixel_range=(-1, 1). Clip values that are negative only because of rounding."
        )
    if seen.high > BLACK_TO_WHITE[1]:
        raise ValueError(
            f"X holds {seen.family} values up to {seen.high:g}, above 255, so its scale is not "
            "known. Say which values are black and white, as in pixel_range=(0, 4095) for "
            "12 bits or pixel_range=(0, 65535) for 16."
        )
    if seen.family != "float" or seen.high >= _SMALLEST_OF_GREY_LEVELS:
        return BLACK_TO_WHITE
    if seen.high > _OVERSHOOT:
        raise ValueError(
            f"X holds float values up to {seen.high:g}, too much for images of 0 to 1 and too "
            "little for images of 0 to 255. Say which values are black and white, as in "
            f"pixel_range=(0, {seen.high:g}), or clip X to 0 and 1."
        )
    return (0.0, 1.0)


def _warn_of_overshoots(ranges: tuple[ValueRange, ...], chosen: tuple[float, float]) -> None:
    """Warn of floats a little above 1, which are clipped."""
    largest = max(seen.high for seen in ranges)
    if chosen == (0.0, 1.0) and largest > 1:
        warn_user(
            f"X holds float values up to {largest:.8g} and is read as 0 to 1. Larger values, such "
            "as resampling produces, are clipped. np.clip(X, 0, 1) silences this warning; "
            f"pixel_range=(0, {largest:.8g}) makes the largest value white."
        )


def _mixed_message(ranges: tuple[ValueRange, ...]) -> str:
    parts = [
        f"{seen.family} arrays (up to {seen.high:g}, read as {{:g}} to {{:g}})".format(
            *_range_by_rule(seen)
        )
        for seen in ranges
    ]
    return (
        f"X mixes arrays on different scales: {' and '.join(parts)}. Convert them to one dtype "
        "and scale, or give pixel_range=(low, high)."
    )


def warn_if_dark(
    largest: float, white: float, *, where: str = "X", is_inverted: bool = False
) -> None:
    """Warn if all values are far below the upper end of the scale that the rule chose.

    Parameters
    ----------
    largest : float
        The largest value seen.
    white : float
        The upper end of the scale.
    where : str, default="X"
        What holds the values, for the message.
    is_inverted : bool, default=False
        Whether 0 is white, and the upper end black.
    """
    if 0 < largest * BLACK_TO_WHITE[1] <= _SUSPICIOUSLY_DARK * white:
        warn_user(
            f"The largest value in {where} is {largest:g}, but with pixel_range=None, X is read as "
            f"0 to {white:g}, which makes the images nearly "
            f"{'white' if is_inverted else 'black'}. If {largest:g} is the end of the scale, say "
            f"so: pixel_range=(0, {largest:g}). If the images are meant to be so, "
            f"pixel_range=(0, {white:g}) silences this warning.",
        )
