"""The rule from X to tokens, decided in fit: which tokenizer, and how many tokens."""

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
from skltransfer.inputs.exported_input import ExportedInput
from skltransfer.inputs.texts.sources import TextSource
from skltransfer.inputs.texts.taking import texts_of
from skltransfer.inputs.texts.tokenizing import tokenizer_of

if TYPE_CHECKING:
    from keras import KerasTensor

TOKENS: RowSpec = (TensorSpec((None,), "int32"),)
"""The token ids of a text, as many as it has."""


_TRIAL_TEXTS = ("a b c", "Two words, and then 30 more: to be or not to be, that is the question.")


@dataclass(frozen=True)
class TextEncoding:
    """Texts as token ids.

    Attributes
    ----------
    max_tokens : int
        Maximum number of tokens of a text.
    tokenizer : str
        SHA-256 of the backbone's tokenizer.
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
        """Tensors of a row: its token ids."""
        return TOKENS

    def recipe(self) -> list[object]:
        """Return the rule."""
        return ["text", self.max_tokens, self.tokenizer]

    def cache_key_fields(self) -> list[object]:
        """Return the rule, and the library that splits texts."""
        return [*self.recipe(), version("tokenizers")]

    def source(
        self, estimator: Any, X: object, chosen: NDArray[np.intp] | None = None
    ) -> TextSource:
        """Return the source of X, or of its `chosen` rows."""
        source = self.source_of(estimator, X, chosen)
        _check_feature_names(estimator, X, reset=False)
        return source

    def source_of(self, estimator: Any, X: object, chosen: NDArray[np.intp] | None) -> TextSource:
        """Return the source, without checking the names of the columns."""
        texts = texts_of(X)
        tokenizer = tokenizer_of(estimator.backbone_.input.tokenizer, self.max_tokens)
        source = TextSource(texts, tokenizer, np.arange(len(texts)) if chosen is None else chosen)
        if estimator.on_error == "raise":
            source.check_none_missing()
        self._warn_of_cut_texts(source, estimator.backbone_.input.n_positions)
        return source

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Return an input for token ids; all texts of a batch must have the same length."""
        import keras

        source = keras.Input((None,), dtype="int32", name="token_ids")
        return source, source

    def exported_input(self, estimator: Any, image_size: tuple[int, int] | None) -> ExportedInput:
        """Return the input of token ids, all texts of a batch of the same length."""
        if image_size is not None:
            raise ValueError(
                f"image_size={image_size} is for images, but this estimator reads texts. Leave it "
                "at None."
            )
        content = estimator.backbone_.input.tokenizer
        tokenizer = tokenizer_of(content, self.max_tokens)
        return ExportedInput(
            name="token_ids",
            shape=(None, None),
            dtype="int32",
            rows=lambda token_ids: token_ids,
            trials=[([text], tokenizer.ids(text)[np.newaxis]) for text in _TRIAL_TEXTS],
            described={"max_tokens": self.max_tokens},
            files={"tokenizer.json": content},
        )

    def _warn_of_cut_texts(self, source: TextSource, n_positions: int | None) -> None:
        n_cut = source.n_cut()
        if not n_cut:
            return
        most = "any number" if n_positions is None else f"up to {n_positions}"
        warn_user(
            f"{n_cut} of {len(source)} texts have more than max_tokens={self.max_tokens} tokens, "
            "and only their beginning is read. Split long texts, or raise max_tokens (this "
            f"backbone reads {most}); warnings.filterwarnings('ignore', message='.*max_tokens') "
            "silences this."
        )
