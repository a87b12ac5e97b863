"""Images row by row, read on demand."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skltransfer.inputs._input import chunks
from skltransfer.inputs.digests import digest_array, digest_encoded
from skltransfer.inputs.errors import ImageReadError, read_error
from skltransfer.inputs.images import arrays
from skltransfer.inputs.images.decoding import decode, deep_values, pil_digest
from skltransfer.inputs.images.recognition import ENCODED, PATHS
from skltransfer.inputs.reading import (
    FileDigests,
    FileIdentity,
    file_identity,
    missing_value,
    reason,
)

if TYPE_CHECKING:
    from skltransfer.inputs.images.levels import Levels
    from skltransfer.inputs.images.preprocessing import ImagePreprocessing

_BLOCK = 64
"""Number of rows of a large array that are checked together."""

_WITH_ALPHA = (2, 4)
"""Numbers of channels of which the last is alpha."""

_MOST_LOOKED_AT = 8
"""Number of rows that are read in advance, to see on which scale images of more than 8 bits are."""

_FRESH_SECONDS = 1.0
"""How long a check of a file stays valid. This costs no safety, because the check of a file and its
reading are often further apart than this anyway."""

_TEXT_HINT = " If X holds texts, pass a text network, such as backbone='minilm_l6'."

_file_digests = FileDigests()


class ImageSource:
    """Rows of images, read on demand.

    Created by :func:`read_images`. Reading is safe from several threads.

    Attributes
    ----------
    n_features : int
        Numbers in a row of an array; 1 for separate items.
    """

    n_features: int

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def load(self, i: int, rule: ImagePreprocessing) -> np.ndarray:
        """Read one image.

        Parameters
        ----------
        i : int
            Position in this source.
        rule : ImagePreprocessing
            Target size, and the range of values in arrays.

        Returns
        -------
        ndarray of shape (h, w, 3), dtype float32
            RGB in 0 to 255, C-contiguous.

        Raises
        ------
        ImageReadError
            When a path, bytes or a PIL image cannot be read. Its ``row`` is the row of the X
            given to :func:`read_images`.
        """
        return decode(self._item(i), rule, int(self._rows[i]))

    def load_block(self, indices: Sequence[int], rule: ImagePreprocessing, out: np.ndarray) -> None:
        """Read several images, as `load` does each.

        Parameters
        ----------
        indices : sequence of int
            Positions in this source.
        rule : ImagePreprocessing
            Target size, and the range of values in arrays.
        out : ndarray of shape (len(indices) or more, h, w, 3), dtype float32
            Where to write; any further rows are left unchanged.
        """
        for position, i in enumerate(indices):
            out[position] = self.load(i, rule)

    def is_at_hand(self, rule: ImagePreprocessing) -> bool:
        """Return whether reading only copies memory, so that a thread would not pay off."""
        return False

    def digest(self, i: int) -> bytes:
        """Return a 32-byte digest; equal content of one kind has equal digests.

        Parameters
        ----------
        i : int
            Position in this source.

        Returns
        -------
        bytes
            For files and encoded bytes, the digest of the bytes; it is the same for a file and for
            its content in memory. For arrays and PIL images, the digest of the numbers and of what
            describes them, such as dtype and shape.

        Raises
        ------
        ImageReadError
            When a path or a PIL image cannot be read.
        """
        raise NotImplementedError

    def still_has(self, i: int, digest: bytes) -> bool:
        """Return whether a row is unchanged since its digest was taken; only files can change.

        Parameters
        ----------
        i : int
            Position in this source.
        digest : bytes
            The earlier result of `digest`.

        Returns
        -------
        bool
            Also False for a deleted file.
        """
        return True

    def range_summary(self) -> tuple[arrays.ValueRange, ...]:
        """Return the smallest and largest numbers, for `decide_pixel_range` and `check_scale`.

        Returns
        -------
        tuple of ValueRange
            One for each family of dtypes; empty if there are no arrays.

        Raises
        ------
        ValueError
            When a row holds NaN or infinity.
        """
        return self._range_summary

    def deep_values(self, rule: ImagePreprocessing) -> list[tuple[float, float, Levels]]:
        """Return the ranges of a few images of more than 8 bits that are not arrays.

        Parameters
        ----------
        rule : ImagePreprocessing
            How they are read.

        Returns
        -------
        list of (float, float, Levels)
            Smallest and largest number of each image, and what they mean. Images that cannot be
            read are left out, because reading them later raises an error that says why.
        """
        return []

    def opaque_shares(self, white: float) -> dict[int, float]:
        """Return the share of opaque pixels, for arrays of 2 channels and for arrays of 4.

        Parameters
        ----------
        white : float
            The value of an opaque pixel.

        Returns
        -------
        dict of int to float
            The share for each number of channels. Files and PIL images are left out, because they
            say which channel is alpha.
        """
        opaque: dict[int, list[float]] = {}
        for alpha, channels in self._alphas():
            opaque.setdefault(channels, []).append(float(np.mean(alpha >= white)))
        return {channels: float(np.mean(shares)) for channels, shares in opaque.items()}

    def check_paths(self) -> None:
        """Check that all files exist, before any is read.

        Raises
        ------
        ImageReadError
            For the first missing file; the message says how many are missing.
        """

    def take(self, indices: Sequence[int] | np.ndarray) -> ImageSource:
        """Return a source of the given rows; messages still use their numbers in X.

        Parameters
        ----------
        indices : sequence of int or ndarray of int or bool
            Positions in this source.

        Returns
        -------
        ImageSource
            No pixels are copied.
        """
        chosen = object.__new__(type(self))
        chosen.__dict__ = {**self.__dict__, "_rows": self._rows_at(indices)}
        chosen.__dict__.pop("_range_summary", None)
        return chosen

    @cached_property
    def _range_summary(self) -> tuple[arrays.ValueRange, ...]:
        return arrays.merge_ranges(self._ranges())

    def _rows_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the row numbers at the given positions."""
        indices = np.asarray(indices)
        return self._rows[indices if indices.size else []]

    def _item(self, i: int) -> Any:
        raise NotImplementedError

    def _ranges(self) -> Iterator[arrays.ValueRange]:
        raise NotImplementedError

    def _alphas(self) -> Iterator[tuple[np.ndarray, int]]:
        """Yield the last channel of each array of 2 or 4 channels, and the number of channels."""
        raise NotImplementedError


