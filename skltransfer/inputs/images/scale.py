"""Warnings of files that seem to be on another scale, and of channels that are hardly alpha."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skltransfer._warnings import warn_user
from skltransfer.inputs.images.arrays import ValueRange, check_scale, warn_if_dark

if TYPE_CHECKING:
    from skltransfer.inputs.images.levels import Levels
    from skltransfer.inputs.images.preprocessing import ImagePreprocessing

_FAMILY = "stored"
_LEAST_OPAQUE = 0.001
"""If a smaller share of pixels is opaque, the channel is probably not alpha."""


def check_scale_of_files(
    found: Iterable[tuple[float, float, Levels]], rule: ImagePreprocessing, *, is_fit: bool = False
) -> None:
    """Warn, as for arrays, if files of more than 8 bits seem to be on another scale than assumed.

    Parameters
    ----------
    found : iterable of (float, float, Levels)
        For some images, the smallest value, the largest value, and what values mean.
    rule : ImagePreprocessing
        How they are read.
    is_fit : bool, default=False
        Whether the scale is just being decided.
    """
    by_levels: dict[Levels, list[float]] = defaultdict(list)
    for low, high, levels in found:
        by_levels[levels] += [low, high]
    for levels, values in by_levels.items():
        ends = rule.pixel_range if rule.is_explicit else levels.ends
        if ends is None:
            continue  # reading such images raises an error
        if is_fit and not rule.is_explicit:
            where = f"images of {levels.kind} in X"
            warn_if_dark(max(values), ends[1], where=where, is_inverted=levels.is_inverted)
        else:
            check_scale((ValueRange(_FAMILY, min(values), max(values)),), ends)


def warn_of_strange_alpha(channels: int, opaque_share: float) -> None:
    """Warn if hardly any pixel is opaque in a channel that is read as alpha.

    Parameters
    ----------
    channels : int
        Number of channels of the arrays: 2 or 4.
    opaque_share : float
        Share of pixels whose last channel is white.
    """
    if opaque_share >= _LEAST_OPAQUE:
        return
    which = "fourth" if channels == 4 else "second"
    warn_user(
        f"The {which} channel of X is read as alpha, so the images are composited over white, but "
        f"only {opaque_share:.1%} of its pixels are opaque. It looks like another band, such as "
        f"near-infrared. If it is one, pass X[..., :{channels - 1}]."
    )
