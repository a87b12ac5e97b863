"""Images row by row, read on demand."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skltransfer.inputs._input import chunks
from skltransfer.inputs.digests import digest_array, digest_encoded, digest_pil_pixels
from skltransfer.inputs.errors import ImageReadError, read_error
from skltransfer.inputs.images import arrays
from skltransfer.inputs.images.decoding import decode, raw_pixels
from skltransfer.inputs.images.recognition import ENCODED, PATHS
from skltransfer.inputs.reading import (
    FileDigests,
    FileIdentity,
    file_identity,
    missing_value,
    reason,
)

if TYPE_CHECKING:
    from skltransfer.inputs.images.preprocessing import ImagePreprocessing

_BLOCK = 64
"""Number of rows of a large array that are checked together."""

_FRESH_SECONDS = 1.0
"""How long a file need not be checked again; more time passes between checking and reading it."""

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
            Digest of the encoded bytes, the same in a file and in memory; or of dtype, shape and
            values.

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

    def check_paths(self) -> None:
        """Check that all files exist, before any is read.

        Raises
        ------
        ImageReadError
            For the first missing file; the message says how many are missing.
        """

    def take(self, indices: Sequence[int] | np.ndarray) -> ImageSource:
        """Return a source of some rows, which keep their numbers in messages.

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
        """Return the row numbers at some positions."""
        indices = np.asarray(indices)
        return self._rows[indices if indices.size else []]

    def _item(self, i: int) -> Any:
        raise NotImplementedError

    def _ranges(self) -> Iterator[arrays.ValueRange]:
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
        arrays.scale_pixels(np.broadcast_to(block, target.shape), rule.pixel_range, target)

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
            return digest_pil_pixels(raw_pixels(item, row))
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
            raise read_error(row, self._items[row], fault + count)
        self._fresh_until = time.monotonic() + _FRESH_SECONDS

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