class ArrayImages(ImageSource):
    """All images in one numeric array of shape (n, h, w) or (n, h, w, c)."""

    def __init__(self, images: np.ndarray) -> None:
        super().__init__(np.arange(len(images)))
        self._images = images
        self.n_features = math.prod(images.shape[1:])

    def load_block(self, indices: Sequence[int], rule: ImagePreprocessing, out: np.ndarray) -> None:
        """Read several images; this only copies memory if nothing has to be resized."""
        if not self.is_at_hand(rule):
            return super().load_block(indices, rule, out)
        block = self._images[self._rows_at(indices)]
        block = block if block.ndim == 4 else block[..., np.newaxis]
        target = out[: len(block)]
        clip = block.dtype.kind == "f" and rule.clips
        block = np.broadcast_to(block, target.shape)
        arrays.scale_pixels(block, rule.pixel_range, target, clip=clip)

    def digest(self, i: int) -> bytes:
        """Return a 32-byte digest; equal content of one kind has equal digests."""
        return digest_array(self._item(i))

    def is_at_hand(self, rule: ImagePreprocessing) -> bool:
        """Return whether reading only copies memory."""
        shape = self._images.shape
        return shape[1:3] == tuple(rule.size) and shape[3:] in ((), (1,), (3,))

    def _item(self, i: int) -> np.ndarray:
        item: np.ndarray = self._images[self._rows[i]]
        return item

    def _ranges(self) -> Iterator[arrays.ValueRange]:
        for part in chunks(len(self), _BLOCK):
            rows = self._rows[part]
            block = self._images[rows]
            seen = arrays.value_range(block)
            if not _is_finite(seen):
                _raise_non_finite(block, rows)
            yield seen

    def _alphas(self) -> Iterator[tuple[np.ndarray, int]]:
        channels = (*self._images.shape, 1)[3]
        if channels in _WITH_ALPHA:
            for start in range(0, len(self), _BLOCK):
                yield self._images[self._rows[start : start + _BLOCK], ..., -1], channels


