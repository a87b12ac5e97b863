"""From texts to token ids, with the backbone's tokenizer."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skltransfer.inputs.errors import Unreadable

INSTALL = "pip install 'skltransfer[text]'"

_MOST_LENGTHS = 500_000


class Tokenizer:
    """A tokenizer from a ``tokenizer.json``, with a maximum number of tokens.

    Truncation and padding settings in the file are ignored: texts longer than `max_tokens` lose
    their end, and texts are never padded.

    Parameters
    ----------
    content : str
        JSON as written by the library ``tokenizers``.
    max_tokens : int
        Maximum number of tokens of a text, including special tokens.
    """

    def __init__(self, content: str, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._tokenizer = opened(content)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._is_cut: dict[bytes, bool] = {}
        self._lock = threading.Lock()

    def ids(self, text: str) -> NDArray[np.int32]:
        """Return the token ids of a text, at most `max_tokens`.

        Raises
        ------
        Unreadable
            If the text has no tokens, or contains characters that cannot be encoded.
        """
        ids = np.array(self._encoded(text).ids, np.int32)
        if not len(ids):
            raise Unreadable(
                "it has no tokens. Leave the row out, or put a word in its place; with "
                "on_error='nan' it counts as missing."
            )
        return ids

    def is_cut(self, text: str, digest_of: Callable[[str], bytes]) -> bool:
        """Return whether a text has more than `max_tokens` tokens; remember this by its digest."""
        # A token covers at least one byte.
        if len(text) <= self._most_characters and text.isascii():
            return False
        if len(text.encode("utf-8", "surrogatepass")) <= self._most_characters:
            return False
        key = digest_of(text)
        if key not in self._is_cut:
            self._remember(key, self._overflows(text))
        return self._is_cut[key]

    @cached_property
    def _most_characters(self) -> int:
        return self.max_tokens - n_special_tokens(self._tokenizer)

    def _overflows(self, text: str) -> bool:
        try:
            return bool(self._encoded(text).overflowing)
        except Unreadable:
            return False  # reported when the row is read

    def _remember(self, key: bytes, is_cut: bool) -> None:
        with self._lock:
            if len(self._is_cut) >= _MOST_LENGTHS:
                self._is_cut.clear()
            self._is_cut[key] = is_cut

    def _encoded(self, text: str) -> Any:
        try:
            return self._tokenizer.encode(text)
        except (TypeError, UnicodeEncodeError) as error:  # depending on the version
            raise Unreadable(
                "it holds half of a surrogate pair, which is not a character. Decode it again "
                "from its bytes, with errors='replace'."
            ) from error


tokenizer_of = lru_cache(maxsize=8)(Tokenizer)
"""Return the tokenizer for a content and a maximum number of tokens; each is opened only once."""


def opened(content: str) -> Any:
    """Return a tokenizer of the library ``tokenizers``.

    Raises
    ------
    ImportError
        If it is not installed.
    ValueError
        If the content is not that of a tokenizer.
    """
    try:
        from tokenizers import Tokenizer as Library
    except ImportError as error:
        raise ImportError(f"Reading texts needs the library tokenizers: {INSTALL}.") from error
    try:
        return Library.from_str(content)
    except Exception as error:  # the library raises Exception itself
        raise ValueError(
            f"The tokenizer cannot be read: {error!s:.200}. Pass the content of a tokenizer.json, "
            "as the libraries tokenizers and transformers write it."
        ) from error


def n_special_tokens(tokenizer: Any) -> int:
    """Return the number of special tokens added to every text."""
    return int(tokenizer.num_special_tokens_to_add(False))


def vocabulary_size(content: str) -> int:
    """Return the largest token id plus one."""
    numbers: dict[str, int] = opened(content).get_vocab(with_added_tokens=True)
    return 1 + max(numbers.values())


def known_words(content: str) -> int:
    """Return how many token ids are certainly in use, without needing the library."""
    return len(json.loads(content)["model"]["vocab"])


def content_digest(content: str) -> str:
    """Return the SHA-256 of a tokenizer, in hexadecimal digits."""
    return hashlib.sha256(content.encode()).hexdigest()
