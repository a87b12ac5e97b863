"""Transformer encoders for texts in plain Keras, built from a description.

There are two layouts. Blocks of BERT (Devlin et al., "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", NAACL 2019) end in a normalisation. Blocks of GPT-2
(Radford et al., "Language Models are Unsupervised Multitask Learners", 2019) begin with a
normalisation, and in these blocks, a token sees only earlier tokens. Dropout is omitted, so that a
frozen layer is a plain function of its input.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from skltransfer.backbones.architectures import Architecture, register_architecture

if TYPE_CHECKING:
    import keras

    from skltransfer.inputs._input import Size

KIND = "transformer"

_ACTIVATIONS = {"gelu": False, "gelu_tanh": True}
_OTHER_ACTIVATIONS = ("relu", "silu", "tanh")
_COUNTS = ("n_words", "n_positions", "width", "n_blocks", "n_heads", "inner_width")
_MOST_BLOCKS = 1000


@dataclass(frozen=True)
class TransformerConfig:
    """Description of an encoder.

    Attributes
    ----------
    n_words, n_positions : int
        Number of rows in the tables of words and positions.
    width : int
        Width of a token's vector.
    n_blocks, n_heads : int
        Number of blocks, and of attention heads in each.
    inner_width : int
        Number of units of the hidden layer in a block.
    activation : {"gelu", "gelu_tanh", "relu", "silu", "tanh"}
        Activation of that layer; "gelu" is the exact GELU.
    epsilon : float
        Epsilon of the normalisations.
    causal : bool
        True for the layout of GPT-2, False for that of BERT.
    padding : int
        Id of the padding token if positions are counted from this id plus one, as in RoBERTa; -1 if
        positions are counted from 0.
    """

    n_words: int
    n_positions: int
    width: int
    n_blocks: int
    n_heads: int
    inner_width: int
    activation: str
    epsilon: float
    causal: bool
    padding: int

    def __post_init__(self) -> None:
        """Refuse invalid descriptions, whatever their source."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        fits = (
            all(type(count) is int and count > 0 for count in counts.values())
            and self.n_blocks <= _MOST_BLOCKS
            and self.width % self.n_heads == 0
            and self.activation in (*_ACTIVATIONS, *_OTHER_ACTIVATIONS)
            and (type(self.epsilon), type(self.causal)) == (float, bool)
            and 0 < self.epsilon < 1
            and type(self.padding) is int
            and -1 <= self.padding < self.n_positions - 1
        )
        if not fits:
            raise ValueError(f"these settings do not describe a transformer: {asdict(self)}")

    def described(self) -> dict[str, Any]:
        """Return the architecture of a spec, in JSON types."""
        return {"kind": KIND, **asdict(self)}

    @classmethod
    def of(cls, description: dict[str, Any]) -> TransformerConfig:
        """Read the result of `described`.

        Raises
        ------
        ValueError
            If this is not a valid description.
        """
        if set(description) != {"kind", *cls.__dataclass_fields__}:
            raise ValueError(f"a transformer is described by {', '.join(cls.__dataclass_fields__)}")
        return cls(**{name: description[name] for name in cls.__dataclass_fields__})

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights in the order of Keras, by layer and variable."""
        found: dict[str, tuple[int, ...]] = {
            "tokens/embeddings": (self.n_words, self.width),
            "positions/embeddings": (self.n_positions, self.width),
        }
        if not self.causal:
            found |= self._of_norm("embeddings")
        for number in range(1, self.n_blocks + 1):
            found |= self._of_block(f"block{number}")
        return found | (self._of_norm("final_norm") if self.causal else {})

    def _of_block(self, name: str) -> dict[str, tuple[int, ...]]:
        before, attention = self._of_norm(f"{name}_attention_norm"), self._of_attention(name)
        inner, outer = (self.width, self.inner_width), (self.inner_width, self.width)
        dense = {**_of_dense(f"{name}_inner", inner), **_of_dense(f"{name}_outer", outer)}
        if self.causal:
            return {**before, **attention, **self._of_norm(f"{name}_norm"), **dense}
        return {**attention, **before, **dense, **self._of_norm(name)}

    def _of_attention(self, name: str) -> dict[str, tuple[int, ...]]:
        heads = self.n_heads, self.width // self.n_heads
        found: dict[str, tuple[int, ...]] = {}
        for part in ("query", "key", "value"):
            found[f"{name}_attention/{part}/kernel"] = (self.width, *heads)
            found[f"{name}_attention/{part}/bias"] = heads
        found[f"{name}_attention/attention_output/kernel"] = (*heads, self.width)
        found[f"{name}_attention/attention_output/bias"] = (self.width,)
        return found

    def _of_norm(self, name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}/gamma": (self.width,), f"{name}/beta": (self.width,)}


def _of_dense(name: str, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    return {f"{name}/kernel": shape, f"{name}/bias": shape[1:]}


def activation_name(name: str) -> str | None:
    """Return our name of an activation in Hugging Face's configurations; None if unknown."""
    same = {"gelu_new", "gelu_fast", "gelu_pytorch_tanh"}
    known = {**dict.fromkeys(same, "gelu_tanh"), "swish": "silu", "gelu_python": "gelu"}
    found = known.get(name, name)
    return found if found in (*_ACTIVATIONS, *_OTHER_ACTIVATIONS) else None


