"""What pictures show, however they are stored: digests of the pixels that the network sees.

By these a training set is merged and put in order, so that arrays, rows of numbers and lossless
files of the same pictures train the same network. The digests are kept in the cache beside the
activations, by what is stored, so that a warm cache has nothing decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np

from skltransfer.cache import ActivationCache, NullCache
from skltransfer.frozen.activation_pass import ActivationPass, Observer
from skltransfer.frozen.engines import FrozenPart
from skltransfer.frozen.resume import Way
from skltransfer.inputs import ImageReadError, PixelRule, decoder_fingerprint
from skltransfer.inputs.digests import digest_array
from skltransfer.network.batch_invariance import Blocks

_ROWS_READ_TOGETHER = 4


class Contents(Observer):
    """Digests of the pixels of all rows of a source.

    Parameters
    ----------
    source : ImageSource or RowSource
        The pictures.
    rule : PixelRule
        How they are read.
    cache : ActivationCache or NullCache
        Where digests are looked up and kept.
    """

    def __init__(self, source, rule: PixelRule, cache: ActivationCache | NullCache):
        self.source = source
        self.rule = rule
        self.cache = cache
        self.digests: list[bytes | None] = [None] * len(source)
        self._stored: list[bytes | None] = [None] * len(source)
        self._changed: set[int] = set()

    def identified(self, row: int, digest: bytes) -> None:
        """Take note of what is stored, so that nobody need read it again."""
        self._stored[row] = digest

    def decoded(self, row: int, pixels: np.ndarray) -> None:
        """Take note of a picture that somebody decoded."""
        self.digests[row] = digest_array(pixels)

    def changed(self, row: int) -> None:
        """Take note that the pixels may not be those of what was identified."""
        self._changed.add(row)

    def complete(
        self,
        rows: Iterable[int],
        n_jobs: int | None,
        keep_going: bool,
        advance: Callable[[int], None] = lambda n_rows: None,
    ) -> dict[int, ImageReadError]:
        """Find the digests of `rows` that are still missing: in the cache, else by decoding.

        Returns
        -------
        dict of int to ImageReadError
            The rows that could not be read.

        Raises
        ------
        ImageReadError
            For the first of them, unless `keep_going`.
        """
        rows = list(rows)
        self._resolve()
        missing = [row for row in rows if self.digests[row] is None]
        advance(len(rows) - len(missing))
        if not missing:
            return {}
        failures = self._decode(missing, n_jobs, keep_going, advance)
        self._resolve()
        return failures

    def remember(self) -> None:
        """Tell the cache what is known."""
        known = {
            self._names[row]: digest
            for row, digest in enumerate(self.digests)
            if digest is not None and row not in self._changed
        }
        if known and self.cache.keeps_rows:
            self.cache.link(self._group, list(known), list(known.values()))

    def _resolve(self) -> None:
        """Tell the cache what is known, and ask it for the rest."""
        if not self.cache.keeps_rows:
            return
        self.remember()
        wanted = [row for row, d in enumerate(self.digests) if d is None and self._names[row]]
        if wanted:
            found = self.cache.resolve(self._group, [self._names[row] for row in wanted])
            for row, digest in zip(wanted, found, strict=True):
                self.digests[row] = digest

    @cached_property
    def _group(self) -> bytes:
        """Name of all that the pixels depend on but what is stored."""
        return f"pixels {self.rule} {decoder_fingerprint()}".encode()

    @cached_property
    def _names(self) -> list[bytes | None]:
        """Digests of what is stored; None for what cannot be read."""
        return [stored or self._name(row) for row, stored in enumerate(self._stored)]

    def _name(self, row: int) -> bytes | None:
        try:
            return self.source.digest(row)
        except ImageReadError:
            return None

    def _decode(self, rows: list[int], n_jobs: int | None, keep_going: bool, advance: Callable):
        """Decode some rows without computing anything from them."""
        shape = (*self.rule.size, 3)
        nothing = Blocks(lambda rows: (rows[:, 0, 0, :0],), _ROWS_READ_TOGETHER)
        part = FrozenPart(nothing, shape, (0,))
        chosen = Contents(self.source.take(rows), self.rule, NullCache())
        one_pass = ActivationPass(
            source=chosen.source,
            find_ways=lambda: [Way("pixels", lambda: part)],
            output_shape=(0,),
            block_rows=_ROWS_READ_TOGETHER,
            rule=self.rule,
            cache=NullCache(),
            group=b"",
            claims=b"",
            n_jobs=n_jobs,
            keep_going=keep_going,
            advance=advance,
            observer=chosen,
        )
        one_pass.run()
        for row, digest in zip(rows, chosen.digests, strict=True):
            self.digests[row] = digest
            if self.cache.keeps_rows and not self.source.still_has(row, self._names[row]):
                self._changed.add(row)
        return {rows[position]: error for position, error in one_pass.failures.items()}
