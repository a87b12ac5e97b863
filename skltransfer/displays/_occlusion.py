"""Which parts of a sound are evidence for a class: hiding them lowers the score of the class.

This is occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
2014) on log-mel maps. A patch is hidden by capping its values at the median of their frequency
band.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from skltransfer.displays._backbone_steps import BackboneStep, without_names
from skltransfer.displays._drawing import Extent
from skltransfer.displays._spectrograms import Floats, Spectrograms, picture, upright
from skltransfer.estimators.base import encoding_of
from skltransfer.estimators.extractor import features_of_source
from skltransfer.estimators.fine_tuned import FineTunedBase, predictor_of
from skltransfer.estimators.taking_apart import rows_of, source_in
from skltransfer.inputs._input import Array, Rows
from skltransfer.inputs.sounds.encoding import SoundEncoding

_PARTS_OF_TIME = 16
_PARTS_OF_PITCH = 8


@dataclass(frozen=True)
class Heard:
    """Log-mel maps of sounds, and their pictures.

    Attributes
    ----------
    images : list of ndarray of uint8, shape (height, width, 3)
        The pictures, of different widths.
    maps : list of ndarray of float32, shape (frames, bands)
        The maps, as the network reads them.
    extents : list of (float, int)
        Length in seconds and number of bands of each.
    """

    images: list[np.ndarray]
    maps: list[Floats]
    extents: list[Extent]


class HiddenPatches:
    """A source of copies of one map, each with one patch hidden.

    Parameters
    ----------
    log_mel : ndarray of shape (frames, bands)
        The map.
    patches : sequence of (slice, slice)
        The patch that each row hides.
    """

    is_at_hand = True

    def __init__(self, log_mel: Floats, patches: Sequence[tuple[slice, slice]]):
        self.log_mel = log_mel
        self.patches = patches
        self._usual = np.broadcast_to(np.median(log_mel, axis=0), log_mel.shape)

    def __len__(self) -> int:
        return len(self.patches)

    def digest(self, row: int) -> bytes:
        """Return the digest of a row."""
        return hashlib.sha256(np.ascontiguousarray(self._row(row)).tobytes()).digest()

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return True: the map does not change."""
        return True

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Write the given rows to `out`."""
        for place, row in enumerate(rows):
            out[0][place] = self._row(row)

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of the given rows."""
        chosen = [self.patches[int(row)] for row in rows]
        return type(self)(self.log_mel, chosen)

    def _row(self, row: int) -> Floats:
        hidden, patch = self.log_mel.copy(), self.patches[row]
        hidden[patch] = np.minimum(hidden[patch], self._usual[patch])
        return hidden


def hear(found: BackboneStep) -> Heard | None:
    """Read all sounds; return None if the network does not read sounds."""
    encoding = encoding_of(found.step)
    if not isinstance(encoding, SoundEncoding):
        return None
    sounds = Spectrograms(source_in(found.step, found.X), encoding)
    maps = [sounds.log_mel(row) for row in range(len(sounds.source))]
    pictures = [picture(log_mel, colours="gray") for log_mel in maps]
    return Heard(pictures, maps, sounds.extents(range(len(maps))))


def heat_of_sounds(
    found: BackboneStep, heard: Heard, targets: NDArray[np.intp]
) -> list[np.ndarray]:
    """Return the evidence for the classes `targets`, at the size of the pictures; not negative."""
    columns = rows_of(found.step, found.X)[1] if isinstance(found.step, FineTunedBase) else None
    return [
        _heat(found, log_mel, None if columns is None else columns[[row]], int(target))
        for row, (log_mel, target) in enumerate(zip(heard.maps, targets, strict=True))
    ]


def _heat(
    found: BackboneStep, log_mel: Floats, columns: np.ndarray | None, target: int
) -> np.ndarray:
    patches = list(_patches(log_mel.shape))
    nothing = slice(0, 0), slice(0, 0)
    scores = _scores(found, HiddenPatches(log_mel, [*patches, nothing]), columns)[:, target]
    heat = np.zeros(log_mel.shape, np.float32)
    for patch, score in zip(patches, scores, strict=False):
        heat[patch] = max(0.0, scores[-1] - score)
    return upright(heat)


def _patches(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield patches that cover a map."""
    sides = zip(shape, (_PARTS_OF_TIME, _PARTS_OF_PITCH), strict=True)
    edges = [np.unique(np.linspace(0, length, parts + 1, dtype=int)) for length, parts in sides]
    starts = [itertools.pairwise(of_side.tolist()) for of_side in edges]
    for (top, bottom), (left, right) in itertools.product(*map(list, starts)):
        yield slice(top, bottom), slice(left, right)


def _scores(
    found: BackboneStep, source: HiddenPatches, columns: np.ndarray | None
) -> NDArray[np.float64]:
    """Return log-probabilities, or the decision function, for each class."""
    step = found.step
    if isinstance(step, FineTunedBase):
        learned = predictor_of(step)
        uncached = replace(learned, prefix=replace(learned.prefix, cache=None))
        beside = None if columns is None else np.repeat(columns, len(source), axis=0)
        return np.asarray(log_softmax(uncached.outputs(source, beside)[0], 1))
    assert found.tail is not None
    with without_names():
        scores = found.tail.decision_function(features_of_source(step, source))
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else np.asarray(scores)
