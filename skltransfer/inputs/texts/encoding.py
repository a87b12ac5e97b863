"""The rule from X to tokens that fit decides: which tokenizer, and how many tokens."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names

from skltransfer._fields import PositiveInt
from skltransfer._warnings import warn_user
from skltransfer.inputs._input import RowSpec, Size, TensorSpec
from skltransfer.inputs.texts.sources import TextSource
from skltransfer.inputs.texts.taking import texts_of
from skltransfer.inputs.texts.tokenizing import tokenizer_of

if TYPE_CHECKING:
    from keras import KerasTensor

TOKENS: RowSpec = (TensorSpec((None,), "int32"),)
"""The numbers of a text's tokens, as many as it has."""


@dataclass(frozen=True)
class TextEncoding:
    """Texts as the numbers of their tokens.

    Attributes
    ----------
    max_tokens : int
        Tokens of a text that are read at most.
    tokenizer : str
        SHA-256 of the tokenizer, which the backbone holds.
    """

    max_tokens: PositiveInt
    tokenizer: str

    is_learned: ClassVar[bool] = False
    size: ClassVar[Size] = ()
    refuses_views: ClassVar[str | None] = (
        "augment is for images, and there are no views of texts. Leave augment=None."
    )

    @property
    def row_spec(self) -> RowSpec:
        """Tensors of a row: the numbers of its tokens."""
        return TOKENS

    def cache_key_fields(self) -> list[object]:
        """The rule, and the library that splits texts."""
        return ["text", self.max_tokens, self.tokenizer, version("tokenizers")]

    def source(
        self, estimator: Any, X: object, chosen: NDArray[np.intp] | None = None
    ) -> TextSource:
        """X, or the `chosen` rows of it."""
        source = self.source_of(estimator, X, chosen)
        _check_feature_names(estimator, X, reset=False)
        return source

    def source_of(self, estimator: Any, X: object, chosen: NDArray[np.intp] | None) -> TextSource:
        """The same, whatever its columns are called."""
        texts = texts_of(X)
        tokenizer = tokenizer_of(estimator.backbone_.input.tokenizer, self.max_tokens)
        source = TextSource(texts, tokenizer, np.arange(len(texts)) if chosen is None else chosen)
        if estimator.on_error == "raise":
            source.check_none_missing()
        self._warn_of_cut_texts(source, estimator.backbone_.input.n_positions)
        return source

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Input of numbers of tokens, all texts of a batch with as many."""
        import keras

        source = keras.Input((None,), dtype="int32", name="token_ids")
        return source, source

    def _warn_of_cut_texts(self, source: TextSource, n_positions: int | None) -> None:
        n_cut = source.n_cut()
        if not n_cut:
            return
        most = "any number" if n_positions is None else f"up to {n_positions}"
        warn_user(
            f"{n_cut} of {len(source)} texts have more than max_tokens={self.max_tokens} tokens, "
            "and what is behind is not read. Split long texts, or raise max_tokens (this backbone "
            f"reads {most}); warnings.filterwarnings('ignore', message='.*max_tokens') silences "
            "this."
        )
