"""The networks of `keras.applications`, by the names of their constructors.

Nearly everything is read from Keras: which constructors exist, their preprocessing and the end of
their features. Native sizes and numbers of parameters are in ``keras_applications.json``, because
determining them means building each network. ``measure_keras_applications.py`` writes this file.
"""

from __future__ import annotations

import inspect
import json
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.backbones.random_state import seeded_python_random
from skltransfer.backbones.spec import arrays_of
from skltransfer.backend import import_keras

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

FACTS_FILE = Path(__file__).with_name("keras_applications.json")
_USUAL_SIDE = 224
_SECONDS_OF_SILENCE = 20.0

# Patterns of the layer names that mark the stages in the architectures' papers. Other networks are
# divided where they halve the image. MobileNets number their blocks consecutively, so the first
# block of each group (a row of the tables in their papers) is listed. ResNetV2 normalises and
# activates the output of its first convolution before the first block splits into two paths, as
# described in its paper.
_STAGE_PATTERNS = {
    "EfficientNet": r"^block(\d+)[a-z]+_",
    "MobileNetV2": r"^(expanded_conv|block_(?:1|3|6|10|13|16))_",
    "MobileNetV3Large": r"^(expanded_conv(?:_(?:1|3|6|10|12))?)_[a-z]",
    "MobileNetV3Small": r"^(expanded_conv(?:_(?:1|3|6|8))?)_[a-z]",
    "ResNet": r"^conv(\d)_block(?!1_preact)",
    "DenseNet": r"^conv(\d)_block|^pool(\d)_",
    "VGG": r"^block(\d)_",
    "ConvNeXt": r"_stage_(\d)_block",
}

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@lru_cache(maxsize=1)
def constructors() -> dict[str, Callable[..., keras.Model]]:
    """Return all constructors of image networks in `keras.applications`, by name."""
    keras = import_keras()
    return {
        name: found
        for name, found in sorted(vars(keras.applications).items())
        if inspect.isfunction(found) and "include_top" in inspect.signature(found).parameters
    }


@lru_cache(maxsize=1)
def facts() -> dict[str, dict[str, Any]]:
    """Return the native size and number of parameters of each network, as measured from Keras."""
    found: dict[str, dict[str, Any]] = json.loads(FACTS_FILE.read_text(encoding="utf-8"))
    return found


def names() -> tuple[str, ...]:
    """Return the names of the networks of `keras.applications`, without importing Keras."""
    return tuple(constructors() if "keras" in sys.modules else facts())


def native_size(name: str) -> tuple[int, int]:
    """Return the height and width that the network was trained at."""
    known = facts().get(name)
    if known is None:
        return measured_size(name)
    height, width = known["input_size"]
    return height, width


def measured_size(name: str) -> tuple[int, int]:
    """Return the size at which Keras builds the whole network; 224 if Keras takes any size."""
    with seeded_python_random(0):
        whole = build(name, None, include_top=True)
    height, width = whole.inputs[0].shape[1:3]
    return height or _USUAL_SIDE, width or _USUAL_SIDE


def build(
    name: str,
    input_shape: tuple[int, ...] | None,
    *,
    weights: str | None = None,
    include_top: bool = False,
) -> keras.Model:
    """Build a network at `input_shape` (None means its own); see also `seeded_python_random`."""
    with _usual_settings():
        return constructors()[name](
            include_top=include_top, weights=weights, input_shape=input_shape
        )


@contextmanager
def _usual_settings() -> Iterator[None]:
    """Build in float32 and for channels last, whatever the user has set.

    In Keras, each thread has its own dtype policy, but the data format applies to the process.
    """
    config = import_keras().config
    policy, data_format = config.dtype_policy(), config.image_data_format()
    config.set_dtype_policy("float32")
    config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        config.set_dtype_policy(policy)
        config.set_image_data_format(data_format)


def preprocess(name: str) -> Callable[..., KerasTensor]:
    """Return Keras' own preprocessing of pixels from 0 to 255 for the network."""
    module = sys.modules[constructors()[name].__module__]
    function: Callable[..., KerasTensor] = module.preprocess_input
    return function


def weights_of(name: str, weights: Any, seed: int) -> list[np.ndarray]:
    """Return the weights of a network of Keras: downloaded, random or loaded."""
    from skltransfer.backbones.weights_files import read_weights_file

    size = native_size(name)
    with seeded_python_random(seed):
        if weights == "imagenet":
            arrays = _download(name, size)
        elif weights is None:
            arrays = arrays_of(build(name, (*size, 3)))
        else:
            arrays = read_weights_file(weights, *_layouts(name, size), name=name)
    return _divided_once_more(arrays) if name.startswith("EfficientNetB") else arrays


def _divided_once_more(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Adapt EfficientNet weights, because Keras builds another network for "imagenet" only.

    In Keras' network for "imagenet", a Normalization layer with ImageNet's statistics is followed
    by a division by the root of the same deviations. Here, there is no such division, so it becomes
    part of the variance. Weights with other statistics are unchanged.
    """
    mean, variance, *others = arrays
    if np.allclose(mean, _IMAGENET_MEAN, atol=1e-3) and np.allclose(
        variance, _IMAGENET_DEVIATION, atol=1e-3
    ):
        variance = variance * np.array(_IMAGENET_DEVIATION, np.float32)
    return [mean, variance, *others]


def stage_pattern(name: str) -> str | None:
    """Return the pattern of layer names that mark the stages of network `name`, if there is one."""
    return next((p for family, p in _STAGE_PATTERNS.items() if name.startswith(family)), None)


def _layouts(name: str, size: tuple[int, int]) -> tuple[Callable[[], keras.Model], ...]:
    """Return builders of the network without and with its top; a weights file may hold either."""
    return (
        lambda: build(name, (*size, 3)),
        lambda: build(name, None, include_top=True),
    )


def _download(name: str, size: tuple[int, int]) -> list[np.ndarray]:
    try:
        with _bounded_waiting():
            return arrays_of(build(name, (*size, 3), weights="imagenet"))
    except Exception as error:
        wanted = _wanted_file(error)
        if wanted is None:
            raise
        raise ValueError(_offline_message(name, wanted, error)) from error


@contextmanager
def _bounded_waiting() -> Iterator[None]:
    """Let a connection that Keras opens fail after seconds of silence, not only after minutes.

    Keras has no timeout setting and uses Python's default; a default that the user has set is kept.
    """
    if socket.getdefaulttimeout() is not None:
        yield
        return
    socket.setdefaulttimeout(_SECONDS_OF_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(None)


def _wanted_file(error: BaseException) -> dict[str, str] | None:
    """Return the file that Keras was about to fetch: `origin` (its address), `datadir` and `fname`.

    Keras' own message says neither where the file would go nor that it has another name there.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "get_file" and "datadir" in frame.f_locals:
            return {key: str(frame.f_locals[key]) for key in ("origin", "datadir", "fname")}
    return None


def _offline_message(name: str, wanted: dict[str, str], error: BaseException) -> str:
    return (
        f"backbone={name!r} with weights='imagenet' needs a file that could not be fetched: "
        f"{wanted['origin']} ({error.__context__ or error}). Download it on a machine with network "
        "access and either pass its path as weights=, or put it into the folder "
        f"{wanted['datadir']!r} under the name {wanted['fname']!r}. weights=None gives random "
        "weights. backbone='efficientnet_lite0' is part of skltransfer and needs no network."
    )
