"""EfficientNet-Lite without its classification top: the architecture and its weights.

The net is that of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks" (ICML 2019, https://arxiv.org/abs/1905.11946), in its "lite" form: no squeeze-and-excite,
ReLU6 instead of swish. Dropout and stochastic depth are left out, so that a frozen layer is a plain
function of its input. Preprocessing is left to the caller: see `INPUT_OFFSET` and `INPUT_SCALE`.
The weights of Lite0 are part of the package; those of Lite2 are in a companion distribution.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras
    from keras import KerasTensor
    from keras.initializers import Initializer

INPUT_OFFSET = 127.0
"""The net sees ``(pixel - INPUT_OFFSET) / INPUT_SCALE`` of RGB pixels from 0 to 255."""
INPUT_SCALE = 128.0

LITE0 = "efficientnet_lite0"
LITE2 = "efficientnet_lite2"

_WEIGHTS_FILE = Path(__file__).parent / "weights" / "efficientnet_lite0.npz"
_BATCH_NORM_EPSILON = 1e-3
_STEM_FILTERS = 32
_TOP_FILTERS = 1280

_STAGES = {
    LITE0: (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ),
    LITE2: (
        (1, 3, 1, 1, 16),
        (3, 3, 2, 6, 24),
        (3, 5, 2, 6, 48),
        (4, 3, 2, 6, 88),
        (4, 5, 1, 6, 120),
        (5, 5, 2, 6, 208),
        (1, 3, 1, 6, 352),
    ),
}
"""For each stage: repeats, kernel size, stride of the first block, expansion, filters."""

VARIANTS = tuple(_STAGES)
"""The names of the networks."""


class Block(NamedTuple):
    """One inverted residual block; `name` is "block1a", "block2a", "block2b", ..."""

    name: str
    kernel_size: int
    stride: int
    expansion: int
    filters: int


def iter_blocks(variant: str = LITE0) -> Iterator[Block]:
    """Yield the blocks of a network, from the input to the output."""
    stages = enumerate(_STAGES[variant], start=1)
    for stage, (repeats, kernel_size, stride, expansion, filters) in stages:
        for repeat in range(repeats):
            name = f"block{stage}{'abcde'[repeat]}"
            yield Block(name, kernel_size, stride if repeat == 0 else 1, expansion, filters)


def build_efficientnet_lite(
    input_shape: tuple[int | None, ...] = (224, 224, 3), variant: str = LITE0
) -> keras.Model:
    """Build EfficientNet-Lite up to its last feature map, with random weights.

    Parameters
    ----------
    input_shape : tuple of (height, width, 3), default=(224, 224, 3)
        Height and width in pixels; either may be None, for any size.
    variant : {"efficientnet_lite0", "efficientnet_lite2"}, default="efficientnet_lite0"
        Which network.

    Returns
    -------
    keras.Model
        A functional float32 model from ``(n, height, width, 3)`` to
        ``(n, ceil(height / 32), ceil(width / 32), 1280)``, after BatchNorm and ReLU6. The model's
        input is ``(pixel - INPUT_OFFSET) / INPUT_SCALE``. With
        ``model.set_weights(bundled_weights())``, Lite0 becomes the pretrained net.

    Notes
    -----
    Data type and data format do not depend on Keras' global settings. Keras seeds the initial
    weights from Python's global ``random``; to fix them, use
    `skltransfer.backbones.random_state.seeded_python_random`.
    """
    import keras

    inputs = keras.Input(input_shape, dtype="float32", name="input_image")
    x = _conv(inputs, "stem_conv", _STEM_FILTERS, kernel_size=3, stride=2)
    x = _activation(_batch_norm(x, "stem_bn"), "stem_activation")
    for block in iter_blocks(variant):
        x = _inverted_residual(x, block)
    x = _conv(x, "top_conv", _TOP_FILTERS)
    x = _activation(_batch_norm(x, "top_bn"), "top_activation")
    return keras.Model(inputs, x, name=variant)


def load_efficientnet_lite_weights(path: Path = _WEIGHTS_FILE) -> dict[str, np.ndarray]:
    """Read ImageNet weights by name, by default the bundled ones; this needs no Keras.

    Returns
    -------
    dict of str to ndarray
        Read-only float32 arrays in Keras' layout and in the order of ``keras.Model.weights``, named
        ``"<layer>/<variable>"``, as in ``"stem_conv/kernel"`` or ``"top_bn/moving_mean"``.
        ``weights/README.md`` gives their source and licence (Apache-2.0).
    """
    # The file is opened here, because NumPy would not close a damaged file that it opened.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def bundled_weights() -> tuple[np.ndarray, ...]:
    """Return the bundled arrays as ``keras.Model.set_weights`` takes them."""
    return tuple(load_efficientnet_lite_weights().values())


def _inverted_residual(x: KerasTensor, block: Block) -> KerasTensor:
    """Expand, filter each channel, project; add the input if the shapes are equal."""
    import keras

    inputs = x
    if block.expansion != 1:
        x = _conv(x, f"{block.name}_expand_conv", x.shape[-1] * block.expansion)
        x = _activation(
            _batch_norm(x, f"{block.name}_expand_bn"), f"{block.name}_expand_activation"
        )
    x = _depthwise_conv(x, f"{block.name}_dwconv", block.kernel_size, block.stride)
    x = _activation(_batch_norm(x, f"{block.name}_bn"), f"{block.name}_activation")
    x = _conv(x, f"{block.name}_project_conv", block.filters)
    x = _batch_norm(x, f"{block.name}_project_bn")
    if block.stride == 1 and inputs.shape[-1] == block.filters:
        x = keras.layers.Add(dtype="float32", name=f"{block.name}_add")([x, inputs])
    return x


def _conv(
    x: KerasTensor, name: str, filters: int, kernel_size: int = 1, stride: int = 1
) -> KerasTensor:
    """Apply a convolution without bias, because a BatchNorm always follows."""
    import keras

    layer = keras.layers.Conv2D(
        filters, kernel_size, kernel_initializer=_initializer(), **_options(name, stride)
    )
    return layer(x)


def _depthwise_conv(x: KerasTensor, name: str, kernel_size: int, stride: int) -> KerasTensor:
    """Apply one filter to each channel, without bias."""
    import keras

    layer = keras.layers.DepthwiseConv2D(
        kernel_size, depthwise_initializer=_initializer(), **_options(name, stride)
    )
    return layer(x)


def _options(name: str, stride: int) -> dict[str, Any]:
    return {
        "strides": stride,
        "padding": "same",
        "data_format": "channels_last",
        "use_bias": False,
        "dtype": "float32",
        "name": name,
    }


def _batch_norm(x: KerasTensor, name: str) -> KerasTensor:
    import keras

    layer = keras.layers.BatchNormalization(
        axis=-1, epsilon=_BATCH_NORM_EPSILON, dtype="float32", name=name
    )
    return layer(x)


def _activation(x: KerasTensor, name: str) -> KerasTensor:
    import keras

    return keras.layers.ReLU(max_value=6.0, dtype="float32", name=name)(x)


def _initializer() -> Initializer:
    """Return the paper's initializer; Keras draws its seed from Python's generator."""
    import keras

    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
