"""Digests of the tensors that a network reads; the form in which rows are stored does not matter.

`fit` merges rows with equal digests, and sorts the training set by digest. Arrays, rows of numbers
and lossless files of the same images therefore train the same network. The cache also keeps these
digests. The key of each is the digest of the row's stored bytes, so a row that the cache knows need
not be decoded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sized
from functools import cached_property

from skltransfer.cache import ActivationCache, NullCache
from skltransfer.frozen.activation_pass import ActivationPass, Observer
from skltransfer.frozen.engines import FrozenPart
from skltransfer.frozen.resume_plan import ResumePlan
from skltransfer.inputs._input import Encoding, Rows, Source, TensorSpec
from skltransfer.inputs.digests import digest_array
from skltransfer.inputs.errors import ReadError
from skltransfer.network.batch_invariance import InvariantBatches

_ROWS_READ_TOGETHER = 4


class ContentDigests(Observer):
    """Digests of the tensors of all rows of a source.

    Parameters
    ----------
    source : Source
        The rows.
    encoding : Encoding
        How stored rows become tensors.
    cache : ActivationCache or NullCache
        Cache in which digests are looked up and stored.

    Attributes
    ----------
    digests : list of bytes or None
        Digest of each row's tensors; None for rows not seen yet.
    """

    def __init__(
        self, source: Source, encoding: Encoding, cache: ActivationCache | NullCache
    ) -> None:
        self.source = source
        self.encoding = encoding
        self.cache = cache
        self.digests: list[bytes | None] = [None] * len(source)
        self._stored: list[bytes | None] = [None] * len(source)
        self._changed: set[int] = set()

    def identified(self, row: int, digest: bytes) -> None:
        """Record the digest of the stored bytes, so that they need not be read again."""
        self._stored[row] = digest

    def loaded(self, row: int, tensors: Rows) -> None:
        """Record the digest of a row's tensors, which the observed pass has decoded."""
        self.digests[row] = _digest_of(tensors)

    def changed(self, row: int) -> None:
        """Record that a row may have changed since it was identified; its digest is not cached."""
        self._changed.add(row)

    def complete(
        self,
        rows: Iterable[int],
        n_jobs: int | None,
        keep_going: bool,
        advance: Callable[[int], None] = lambda n_rows: None,
    ) -> dict[int, ReadError]:
        """Find the missing digests of `rows`: in the cache, or else by decoding the rows.

        Returns
        -------
        dict of int to ReadError
            The rows that could not be read.

        Raises
        ------
        ReadError
            For the first row that cannot be read, unless `keep_going`.
        """
        rows = list(rows)
        self._look_up()
        missing = [row for row in rows if self.digests[row] is None]
        advance(len(rows) - len(missing))
        if not missing:
            return {}
        failures = self._read(missing, n_jobs, keep_going, advance)
        self._look_up()
        return failures

    def remember(self) -> None:
        """Store the known digests in the cache."""
        known = {
            name: digest
            for row, (name, digest) in enumerate(zip(self._names, self.digests, strict=True))
            if name is not None and digest is not None and row not in self._changed
        }
        if known and self.cache.keeps_rows:
            self.cache.alias(self._namespace, list(known), list(known.values()))

    def _look_up(self) -> None:
        """Store the known digests in the cache, and look up the others."""
        if not self.cache.keeps_rows:
            return
        self.remember()
        wanted = {
            row: name
            for row, (name, digest) in enumerate(zip(self._names, self.digests, strict=True))
            if digest is None and name is not None
        }
        found = self.cache.lookup(self._namespace, list(wanted.values())) if wanted else []
        for row, digest in zip(wanted, found, strict=True):
            self.digests[row] = digest

    @cached_property
    def _namespace(self) -> bytes:
        """Namespace of the digests: all that the tensors depend on besides the stored bytes."""
        return f"tensors {json.dumps(self.encoding.cache_key_fields())}".encode()

    @cached_property
    def _names(self) -> list[bytes | None]:
        """Digests of the stored bytes; None for rows that cannot be read."""
        return [stored or self._name(row) for row, stored in enumerate(self._stored)]

    def _name(self, row: int) -> bytes | None:
        try:
            return self.source.digest(row)
        except ReadError:
            return None

    def _read(
        self,
        rows: list[int],
        n_jobs: int | None,
        keep_going: bool,
        advance: Callable[[int], None],
    ) -> dict[int, ReadError]:
        """Find the digests of the given rows by decoding them."""
        chosen = ContentDigests(self.source.take(rows), self.encoding, NullCache())
        one_pass = ActivationPass(
            source=chosen.source,
            find_plans=lambda: [ResumePlan("X", lambda: _nothing_from(self.encoding))],
            output=_NOTHING,
            block_rows=_ROWS_READ_TOGETHER,
            cache=NullCache(),
            namespace=b"",
            locks=b"",
            n_jobs=n_jobs,
            keep_going=keep_going,
            advance=advance,
            observer=chosen,
        )
        one_pass.run()
        for row, digest in zip(rows, chosen.digests, strict=True):
            self.digests[row] = digest
            name = self._names[row]
            if self.cache.keeps_rows and name and not self.source.still_has(row, name):
                self._changed.add(row)
        return {rows[position]: error for position, error in one_pass.failures.items()}


_NOTHING = TensorSpec((0,))


def _nothing_from(encoding: Encoding) -> FrozenPart:
    """Return a frozen part whose output rows are empty, so that a pass only decodes rows."""

    def nothing(*tensors: Sized) -> tuple[object, ...]:
        return (_NOTHING.empty(len(tensors[0])),)

    spec = encoding.row_spec
    return FrozenPart(InvariantBatches(nothing, _ROWS_READ_TOGETHER), spec, _NOTHING)


def _digest_of(tensors: Rows) -> bytes:
    """Return the digest of a row's tensor or, if it has several, the digest of their digests."""
    digests = [digest_array(tensor) for tensor in tensors]
    return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()
