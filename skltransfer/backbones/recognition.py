"""Networks of ``keras.applications`` that are passed as models, recognised by their layers.

Such a model does not contain its preprocessing. If a network is passed by name, its preprocessing
is known. If it is passed as a model, the preprocessing follows from the family that is recognised
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

_PASS_ON = {"InputLayer", "ZeroPadding2D", "Resizing", "CenterCrop", "Concatenate", "Identity"}
_RANDOM = "Random"
_FIRST_LAYERS = 3


class Recognised(NamedTuple):
    """A family of networks, and the mode of Keras' preprocessing that it was trained with."""

    family: str
    mode: str


_BY_NAMES = {
    ("conv1", "conv1_bn", "conv_dw_1"): Recognised("MobileNet", "tf"),
    ("Conv1", "bn_Conv1", "expanded_conv_depthwise"): Recognised("MobileNetV2", "tf"),
    ("conv", "conv_bn", "expanded_conv_depthwise"): Recognised("MobileNetV3", "tf"),
    ("block1_conv1", "block1_conv2", "block2_conv1"): Recognised("VGG", "caffe"),
    ("block1_conv1", "block1_conv1_bn", "block1_conv2"): Recognised("Xception", "tf"),
    ("conv1_conv", "conv1_bn", "conv2_block1_1_conv"): Recognised("ResNet", "caffe"),
    ("conv1_conv", "conv1_bn", "conv2_block1_0_conv"): Recognised("ResNet", "caffe"),
    ("conv1_conv", "conv1_bn", "conv2_block1_0_bn"): Recognised("DenseNet", "torch"),
    ("conv1_conv", "conv2_block1_preact_bn"): Recognised("ResNetV2", "tf"),
    ("stem_conv1", "stem_bn1"): Recognised("NASNet", "tf"),
}
_INCEPTION = Recognised("Inception", "tf")
_INCEPTION_STEM = ((32, (2, 2), "valid"), (32, (1, 1), "valid"), (64, (1, 1), "same"))
"""Filters, strides and padding of Inception's first convolutions, which Keras leaves unnamed."""


def recognised(model: Any) -> Recognised | None:
    """Return which network of ``keras.applications`` a model begins with, if any.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential. A model that rescales its input, or changes it in another way
        before its first weights, has its own preprocessing.

    Returns
    -------
    Recognised or None
        The family; None if the model belongs to none of them, or needs no preprocessing.
    """
    channels, number_format = model.inputs[0].shape[-1], model.inputs[0].dtype
    if channels != 3 or "int" in number_format:
        return None
    weighted = list(islice(_weighted_at_the_beginning(model), 2 * _FIRST_LAYERS))
    names = tuple(layer.name for layer in weighted)
    for length in (3, 2):
        if names[:length] in _BY_NAMES:
            return _BY_NAMES[names[:length]]
    return _INCEPTION if _has_inception_stem(weighted) else None


def _weighted_at_the_beginning(model: Any) -> Iterator[Any]:
    """Yield layers with weights; none if the input is changed before the first of them."""
    is_first = True
    for operation in _operations(model):
        if getattr(operation, "weights", None):
            yield operation
            is_first = False
        elif is_first and not _passes_on(operation):
            return


def _operations(model: Any) -> Iterator[Any]:
    """Yield all operations in topological order, nested models flattened."""
    import keras

    own = model.layers if isinstance(model, keras.Sequential) else model.operations
    for operation in own:
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
        else:
            yield operation


def _passes_on(operation: Any) -> bool:
    kind = type(operation).__name__
    return kind in _PASS_ON or kind.startswith(_RANDOM)


def _has_inception_stem(weighted: list[Any]) -> bool:
    convolutions, norms = weighted[::2], weighted[1::2]
    kinds = [type(layer).__name__ for layer in weighted]
    if kinds != ["Conv2D", "BatchNormalization"] * _FIRST_LAYERS:
        return False
    found = tuple((c.filters, tuple(c.strides), c.padding) for c in convolutions)
    plain = all(tuple(c.kernel_size) == (3, 3) and not c.use_bias for c in convolutions)
    return plain and found == _INCEPTION_STEM and not any(n.scale for n in norms)
