"""The input of language networks: texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from sklearn.utils.validation import _check_feature_names

from skltransfer._fields import PositiveInt
from skltransfer.inputs._input import Encoding, Rows, RowSpec, Size, Source, ViewFamily
from skltransfer.inputs.texts.encoding import TOKENS, TextEncoding
from skltransfer.inputs.texts.taking import check_texts
from skltransfer.inputs.texts.tokenizing import (
    content_digest,
    known_words,
    n_special_tokens,
    opened,
)

if TYPE_CHECKING:
    from sklearn.utils import Tags

USUAL_TOKENS = 256
_LENGTHS_TRIED = (3, 23, 64)


@dataclass(frozen=True)
class TextInput:
    """Texts, split by a tokenizer and truncated to a number of tokens.

    Attributes
    ----------
    tokenizer : str
        The content of a ``tokenizer.json``, as written by the libraries tokenizers and
        transformers.
    max_tokens : int, default=256
        Number of tokens, including special tokens, to which texts are truncated if the estimator
        has ``max_tokens=None``.
    n_positions : int or None, default=None
        Maximum number of tokens that the network can read; None means any number.
    causal : bool, default=False
        Whether a token sees only the tokens before it, so that the last one represents the text and
        ``pooling="last"`` is allowed.
    """

    tokenizer: str
    max_tokens: PositiveInt = USUAL_TOKENS
    n_positions: PositiveInt | None = None
    causal: bool = False

    name: ClassVar[str] = "text"
    pooling: ClassVar[str] = "avg"
    parameters: ClassVar[frozenset[str]] = frozenset({"max_tokens"})
    views: ClassVar[Mapping[str, ViewFamily]] = {}
    takes_layers: ClassVar[bool] = False
    size: ClassVar[Size] = ()
    baseline: ClassVar[str] = "TF-IDF"

    @property
    def poolings(self) -> frozenset[str]:
        """Mean, maximum and the first token; the last one if it has seen all others."""
        return frozenset({"avg", "max", "cls"} | ({"last"} if self.causal else set()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tokenizer."""
        return content_digest(self.tokenizer)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without what is computed from them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def identity(self) -> list[object]:
        """Return the tokenizer, and the number of tokens."""
        return ["text", self.digest, self.max_tokens, self.n_positions, self.causal]

    def row_spec(self, size: Size) -> RowSpec:
        """Return the tensors of a row: its token ids."""
        return TOKENS

    def trial_rows(self, size: Size) -> Rows:
        """Return random token ids of a few lengths."""
        rng, rows = np.random.default_rng(0), np.empty(len(_LENGTHS_TRIED), object)
        n_words = known_words(self.tokenizer)
        for place, length in enumerate(_LENGTHS_TRIED):
            most = min(length, self.n_positions or length)
            rows[place] = rng.integers(0, n_words, most).astype(np.int32)
        return (rows,)

    def plain_rows(self, rows: Rows) -> csr_array:
        """Return how often each token of the tokenizer occurs in each text."""
        lengths = [len(ids) for ids in rows[0]]
        ids = np.concatenate([np.asarray(ids) for ids in rows[0]])
        row = np.repeat(np.arange(len(lengths)), lengths)
        shape = len(lengths), opened(self.tokenizer).get_vocab_size()
        return csr_array(coo_array((np.ones(len(ids), np.float32), (row, ids)), shape=shape))

    def adapt_tags(self, tags: Tags) -> None:
        """Declare that X holds text instead of a table."""
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False

    def fit(
        self,
        estimator: Any,
        X: object,
        weights: NDArray[np.float64] | None,
        accepts: Callable[[Size], bool],
    ) -> tuple[Encoding, Source]:
        """Decide the maximum number of tokens."""
        encoding = TextEncoding(self._limit(estimator.max_tokens), self.digest)
        chosen = None if weights is None else np.flatnonzero(weights)
        source = encoding.source_of(estimator, X, chosen)
        _check_feature_names(estimator, X, reset=True)
        estimator.n_features_in_ = 1
        return encoding, source

    def check(self, X: object) -> None:
        """Refuse an X without a column of texts."""
        check_texts(X)

    def _limit(self, asked: int | None) -> int:
        """Return the maximum number of tokens of a text."""
        if asked is None:
            return min(self.max_tokens, self.n_positions or self.max_tokens)
        if self.n_positions is not None and asked > self.n_positions:
            raise ValueError(
                f"max_tokens={asked} is more than the {self.n_positions} tokens that this backbone "
                "can read. Lower it, and split long texts into parts."
            )
        n_special = n_special_tokens(opened(self.tokenizer))
        if asked <= n_special:
            raise ValueError(
                f"max_tokens={asked} leaves no room for words besides the {n_special} special "
                "tokens that the backbone puts around each text. Raise it."
            )
        return int(asked)


def read_input(path: str | os.PathLike[str], max_tokens: int) -> TextInput:
    """Return the input of a network whose tokenizer is in a file.

    Raises
    ------
    ValueError
        If the file is not that of a tokenizer.
    """
    content = Path(os.path.expanduser(path)).read_text(encoding="utf-8")
    opened(content)
    return TextInput(content, max_tokens)