class ItemImages(ImageSource):
    """Images one by one: paths, encoded bytes, PIL images and arrays."""

    n_features = 1

    def __init__(self, items: list[Any]) -> None:
        super().__init__(np.arange(len(items)))
        self._items = items
        self._identities: dict[int, FileIdentity] = {}
        self._fresh_until = 0.0

    def digest(self, i: int) -> bytes:
        """Return a 32-byte digest; equal content of one kind has equal digests."""
        row = int(self._rows[i])
        item = self._items[row]
        if isinstance(item, PATHS):
            return _file_digests.digest(item, row, self._identity_just_seen(row))
        if isinstance(item, ENCODED):
            return digest_encoded(item)
        if isinstance(item, Image.Image):
            return pil_digest(item, row)
        if item is None:
            raise missing_value(row)
        return digest_array(item)

    def still_has(self, i: int, digest: bytes) -> bool:
        """Return whether a file is unchanged since its digest was taken."""
        item = self._item(i)
        if not isinstance(item, PATHS):
            return True
        try:
            return _file_digests.digest(item, int(self._rows[i])) == digest
        except ImageReadError:
            return False

    def check_paths(self) -> None:
        """Check that all files exist, before any is read."""
        faults: list[tuple[int, str]] = []
        for row in self._rows.tolist():
            if isinstance(self._items[row], (*PATHS, type(None))):
                try:
                    self._identities[row] = file_identity(self._items[row])
                except Exception as error:
                    faults.append((row, reason(error)))
        if faults:
            row, fault = faults[0]
            count = f" Of {len(self)} rows, {len(faults)} have no file." if faults[1:] else ""
            hint = _TEXT_HINT if _looks_like_text(self._items[row]) else ""
            raise read_error(row, self._items[row], fault + count + hint)
        self._fresh_until = time.monotonic() + _FRESH_SECONDS

    def deep_values(self, rule: ImagePreprocessing) -> list[tuple[float, float, Levels]]:
        """Return the ranges of a few images of more than 8 bits."""
        positions = np.unique(np.linspace(0, len(self) - 1, _MOST_LOOKED_AT).astype(int))
        found: list[tuple[float, float, Levels]] = []
        for row in self._rows[positions]:
            item = self._items[row]
            if isinstance(item, (*PATHS, *ENCODED, Image.Image)):
                found += deep_values(item, rule, int(row))
        return found

    def _alphas(self) -> Iterator[tuple[np.ndarray, int]]:
        for row in self._rows:
            item = self._items[row]
            if isinstance(item, np.ndarray) and (*item.shape, 1)[2] in _WITH_ALPHA:
                yield item[..., -1], item.shape[2]

    def _identity_just_seen(self, row: int) -> FileIdentity | None:
        """Return the identity of a row's file, if `check_paths` has just determined it."""
        is_fresh = time.monotonic() < self._fresh_until
        return self._identities.pop(row, None) if is_fresh else None

    def _item(self, i: int) -> Any:
        return self._items[self._rows[i]]

    def _ranges(self) -> Iterator[arrays.ValueRange]:
        for row in self._rows:
            item = self._items[row]
            if isinstance(item, np.ndarray):
                seen = arrays.value_range(item)
                if not _is_finite(seen):
                    _raise_non_finite(item[np.newaxis], [row])
                yield seen


def _looks_like_text(item: Any) -> bool:
    """Return whether an item, which should be a path, looks like a sentence."""
    return isinstance(item, str) and " " in item and not re.search(r"[/\\]|\.\w{1,5}$", item)


def _is_finite(seen: arrays.ValueRange) -> bool:
    return math.isfinite(seen.low) and math.isfinite(seen.high)


def _raise_non_finite(block: np.ndarray, rows: Sequence[int] | np.ndarray) -> None:
    """Raise for the first row of a block that holds NaN or infinity."""
    finite = np.isfinite(block).reshape(len(block), -1)
    first = int(np.argmin(finite.all(axis=1)))
    what = "NaN" if np.isnan(block[first]).any() else "infinity"
    raise ValueError(
        f"Input X contains {what}: {np.sum(~finite[first])} values of row {rows[first]}. Replace "
        "these values, or leave the row out."
    )
