"""Texts row by row, tokenized on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs._input import Array, Rows
from skltransfer.inputs.reading import missing_value, naming_the_row
from skltransfer.inputs.texts.errors import TextReadError
from skltransfer.inputs.texts.tokenizing import Tokenizer


class TextSource:
    """Rows of texts, read as token ids.

    Parameters
    ----------
    texts : list of str or None
        None for missing texts.
    tokenizer : Tokenizer
        The backbone's tokenizer.
    rows : ndarray of int
        The rows of X in this source.
    """

    is_at_hand = True  # tokenizing takes only hundredths of a millisecond

    def __init__(
        self, texts: Sequence[str | None], tokenizer: Tokenizer, rows: NDArray[np.intp]
    ) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def digest(self, row: int) -> bytes:
        """Return the digest of a text."""
        return digest_of(self._text(row))

    def still_has(self, row: int, digest: bytes) -> bool:
        """Return True: texts in memory do not change."""
        return True

    def load(self, rows: Sequence[int], out: Rows) -> None:
        """Tokenize some texts."""
        for place, row in enumerate(rows):
            text = self._text(row)
            with naming_the_row(text, int(self._rows[row]), TextReadError):
                out[0][place] = self._tokenizer.ids(text)

    def take(self, rows: Sequence[int] | Array) -> Self:
        """Return a source of some rows, which keep their numbers in messages."""
        rows = np.asarray(rows)
        return type(self)(self._texts, self._tokenizer, self._rows[rows if rows.size else []])

    def check_none_missing(self) -> None:
        """Refuse rows without a text; the message says how many there are."""
        missing = [row for row in self._rows.tolist() if self._texts[row] is None]
        if missing:
            error = missing_value(missing[0], TextReadError)
            count = f" Of {len(self)} rows, {len(missing)} have no text." if missing[1:] else ""
            raise TextReadError(str(error) + count, error.row, error.source)

    def n_cut(self) -> int:
        """Count the texts that are truncated."""
        texts = (self._texts[row] for row in self._rows.tolist())
        return sum(self._tokenizer.is_cut(text, digest_of) for text in texts if text)

    def _text(self, row: int) -> str:
        text = self._texts[int(self._rows[row])]
        if text is None:
            raise missing_value(int(self._rows[row]), TextReadError)
        return text


def digest_of(text: str) -> bytes:
    """Return the digest that identifies a text."""
    return hashlib.sha256(b"text\0" + text.encode("utf-8", "surrogatepass")).digest()
