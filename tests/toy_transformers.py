"""Small networks of repeated blocks, built as users of Keras build them."""

from __future__ import annotations

import keras
from keras import layers, ops

WIDTH = 8
SIDE = 16
PATCH = 4
N_PATCHES = (SIDE // PATCH) ** 2


@keras.saving.register_keras_serializable("toy_transformers")
class ClassToken(layers.Layer):
    """Puts a learned token before the others."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, tokens):
        token = ops.broadcast_to(self.token, (ops.shape(tokens)[0], 1, tokens.shape[-1]))
        return ops.concatenate([token, tokens], axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + 1, shape[2])


@keras.saving.register_keras_serializable("toy_transformers")
class Position(layers.Layer):
    """Adds a learned vector to the token at each position."""

    def build(self, shape):
        self.vectors = self.add_weight(shape=(1, *shape[1:]), name="vectors")

    def call(self, tokens):
        return tokens + self.vectors


def patches(inputs):
    x = layers.Conv2D(WIDTH, PATCH, strides=PATCH, name="patches")(inputs)
    return layers.Reshape((N_PATCHES, WIDTH), name="tokens")(x)


def attention(x, **options):
    return layers.MultiHeadAttention(2, WIDTH // 2, dropout=0.1)(x, x, **options)


def perceptron(x, width=WIDTH):
    x = layers.Dropout(0.1)(layers.Dense(2 * width, activation="gelu")(x))
    return layers.Dense(width)(x)


def norm(x, name=None):
    return layers.LayerNormalization(name=name)(x)


def pre_norm_block(x, index):
    x = layers.Add()([x, attention(norm(x))])
    return layers.Add(name=f"block{index}")([x, perceptron(norm(x))])


def post_norm_block(x, index, **options):
    x = norm(layers.Add(name=f"block{index}_attended")([x, attention(x, **options)]))
    x = layers.Add(name=f"block{index}_sum")([x, perceptron(x)])
    return norm(x, name=f"block{index}")


def parallel_block(x, index):
    """Attention and perceptron side by side, as in GPT-J and ViT-22B."""
    normed = norm(x)
    return layers.Add(name=f"block{index}")([x, attention(normed), perceptron(normed)])


def vit(n_blocks=3, block=pre_norm_block, has_class_token=True, n_classes=None):
    """Patches, a class token, positions and blocks; with a top where there are classes."""
    x = patches(inputs := keras.Input((SIDE, SIDE, 3)))
    x = ClassToken(name="class_token")(x) if has_class_token else x
    x = layers.Dropout(0.1)(Position(name="position")(x))
    for index in range(n_blocks):
        x = block(x, index)
    x = x if block is post_norm_block else norm(x, "final")
    if n_classes:
        x = x[:, 0] if has_class_token else layers.GlobalAveragePooling1D()(x)
        x = layers.Dense(n_classes)(x)
    return keras.Model(inputs, x)


@keras.saving.register_keras_serializable("toy_transformers")
class Block(layers.Layer):
    """A block whose call is Python code."""

    def build(self, shape):
        self.norm = layers.LayerNormalization()
        self.wide = layers.Dense(2 * WIDTH, activation="gelu")
        self.narrow = layers.Dense(WIDTH)
        self.norm.build(shape)
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 2 * WIDTH))

    def call(self, tokens, training=None):
        return tokens + self.narrow(self.wide(self.norm(tokens)))


@keras.saving.register_keras_serializable("toy_transformers")
class Encoder(layers.Layer):
    """A layer that holds all blocks, as those of keras-hub do; it also gives what they pass."""

    def __init__(self, n_blocks=3, **settings):
        super().__init__(**settings)
        self.n_blocks = n_blocks
        self.blocks = [Block(name=f"block{index}") for index in range(n_blocks)]

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)

    def call(self, tokens, training=None):
        passed = [tokens]
        for block in self.blocks:
            passed.append(block(passed[-1], training=training))
        return passed[-1], {"passed": passed[1:-1]}

    def compute_output_shape(self, shape):
        return shape, {"passed": [shape] * (self.n_blocks - 1)}

    def get_config(self):
        return {**super().get_config(), "n_blocks": self.n_blocks}


@keras.saving.register_keras_serializable("toy_transformers")
class ScaledEncoder(Encoder):
    """One with a weight of its own between its blocks."""

    def build(self, shape):
        super().build(shape)
        self.scale = self.add_weight(shape=(), name="scale", initializer="ones")

    def call(self, tokens, training=None):
        passed, others = super().call(tokens, training)
        return self.scale * passed, others


@keras.saving.register_keras_serializable("toy_transformers")
class ConcreteEncoder(Encoder):
    """One whose code needs the numbers."""

    def call(self, tokens, training=None):
        if isinstance(tokens, keras.KerasTensor):
            raise TypeError("it takes no symbolic tensors")
        return super().call(tokens, training)


def of_encoder(encoder=Encoder):
    """All blocks in one layer."""
    x = Position(name="position")(patches(inputs := keras.Input((SIDE, SIDE, 3))))
    return keras.Model(inputs, norm(encoder(name="encoder")(x)[0], "final"))


def without_positions(n_blocks=3):
    """The first block reads what weights alone have embedded."""
    x = patches(inputs := keras.Input((SIDE, SIDE, 3)))
    for index in range(n_blocks):
        x = pre_norm_block(x, index)
    return keras.Model(inputs, x)


def mixer(n_blocks=3):
    """MLP-Mixer: perceptrons over positions and over channels in turn."""
    x = patches(inputs := keras.Input((SIDE, SIDE, 3)))
    for index in range(n_blocks):
        mixed = perceptron(layers.Permute((2, 1))(norm(x)), N_PATCHES)
        x = layers.Add()([x, layers.Permute((2, 1))(mixed)])
        x = layers.Add(name=f"block{index}")([x, perceptron(norm(x))])
    return keras.Model(inputs, norm(x, "final"))


def convnext_block(x, width, name):
    branch = norm(layers.DepthwiseConv2D(3, padding="same")(x))
    return layers.Add(name=name)([x, perceptron(branch, width)])


def isotropic_convnext(n_blocks=3):
    """ConvNeXt that keeps the size of its maps."""
    x = inputs = keras.Input((SIDE, SIDE, 3))
    x = norm(layers.Conv2D(WIDTH, PATCH, strides=PATCH)(x), "stem")
    for index in range(n_blocks):
        x = convnext_block(x, WIDTH, f"block{index}")
    return keras.Model(inputs, norm(x, "final"))


def convnext(n_blocks=2):
    """ConvNeXt of two sizes of maps."""
    x = inputs = keras.Input((SIDE, SIDE, 3))
    x = norm(layers.Conv2D(4, 2, strides=2)(x))
    for width, name in [(4, "wide"), (8, "narrow")]:
        if width == 8:
            x = layers.Conv2D(8, 2, strides=2)(norm(x))
        for index in range(n_blocks):
            x = convnext_block(x, width, f"{name}{index}")
    return keras.Model(inputs, norm(x, "final"))


def hybrid(n_blocks=3):
    """Convolutions that halve the image, then a transformer on what is left of it."""
    x = inputs = keras.Input((SIDE, SIDE, 3))
    for width in (4, WIDTH):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(name=f"convolved{width}")(layers.BatchNormalization()(x))
    x = Position(name="position")(layers.Reshape((N_PATCHES, WIDTH))(x))
    for index in range(n_blocks):
        x = pre_norm_block(x, index)
    return keras.Model(inputs, norm(x, "final"))


def merging(n_blocks=2):
    """Tokens of two widths, as in Swin: neighbours are merged between them."""
    x = Position(name="position")(patches(inputs := keras.Input((SIDE, SIDE, 3))))
    for index in range(n_blocks):
        x = pre_norm_block(x, index)
    x = layers.Reshape((N_PATCHES // 2, 2 * WIDTH))(x)
    x = layers.Dense(12, use_bias=False, name="merged")(x)
    for index in range(n_blocks):
        x = layers.Add(name=f"late{index}")([x, perceptron(norm(x), 12)])
    return keras.Model(inputs, norm(x, "final"))


def words(ids, n_words, is_masked=False):
    return layers.Embedding(n_words, WIDTH, mask_zero=is_masked, name="words")(ids)


def bert(n_blocks=3, n_words=20, mask=None):
    """Words and positions embedded, normalised, then post-norm blocks; any length.

    A mask of the word 0 is sent along by the embedding ("layer"), or computed by a "step".
    """
    ids = keras.Input((None,), dtype="int32")
    seen = {"attention_mask": ops.not_equal(ids, 0)[:, None]} if mask == "step" else {}
    x = words(ids, n_words, mask == "layer")
    x = x if mask == "layer" else x + layers.Embedding(64, WIDTH)(places(ids))
    x = layers.Dropout(0.1)(norm(x, "embedded"))
    for index in range(n_blocks):
        x = post_norm_block(x, index, **seen)
    return keras.Model(ids, x)


def places(ids):
    return ops.cumsum(ops.ones_like(ids), axis=1) - 1


def gpt(n_blocks=3, n_words=20, is_masked=False):
    """Words embedded, then causal pre-norm blocks; any length."""
    ids = keras.Input((None,), dtype="int32")
    x = words(ids, n_words, is_masked)
    for index in range(n_blocks):
        normed = norm(x)
        heads = layers.MultiHeadAttention(2, WIDTH // 2)
        x = layers.Add()([x, heads(normed, normed, use_causal_mask=True)])
        x = layers.Add(name=f"block{index}")([x, perceptron(norm(x))])
    return keras.Model(ids, norm(x, "final"))
