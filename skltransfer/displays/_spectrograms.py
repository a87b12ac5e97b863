"""Pictures of sounds: log-mel maps, with time from left to right and pitch upwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from skltransfer.displays._drawing import Extent
from skltransfer.inputs._input import empty_rows
from skltransfer.inputs.images.resizing import resize
from skltransfer.inputs.sounds.encoding import SoundEncoding
from skltransfer.inputs.sounds.sources import SoundSource

Floats: TypeAlias = NDArray[np.floating]

_WIDEST = 1.6  # times as wide as high


@dataclass(frozen=True)
class Spectrograms:
    """Pictures of sounds; a sound is read when it is shown.

    Attributes
    ----------
    source : SoundSource
        The sounds.
    encoding : SoundEncoding
        How they are read.
    """

    source: SoundSource
    encoding: SoundEncoding

    def shown(self, rows: Iterable[int], side: int) -> list[np.ndarray]:
        """Return pictures of the given rows only, at most `side` pixels wide and high.

        Returns
        -------
        list of ndarray of shape (h, w, 3), dtype uint8
        """
        return [picture(self.log_mel(int(row)), side) for row in rows]

    def extents(self, rows: Iterable[int]) -> list[Extent]:
        """Return the length in seconds and the number of bands of the given rows."""
        front_end = self.encoding.front_end
        frame = front_end.hop / front_end.sample_rate
        return [(len(self.log_mel(int(row))) * frame, front_end.n_mels) for row in rows]

    def log_mel(self, row: int) -> Floats:
        """Return the map (frames, bands) of one sound."""
        out = empty_rows(self.encoding.row_spec, 1)
        self.source.load([row], out)
        found: Floats = out[0][0]
        return found


def picture(log_mel: Floats, side: int | None = None, colours: str = "magma") -> np.ndarray:
    """Return a map as a picture in a colour map of matplotlib, scaled to its own range."""
    from matplotlib import colormaps

    low, high = float(log_mel.min()), float(log_mel.max())
    share = (upright(log_mel) - low) / ((high - low) or 1.0)
    pixels = 255 * colormaps[colours](share)[..., :3].astype(np.float32)
    if side is not None and max(pixels.shape) > side:
        pixels = resize(np.ascontiguousarray(pixels), (side, side), "within")
    return as_bytes(pixels)


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Convert grey levels of 0 to 255 to the bytes that matplotlib shows."""
    levels: np.ndarray = np.rint(np.clip(pixels, 0, 255))
    return levels.astype(np.uint8)


def upright(values: Floats) -> Floats:
    """Return values by (frame, band) as a picture that is not much wider than high."""
    n_frames, n_bands = values.shape
    repeats = max(1, round(n_frames / (_WIDEST * n_bands)))
    return np.repeat(values.T[::-1], repeats, axis=0)
