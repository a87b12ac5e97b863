"""A tiny random text network, and a kind of input that reads rows of numbers as its words.

scikit-learn's checks return at once for estimators whose tags say that they read text. With this
kind the tags are those of tables, every number becomes a word, and all checks run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.validation import validate_data

from skltransfer.backbones.hugging_face import text_spec
from skltransfer.backbones.transformer import TransformerConfig
from skltransfer.inputs.texts.encoding import TextEncoding
from skltransfer.inputs.texts.kind import TextInput

N_COLUMNS, N_BINS = 24, 25
CONFIG = TransformerConfig(
    n_words=N_COLUMNS * N_BINS + 3,
    n_positions=64,
    width=32,
    n_blocks=2,
    n_heads=2,
    inner_width=32,
    activation="gelu",
    epsilon=1e-12,
    causal=False,
    padding=-1,
)


def make_tokenizer():
    """JSON of a tokenizer whose words are bins of columns."""
    names = [f"c{column}b{bin_}" for column in range(N_COLUMNS) for bin_ in range(N_BINS)]
    words = {word: number for number, word in enumerate(["[UNK]", "[CLS]", "[SEP]", *names])}
    special = [
        {"id": number, "content": word, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for number, word in enumerate(["[UNK]", "[CLS]", "[SEP]"])
    ]
    around = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    around.append({"SpecialToken": {"id": "[SEP]", "type_id": 0}})
    ids = {w: {"id": w, "ids": [words[w]], "tokens": [w]} for w in ("[CLS]", "[SEP]")}
    pair = [*around, {"Sequence": {"id": "B", "type_id": 1}}]
    template = {"single": around, "pair": pair, "special_tokens": ids}
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": special,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {"type": "TemplateProcessing", **template},
            "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
        }
    )


def make_network(name="toy_texts"):
    """Handle of the network, whose weights depend on a seed alone.

    Words of neighbouring bins have similar embeddings, as words of similar meaning have.
    """
    rng = np.random.default_rng(0)
    arrays = []
    for variable, shape in CONFIG.shapes().items():
        if variable.endswith("gamma"):
            arrays.append(np.ones(shape, np.float32))
        elif variable == "tokens/embeddings":
            arrays.append(np.concatenate([rng.normal(size=(3, shape[1])), _words(rng, shape[1])]))
        else:
            arrays.append(rng.normal(0, 0.1, shape))
    floats = tuple(array.astype(np.float32) for array in arrays)
    return text_spec(name, CONFIG, floats, make_tokenizer())


def _words(rng, width):
    angles = np.linspace(-0.8, 0.8, N_BINS)[:, np.newaxis]
    pairs = rng.normal(size=(N_COLUMNS, 2, 1, width))
    return np.concatenate([np.cos(angles) * u + np.sin(angles) * v for u, v in pairs])


def as_words(rows):
    """Every number as a word for its column and its magnitude."""
    bins = np.clip(np.rint(4 * np.arcsinh(rows)) + N_BINS // 2, 0, N_BINS - 1).astype(int)
    return [" ".join(f"c{column % N_COLUMNS}b{b}" for column, b in enumerate(row)) for row in bins]


@dataclass(frozen=True)
class NumbersAsWords(TextInput):
    """Rows of numbers, read as texts."""

    def adapt_tags(self, tags):
        """Change nothing: X is a table."""

    def check(self, X):
        """Leave it to scikit-learn."""

    def fit(self, estimator, X, weights, accepts):
        texts = as_words(validate_data(estimator, X, dtype=np.float64))
        encoding = EncodedNumbers(self._limit(estimator.max_tokens), self.digest)
        chosen = None if weights is None else np.flatnonzero(weights)
        return encoding, encoding.source_of(estimator, texts, chosen)


@dataclass(frozen=True)
class EncodedNumbers(TextEncoding):
    """The rule that the kind above decides on."""

    def source(self, estimator, X, chosen=None):
        rows = validate_data(estimator, X, reset=False, dtype=np.float64)
        return self.source_of(estimator, as_words(rows), chosen)


def make_network_of_numbers():
    """Handle of the same network, which reads rows of numbers."""
    spec = make_network("toy_numbers")
    kind = NumbersAsWords(spec.input.tokenizer, max_tokens=64, n_positions=64)
    return replace(spec, input=kind, fingerprint="")
