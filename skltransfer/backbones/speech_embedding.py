"""Google's speech embedding: the architecture and its bundled weights.

The network is that of Lin et al., "Training Keyword Spotters with Limited and Synthesized Speech
Data" (ICASSP 2020, https://arxiv.org/abs/2002.01322): a plain chain of convolutions over a map of
log-mel frames. The convolutions run alternately along the mel bands and along time. The network was
trained to tell five thousand spoken keywords apart. Each step of its output sees 76 frames, and the
frames of the next step begin eight frames later.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras

N_MELS = 32
"""Number of mel bands of a frame."""

_WEIGHTS_FILE = Path(__file__).parent / "weights" / "speech_embedding.npz"
_BATCH_NORM_EPSILON = 1e-3
_NEGATIVE_SLOPE = 0.2
_FLOOR = -0.4
_TOP_FILTERS = 96

# One row for each block: filters, pairs of convolutions, and the pooling after them.
_BLOCKS = (
    (24, 1, (2, 2)),
    (48, 2, (1, 2)),
    (72, 2, (2, 2)),
    (96, 2, (1, 2)),
    (96, 2, (2, 2)),
)


class Block(NamedTuple):
    """Pairs of convolutions, followed by a pooling over (frames, bands)."""

    name: str
    filters: int
    n_pairs: int
    pool: tuple[int, int]

    def convolutions(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the name and the kernel size (frames, bands) of each convolution, in order."""
        for pair in "ab"[: self.n_pairs]:
            yield f"{self.name}{pair}_band_conv", (1, 3)
            yield f"{self.name}{pair}_time_conv", (3, 1)


def iter_blocks() -> Iterator[Block]:
    """Yield the five blocks from the input to the output."""
    for number, (filters, n_pairs, pool) in enumerate(_BLOCKS, start=1):
        yield Block(f"block{number}", filters, n_pairs, pool)


def build_speech_embedding() -> keras.Model:
    """Build the network with random weights.

    Returns
    -------
    keras.Model
        A functional float32 model from log-mel maps (n, frames, 32, 1) with at least 76 frames to
        embeddings (n, (frames - 68) // 8, 96). ``model.set_weights(bundled_weights())`` makes it
        the pretrained network.
    """
    import keras
    from keras import layers

    inputs = keras.Input((None, N_MELS, 1), dtype="float32", name="log_mel")
    padding = ((0, 0), (1, 1))
    x = layers.ZeroPadding2D(padding, data_format="channels_last", dtype="float32", name="stem_pad")
    x = _conv(x(inputs), "stem_conv", _BLOCKS[0][0], (3, 3), use_bias=False, activation="relu")
    x = layers.BatchNormalization(
        axis=-1, epsilon=_BATCH_NORM_EPSILON, dtype="float32", name="stem_bn"
    )(x)
    x = _activation(x, "stem")
    for block in iter_blocks():
        for name, kernel in block.convolutions():
            x = _activation(_conv(x, name, block.filters, kernel), name)
        x = layers.MaxPooling2D(
            block.pool, data_format="channels_last", dtype="float32", name=f"{block.name}_pool"
        )(x)
    x = _conv(x, "top_conv", _TOP_FILTERS, (3, 1), use_bias=False)
    x = layers.Reshape((-1, _TOP_FILTERS), dtype="float32", name="steps")(x)
    return keras.Model(inputs, x, name="speech_embedding")


def load_speech_embedding_weights() -> dict[str, np.ndarray]:
    """Read the bundled weights by name; this needs no Keras.

    Returns
    -------
    dict of str to ndarray
        Read-only float32 arrays in Keras' layout and in the order of ``keras.Model.weights``, named
        ``"<layer>/<variable>"``. ``weights/README.md`` gives their source and licence (Apache-2.0).
    """
    with np.load(_WEIGHTS_FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def bundled_weights() -> tuple[np.ndarray, ...]:
    """Return the bundled arrays as ``keras.Model.set_weights`` takes them."""
    return tuple(load_speech_embedding_weights().values())


def _conv(x: Any, name: str, filters: int, kernel: tuple[int, int], **settings: Any) -> Any:
    """Apply a convolution; it pads the bands if it runs along them, but never the frames."""
    import keras

    layer = keras.layers.Conv2D(
        filters,
        kernel,
        padding="same" if kernel[0] == 1 else "valid",
        data_format="channels_last",
        dtype="float32",
        name=name,
        **settings,
    )
    return layer(x)


def _activation(x: Any, name: str) -> Any:
    """Apply the leaky ReLU with a floor that follows each convolution."""
    from keras import layers, ops

    x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype="float32", name=f"{name}_activation")(x)
    return ops.maximum(x, _FLOOR)