# Building --------------------------------------------------------------------------------------


def build_transformer(config: TransformerConfig) -> keras.Model:
    """Build an encoder from token ids (n, length) to (n, length, width).

    Its layers are Keras' own. It uses no mask, because every row is read to its end.
    """
    import keras

    ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = _embedded(ids, config)
    block = _pre_norm_block if config.causal else _post_norm_block
    for number in range(1, config.n_blocks + 1):
        x = block(x, f"block{number}", config)
    if config.causal:
        x = _normalised(x, "final_norm", config)
    return keras.Model(ids, x, name=KIND)


def _embedded(ids: keras.KerasTensor, config: TransformerConfig) -> keras.KerasTensor:
    import keras
    from keras.layers import Add, Embedding

    tokens = Embedding(config.n_words, config.width, dtype="float32", name="tokens")(ids)
    table = Embedding(config.n_positions, config.width, dtype="float32", name="positions")
    places = [tokens, table(_positions(ids, config.padding))]
    if config.causal:
        return Add(dtype="float32", name="embeddings")(places)
    x = keras.layers.Add(dtype="float32", name="embeddings_sum")(places)
    return _normalised(x, "embeddings", config)


def _positions(ids: keras.KerasTensor, padding: int) -> keras.KerasTensor:
    """Return token positions 0, 1, 2, ..., or counted from the padding token's id plus one."""
    from keras import ops

    if padding < 0:
        return ops.cumsum(ops.ones_like(ids), axis=1) - 1
    counted = ops.cast(ops.not_equal(ids, padding), "int32")
    return ops.cumsum(counted, axis=1) * counted + padding


def _post_norm_block(
    x: keras.KerasTensor, name: str, config: TransformerConfig
) -> keras.KerasTensor:
    from keras.layers import Add

    attended = _attention(x, name, config)
    x = Add(dtype="float32", name=f"{name}_attention_sum")([x, attended])
    x = _normalised(x, f"{name}_attention_norm", config)
    x = Add(dtype="float32", name=f"{name}_sum")([x, _dense(x, name, config)])
    return _normalised(x, name, config)


def _pre_norm_block(
    x: keras.KerasTensor, name: str, config: TransformerConfig
) -> keras.KerasTensor:
    from keras.layers import Add

    normalised = _normalised(x, f"{name}_attention_norm", config)
    attended = _attention(normalised, name, config)
    x = Add(dtype="float32", name=f"{name}_attention_sum")([x, attended])
    behind = _dense(_normalised(x, f"{name}_norm", config), name, config)
    return Add(dtype="float32", name=name)([x, behind])


def _attention(x: keras.KerasTensor, name: str, config: TransformerConfig) -> keras.KerasTensor:
    from keras.layers import MultiHeadAttention

    layer = MultiHeadAttention(
        config.n_heads, config.width // config.n_heads, dtype="float32", name=f"{name}_attention"
    )
    return layer(x, x, use_causal_mask=True) if config.causal else layer(x, x)


def _dense(x: keras.KerasTensor, name: str, config: TransformerConfig) -> keras.KerasTensor:
    from keras import ops
    from keras.layers import Dense

    plain = None if config.activation == "gelu_tanh" else config.activation
    layer = Dense(config.inner_width, activation=plain, dtype="float32", name=f"{name}_inner")
    x = layer(x)
    x = ops.gelu(x, approximate=True) if plain is None else x
    return Dense(config.width, dtype="float32", name=f"{name}_outer")(x)


def _normalised(x: keras.KerasTensor, name: str, config: TransformerConfig) -> keras.KerasTensor:
    from keras.layers import LayerNormalization

    return LayerNormalization(epsilon=config.epsilon, dtype="float32", name=name)(x)


def _build(description: dict[str, Any], size: Size) -> Any:
    return build_transformer(TransformerConfig.of(description))


register_architecture(KIND, Architecture(_build))
