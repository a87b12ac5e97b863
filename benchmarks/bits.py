"""Digests of results of all kinds, to show that a change of the code changes no bit.

Usage: ``python benchmarks/bits.py write FILE.json`` before the change, and after it, on the same
machine and with the same packages, ``python benchmarks/bits.py compare FILE.json``, which ends
with 1 where a result differs. ``--only SUBSTRING`` takes the cases with that in their name. It
takes some minutes. Only the public names of the package are used. Every case starts from an empty
cache, so that each result is computed and none of another case is looked up.
"""

import argparse
import hashlib
import inspect
import io
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the workers

import keras
import numpy as np
import pandas
import polars
import scipy
import sklearn
import tensorflow
from keras import layers
from PIL import Image
from PIL import __version__ as pillow_version
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skltransfer
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor

Case = tuple[str, Callable[[], Any]]

DATA = Path(__file__).parents[1] / "tests" / "data"
BUNDLED = {"backbone": "efficientnet_lite0", "input_size": (64, 64)}
ORIENTATION = 0x0112
SHOWN = 8
"""Images that are predicted after a fit."""


# Networks -----------------------------------------------------------------------------------


def normalised(x: Any, width: int, name: str, strides: int = 1) -> Any:
    """A convolution, BatchNorm and ReLU; the last is called `name`."""
    options = {"strides": strides, "padding": "same", "use_bias": False}
    x = layers.Conv2D(width, 3, **options, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=name)(x)


def conv_net() -> keras.Model:
    """Four stages with BatchNorm, and two sums."""
    inputs = keras.Input((24, 24, 3), name="pixels")
    stem = normalised(inputs, 8, "stem", strides=2)
    x = layers.Add(name="block1_add")([stem, normalised(stem, 8, "block1")])
    x = normalised(x, 12, "block2", strides=2)
    x = normalised(x, 16, "block3", strides=2)
    outputs = layers.Add(name="block4_add")([x, normalised(x, 16, "block4")])
    return keras.Model(inputs, outputs, name="bits_conv")


def attended(x: Any, name: str) -> Any:
    """A block of a transformer."""
    seen = layers.LayerNormalization(name=f"{name}_norm1")(x)
    seen = layers.MultiHeadAttention(2, 4, name=f"{name}_attention")(seen, seen)
    x = layers.Add(name=f"{name}_add1")([x, seen])
    seen = layers.LayerNormalization(name=f"{name}_norm2")(x)
    seen = layers.Dense(16, activation="gelu", name=f"{name}_wide")(seen)
    seen = layers.Dense(8, name=f"{name}_narrow")(seen)
    return layers.Add(name=f"{name}_add2")([x, seen])


def token_net() -> keras.Model:
    """Attention over patches, with LayerNorm and a classification top."""
    inputs = keras.Input((24, 24, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescaling")(inputs)
    x = layers.Conv2D(8, 4, strides=4, name="patches")(x)
    x = layers.Reshape((-1, 8), name="sequence")(x)
    x = attended(attended(x, "encoder1"), "encoder2")
    x = layers.LayerNormalization(name="tokens")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(5, name="top")(x), name="bits_tokens")


def separable(x: Any, width: int, name: str, strides: int = 1) -> Any:
    """A depthwise convolution, gated by squeeze and excitation, and a pointwise one."""
    options = {"strides": strides, "padding": "same", "use_bias": False}
    x = layers.DepthwiseConv2D(3, **options, name=f"{name}_depthwise")(x)
    x = layers.BatchNormalization(name=f"{name}_bn1")(x)
    x = layers.ReLU(6.0, name=f"{name}_relu")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    gate = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{name}_gate")(gate)
    x = layers.Multiply(name=f"{name}_excite")([x, gate])
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(x)
    return layers.BatchNormalization(name=f"{name}_bn2")(x)


def depthwise_net() -> keras.Model:
    """Three stages of separable convolutions."""
    inputs = keras.Input((24, 24, 3), name="pixels")
    x = layers.Conv2D(9, 3, strides=2, padding="same", name="stem")(inputs)
    x = layers.Add(name="first_add")([x, separable(x, 9, "first")])
    x = separable(x, 14, "second", strides=2)
    outputs = layers.ReLU(6.0, name="end")(separable(x, 20, "third", strides=2))
    return keras.Model(inputs, outputs, name="bits_depthwise")


def seeded(model: keras.Model, seed: int) -> keras.Model:
    """The model with weights that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(0, 0.3, weight.shape) for weight in model.weights]
    for array, weight in zip(arrays, model.weights, strict=True):
        if weight.name in ("gamma", "moving_variance"):
            array[...] = np.abs(array) + 0.1
    model.set_weights(arrays)
    return model


NETWORKS = {
    "conv": (conv_net, "tf"),
    "tokens": (token_net, None),
    "depthwise": (depthwise_net, "torch"),
}


@cache
def network(name: str, preprocessing: Any = "its own") -> Any:
    """The handle of a small network."""
    build, usual = NETWORKS[name]
    preprocessing = usual if preprocessing == "its own" else preprocessing
    model = seeded(build(), seed=len(name))
    named = f"bits {name} {preprocessing}"
    return skltransfer.register_backbone(named, model, preprocessing=preprocessing)


def networks() -> dict[str, dict[str, Any]]:
    """Parameters for each network."""
    return {"bundled": BUNDLED, **{name: {"backbone": network(name)} for name in NETWORKS}}


# Images -----------------------------------------------------------------------------------


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@cache
def images(n: int = 6, height: int = 20, width: int = 28) -> np.ndarray:
    """Images of smooth shapes and noise."""
    rng = generator(n)
    coarse = rng.integers(0, 256, (n, height // 4 + 1, width // 4 + 1, 4))
    smooth = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)[..., :3]


@cache
def labelled() -> tuple[np.ndarray, np.ndarray]:
    """Images of three shades, and their labels."""
    dark = generator(1).integers(0, 140, (27, 24, 24, 3))
    shades = 50 * (np.arange(27) % 3)
    return (
        (dark + shades[:, None, None, None]).astype(np.uint8),
        np.array(["ash", "birch", "cedar"] * 9),
    )


@cache
def numbers() -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers of three classes, and their labels."""
    rows = generator(2).normal(size=(27, 7))
    rows[:, 0] += np.arange(27) % 3
    return rows, labelled()[1]


@cache
def photo(height: int = 30, width: int = 40) -> Image.Image:
    """A smooth image, as cameras make them."""
    seeds = generator(3).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(seeds).resize((width, height), Image.Resampling.BICUBIC)


def with_alpha(image: Image.Image) -> Image.Image:
    return Image.merge("RGBA", [*image.split(), image.getchannel(0)])


def encoded(image: Any, file_format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, file_format, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def deep() -> np.ndarray:
    """Grey levels of 16 bits."""
    return generator(4).integers(0, 65536, (20, 28), dtype=np.uint16)


@cache
def files() -> dict[str, bytes]:
    """Files of many kinds by name, the ending of which is the format."""
    image, large = photo(), photo(900, 1200)
    clear, grey = with_alpha(image), image.convert("L")
    jpegs = {
        f"orientation {number}.jpeg": encoded(image, "JPEG", exif=exif(number))
        for number in range(1, 9)
    }
    return jpegs | {
        "rgb.png": encoded(image, "PNG"),
        "rgba.png": encoded(clear, "PNG"),
        "grey.png": encoded(grey, "PNG"),
        "grey and alpha.png": encoded(clear.convert("LA"), "PNG"),
        "palette.png": encoded(image.quantize(16), "PNG"),
        "one bit.png": encoded(grey.convert("1"), "PNG"),
        "16 bits.png": encoded(deep(), "PNG"),
        "turned.png": encoded(image, "PNG", exif=exif(6)),
        "small.jpeg": encoded(image, "JPEG"),
        "grey.jpeg": encoded(grey, "JPEG"),
        "cmyk.jpeg": encoded(image.convert("CMYK"), "JPEG"),
        "progressive.jpeg": encoded(image, "JPEG", progressive=True),
        "large.jpeg": encoded(large, "JPEG"),
        "large and turned.jpeg": encoded(large, "JPEG", exif=exif(8)),
        "large and grey.jpeg": encoded(large.convert("L"), "JPEG"),
        "rgb.bmp": encoded(image, "BMP"),
        "palette.bmp": encoded(image.quantize(16), "BMP"),
        "grey.gif": encoded(grey, "GIF"),
        "rgb.gif": encoded(image, "GIF"),
        "rgb.tiff": encoded(image, "TIFF"),
        "packed.tiff": encoded(image, "TIFF", compression="tiff_lzw"),
        "16 bits.tiff": encoded(deep(), "TIFF"),
        "lossless.webp": encoded(image, "WEBP", lossless=True),
        "lossy.webp": encoded(clear, "WEBP", quality=60),
        "rgb.ppm": encoded(image, "PPM"),
    }


@cache
def folder() -> Path:
    """A folder that goes when the process ends."""
    kept = tempfile.TemporaryDirectory(prefix="bits")
    folder.kept = kept  # type: ignore[attr-defined]
    return Path(kept.name)


def written(name: str) -> Path:
    """The path of one of the files."""
    path = folder() / name
    path.write_bytes(files()[name])
    return path


def pil_images() -> dict[str, Image.Image]:
    """Images in memory by their mode."""
    image = photo()
    clear = with_alpha(image)
    modes = {mode: image.convert(mode) for mode in ("1", "L", "RGB", "P", "CMYK", "YCbCr", "HSV")}
    floats = Image.fromarray(np.asarray(image.convert("L"), np.float32) / 2)
    return modes | {
        "LA": clear.convert("LA"),
        "RGBA": clear,
        "RGBX": image.convert("RGBX"),
        "I;16": Image.fromarray(deep()),
        "I": Image.fromarray(deep().astype(np.int32)),
        "F": floats,
        "not decoded": Image.open(io.BytesIO(files()["orientation 6.jpeg"])),
    }


# Kinds of X ---------------------------------------------------------------------------------


def in_channels(channels: int | None) -> np.ndarray:
    """Images with so many channels; None: no such axis."""
    rgb = images()
    grey = rgb[..., :1]
    wide = np.concatenate([rgb, grey], axis=-1)
    by_number = {None: rgb[..., 0], 1: grey, 2: wide[..., 2:], 3: rgb, 4: wide}
    return by_number[channels]


def in_scales(levels: np.ndarray) -> dict[str, np.ndarray]:
    """The same images in all scales."""
    return {
        "uint8": levels,
        "uint16": levels.astype(np.uint16) * 257,
        "int32": levels.astype(np.int32),
        "bool": levels > 127,
        "float16 of 0-1": (levels / 255).astype(np.float16),
        "float32 of 0-1": (levels / 255).astype(np.float32),
        "float64 of 0-1": levels / 255,
        "float32 of 0-255": levels.astype(np.float32),
        "float64 of 0-255": levels * 1.0,
    }


def arrays() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Arrays of images, and rows, by name; with the parameters that they need."""
    found = {
        f"{scale}, {channels or 'no'} channels": (X, {})
        for channels in (None, 1, 2, 3, 4)
        for scale, X in in_scales(in_channels(channels)).items()
    }
    flat, grey = images().reshape(6, -1), images()[..., 0].reshape(6, -1)
    shape = {"image_shape": (20, 28, 3)}
    return found | {
        "flat rows": (flat, shape),
        "flat rows of 0-1": (flat / 255, shape),
        "flat grey rows": (grey, {"image_shape": (20, 28)}),
        "flat frame": (pandas.DataFrame(flat).add_prefix("p"), shape),
        "flat polars frame": (polars.DataFrame(flat), shape),
        "nested lists": (images().tolist(), {}),
        "fortran order": (np.asfortranarray(images()), {}),
        "upside down": (images()[:, ::-1], {}),
        "one pixel": (images()[:, :1, :1], {}),
        "one line": (images()[:, :1], {}),
    }


def rows_of_numbers() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Rows of plain numbers of some widths, read at some sizes."""
    found = {}
    for width, size in product((1, 2, 5, 40, 700), (None, (24, 24), (20, 36))):
        rows = generator(width).normal(size=(6, width)) * 3 + 1
        found[f"{width} numbers at {size}"] = (rows, {"input_size": size})
    frame = pandas.DataFrame(generator(5).normal(size=(6, 3)), columns=["a", "b", "c"])
    constant = np.ones((6, 4)) * [0, 1, -2, 1e6]
    return found | {
        "frame of numbers": (frame, {}),
        "constant numbers": (constant, {}),
        "whole numbers": (generator(6).integers(0, 9, (6, 12)), {}),
        "polars frame of numbers": (polars.from_pandas(frame), {}),
    }


def as_objects(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def columns() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Lists and columns of images that come one by one."""
    sizes = [images()[0], images()[1, :9], images()[2, :, :5], in_channels(4)[3]]
    some = list(map(written, ("rgb.png", "small.jpeg", "rgb.bmp", "lossy.webp")))
    names, contents = list(map(str, some)), [path.read_bytes() for path in some]
    mixed = [names[0], contents[1], photo(), sizes[1], some[3], bytearray(contents[2])]
    return {
        "arrays of different sizes": (sizes, {}),
        "object array of arrays": (as_objects(sizes), {}),
        "list of floats and bools": ([sizes[0] / 255, sizes[1] > 100], {}),
        "list of str": (names, {}),
        "tuple of paths": (tuple(some), {}),
        "array of str": (np.array(names), {}),
        "object array of paths": (as_objects(some), {}),
        "list of bytes": (contents, {}),
        "list of memoryview": (list(map(memoryview, contents)), {}),
        "mixed": (mixed, {}),
        "mixed object array": (as_objects(mixed), {}),
        "series of str": (pandas.Series(names, index=[4, 4, 2, 1]), {}),
        "series of arrays": (pandas.Series(sizes), {}),
        "frame of str": (pandas.DataFrame({"file": names}), {}),
        "frame of bytes": (pandas.DataFrame({"file": contents}), {}),
        "polars series of str": (polars.Series("file", names), {}),
        "polars series of bytes": (polars.Series("file", contents), {}),
        "polars frame of str": (polars.DataFrame({"file": names}), {}),
        "polars series of arrays": (polars.Series(images()), {}),
        "unreadable": ([names[0], b"no image", contents[1]], {"on_error": "nan"}),
        "missing file": ([*names, str(folder() / "gone.png")], {"on_error": "nan"}),
    }


def kinds() -> dict[str, tuple[Any, dict[str, Any]]]:
    """All kinds of X by name, with the parameters that they need."""
    of_files = {f"file {name}": ([written(name)], {}) for name in files()}
    of_images = {f"image {mode}": ([image], {}) for mode, image in pil_images().items()}
    return arrays() | rows_of_numbers() | columns() | of_files | of_images


# Features -----------------------------------------------------------------------------------


def features(X: Any, **settings: Any) -> Any:
    """What an extractor gives for the rows that it was fitted on."""
    return PretrainedFeatureExtractor(**settings).fit_transform(X)


def feature_cases() -> Iterator[Case]:
    """Every kind of X by two networks, some by the bundled one."""
    for name, (X, given) in kinds().items():
        for net in ("conv", "tokens"):
            # The other network shows that all kinds of crops come to other sizes alike.
            other = {"resize": "crop"} if net == "tokens" and "numbers" not in name else {}
            settings = {"backbone": network(net), **other, **given}
            yield f"features of {name}, {net}", partial(features, X, **settings)
    for name in ("uint8, 3 channels", "flat rows", "5 numbers at None", "mixed", "unreadable"):
        X, given = kinds()[name]
        yield f"features of {name}, bundled", partial(features, X, **{**BUNDLED, **given})


def size_cases() -> Iterator[Case]:
    """Ways of resizing, sizes and ranges of values."""
    sizes = (None, (16, 16), (24, 40), (33, 17))
    for net, how, size in product(("conv", "depthwise"), ("stretch", "crop", "pad"), sizes):
        settings = {"backbone": network(net), "resize": how, "input_size": size}
        yield f"resize {how} to {size}, {net}", partial(features, images(), **settings)
    for how in ("stretch", "crop", "pad"):
        settings = {"resize": how, "backbone": network("conv")}
        paths = [written("large.jpeg"), written("orientation 5.jpeg")]
        yield f"resize {how} of files", partial(features, paths, **settings)
        for size in ((64, 64), (96, 64)):
            settings = {**BUNDLED, "resize": how, "input_size": size}
            yield f"resize {how} to {size}, bundled", partial(features, images(), **settings)
    for given in ((0, 255), (0, 16), (-50, 300), (-255, 0), (0.5, 99.5)):
        settings = {"backbone": network("conv"), "pixel_range": given}
        yield f"pixel_range {given}", partial(features, images() * 1.0, **settings)


LAYERS = {
    "conv": ["stem", "block1_add", "block3", ["stem", "block2", "block4_add"]],
    "tokens": ["patches", "encoder1_add2", ["encoder2_add1", "tokens"]],
    "depthwise": ["first_add", "second_bn2", ["end", "stem"]],
    "bundled": ["block2b_add", ["block1a_project_bn", "block5c_add"]],
}


def layer_cases() -> Iterator[Case]:
    """Layers and poolings."""
    for net, given in networks().items():
        for layer, pooling in product([None, *LAYERS[net]], ("avg", "max", "flatten")):
            settings = {**given, "layer": layer, "pooling": pooling}
            yield f"layer {layer}, {pooling}, {net}", partial(features, images(), **settings)


def engine_cases() -> Iterator[Case]:
    """Who computes, in which number format; not every processor lets OpenVINO do bfloat16."""
    ways = [(engine, "float32") for engine in ("tensorflow", "openvino", "auto")]
    ways += [("tensorflow", "bfloat16"), ("auto", "bfloat16")]
    for net, given in networks().items():
        for engine, precision in ways:
            settings = {**given, "engine": engine, "precision": precision}
            name = f"engine {engine}, {precision}, {net}"
            yield name, partial(features, images(), **settings)


def weight_cases() -> Iterator[Case]:
    """Random weights, ways of preprocessing, and a model that is not registered."""
    for net, seed in product(NETWORKS, (0, 7)):
        settings = {"backbone": network(net), "weights": None, "random_state": seed}
        yield f"random weights {seed}, {net}", partial(features, images(), **settings)
    settings = {**BUNDLED, "weights": None, "random_state": 0}
    yield "random weights 0, bundled", partial(features, images(), **settings)
    for preprocessing in (None, "tf", "torch", "caffe", (1 / 64, -2.0)):
        settings = {"backbone": network("conv", preprocessing)}
        yield f"preprocessing {preprocessing}", partial(features, images(), **settings)
    yield "a model itself", partial(features, images(), backbone=seeded(conv_net(), 9))
    yield "a model's file", of_a_model_file


def of_a_model_file() -> Any:
    path = folder() / "model.keras"
    seeded(depthwise_net(), 9).save(path)
    return features(images(), backbone=path)


def call_cases() -> Iterator[Case]:
    """What changes no result: caches, batches, orders, a fit on other rows."""
    X = images(13)
    for net in ("conv", "tokens"):
        for place in ("memory", None, folder() / f"cache {net}"):
            named = place.name if isinstance(place, Path) else place
            yield f"cache {named}, {net}", partial(twice, X, backbone=network(net), cache=place)
        for size in (1, 2, 5, 100):
            settings = {"backbone": network(net), "batch_size": size, "n_jobs": 2}
            yield f"batch_size {size}, {net}", partial(features, X, **settings)
        yield f"reversed, {net}", partial(features, X[::-1], backbone=network(net))
        yield f"one by one, {net}", partial(one_by_one, X, backbone=network(net))
        yield f"other rows than in fit, {net}", partial(other_rows, backbone=network(net))
    for kind in ("pandas", "polars"):
        yield f"output in {kind}", partial(framed, kind)


def twice(X: Any, **settings: Any) -> dict[str, Any]:
    extractor = PretrainedFeatureExtractor(**settings)
    return {"first": extractor.fit_transform(X), "again": extractor.transform(X)}


def one_by_one(X: Any, **settings: Any) -> Any:
    extractor = PretrainedFeatureExtractor(**settings).fit(X)
    return np.concatenate([extractor.transform(X[row : row + 1]) for row in range(len(X))])


def other_rows(**settings: Any) -> dict[str, Any]:
    """Features of rows on a scale that was decided by others."""
    of_images = PretrainedFeatureExtractor(**settings).fit(images() / 255)
    of_numbers = PretrainedFeatureExtractor(**settings).fit(numbers()[0])
    return {
        "images": of_images.transform(images(3) / 512),
        "files": of_images.transform([written("rgb.png")]),
        "numbers": of_numbers.transform(numbers()[0][:5] * 2 - 1),
    }


def framed(kind: str) -> dict[str, Any]:
    extractor = PretrainedFeatureExtractor(network("conv"), layer=["stem", "block3"])
    frame = extractor.set_output(transform=kind).fit_transform(images())
    return {"values": np.asarray(frame), "names": np.array(list(frame.columns))}


# Fits ---------------------------------------------------------------------------------------


@cache
def symmetries() -> str:
    """The name by which this version knows the eight symmetries of a square."""
    X, y = labelled()
    for name in ("dihedral", "flips+turns"):
        try:
            tuned(augment=name, epochs=0).fit(X[:3], y[:3])
        except ValueError:
            continue
        return name
    raise ValueError("no name is known for the eight symmetries of a square")


def tuned(**settings: Any) -> FineTunedClassifier:
    """A classifier that trains for a moment."""
    given = {"backbone": network("conv"), "epochs": 2, "batch_size": 8, "learning_rate": 1e-2}
    return FineTunedClassifier(**{**given, "random_state": 0, **settings})


def results(classifier: FineTunedClassifier, X: Any) -> dict[str, Any]:
    """What a fitted classifier tells: about images, and about its training."""
    history = {f"history of {name}": values for name, values in classifier.history_.items()}
    counts = [classifier.n_iter_, classifier.n_trainable_params_, *classifier.failed_rows_]
    return {
        "probabilities": classifier.predict_proba(X),
        "decision": classifier.decision_function(X),
        "labels": classifier.predict(X),
        "counts": np.array(counts),
        **{name: np.asarray(values, np.float64) for name, values in history.items()},
    }


def fitted(settings: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Results of a fit on images; `options` go to `fit`."""
    X, y = labelled()
    return results(tuned(**settings).fit(X, y, **options), X[:SHOWN])


def fitted_on(X: Any, y: Any, settings: dict[str, Any]) -> dict[str, Any]:
    return results(tuned(**settings).fit(X, y), X[:SHOWN])


HEADS = {
    "head 8": {"head_units": (8,)},
    "head 8, 4": {"head_units": (8, 4)},
    "head 8, gelu": {"head_units": (8,), "head_activation": "gelu"},
    "head 8, tanh": {"head_units": 8, "head_activation": "tanh"},
    "head 8, random": {"head_units": (8,), "head_init": "random"},
    "linear head, random": {"head_init": "random"},
    "head on all frozen": {"freeze_depth": "all"},
    "head 8 on all frozen": {"freeze_depth": "all", "head_units": (8,)},
    "head 6, 4 on all frozen": {"freeze_depth": "all", "head_units": [6, 4]},
    "no epochs": {"epochs": 0},
    "no epochs, head 8": {"epochs": 0, "head_units": (8,), "freeze_depth": "all"},
    "no dropout": {"head_dropout": 0.0},
    "no dropout, head 8": {"head_dropout": 0.0, "head_units": (8,)},
}

TRAINING = {
    "usual": {},
    "smoothed labels": {"label_smoothing": 0.1},
    "layer_decay": {"layer_decay": 0.5, "freeze_depth": 0},
    "head_learning_rate": {"head_learning_rate": 1e-3},
    "constant schedule": {"schedule": "constant", "epochs": 3},
    "weight_decay 0": {"weight_decay": 0.0},
    "weight_decay 0.1": {"weight_decay": 0.1, "freeze_depth": -2},
    "batches of 5": {"batch_size": 5},
    "one batch": {"batch_size": 100, "epochs": 4},
    "balanced": {"class_weight": "balanced"},
    "class_weight": {"class_weight": {"ash": 3.0, "cedar": 0.5}},
    "another seed": {"random_state": 5},
    "a generator": {"random_state": np.random.RandomState(3)},
    "without cache": {"cache": None},
    "random weights": {"weights": None, "freeze_depth": 0},
    "tensorflow": {"engine": "tensorflow"},
    "openvino": {"engine": "openvino"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16 on tensorflow": {"precision": "bfloat16", "engine": "tensorflow"},
    "cropped to 16": {"input_size": (16, 16), "resize": "crop"},
    "padded to 20, 30": {"input_size": (20, 30), "resize": "pad", "freeze_depth": -2},
    "pixel_range": {"pixel_range": (0, 300)},
}

VIEWS = {
    "flip anew": {"augment": "flip"},
    "flip, 2 views": {"augment": "flip", "n_views": 2},
    "flip, tta": {"augment": "flip", "n_views": 2, "tta": True},
    "standard anew": {"augment": "standard"},
    "standard, 4 views": {"augment": "standard", "n_views": 4, "epochs": 3},
    "standard, tta": {"augment": "standard", "tta": True, "freeze_depth": "all"},
    "standard, 2 views, tta": {"augment": "standard", "n_views": 2, "tta": True},
    "flip of all": {"augment": "flip", "freeze_depth": 0},
}

SYMMETRIES = {
    "symmetries anew": {},
    "symmetries, 2 views": {"n_views": 2},
    "symmetries, 4 views, tta": {"n_views": 4, "tta": True},
    "symmetries of a rectangle, tta": {"n_views": 4, "tta": True, "input_size": (20, 24)},
}

STOPPED = {
    "stopped": {},
    "stopped after 1": {"n_iter_no_change": 1, "learning_rate": 0.1},
    "stopped, a third held out": {"validation_fraction": 1 / 3},
    "stopped, flip": {"augment": "flip", "n_views": 2},
    "stopped, all frozen": {"freeze_depth": "all", "head_units": (8,)},
    "stopped, balanced": {"class_weight": "balanced", "freeze_depth": 0},
}

DEPTHS = {
    "conv": ["all", -1, -2, 0, 0.5, 2, "block1_add"],
    "tokens": ["all", -1, 0, 0.5, "encoder1_add2"],
    "depthwise": ["all", -1, -2, 0, "first_add"],
}


def drawing_layer() -> Any:
    """A layer that draws, as a value of `augment`."""
    return keras.Sequential([layers.RandomFlip("vertical", seed=3), layers.RandomContrast(0.2)])


def depth_cases() -> Iterator[Case]:
    """Freeze depths and BatchNorm; fits of the bundled network."""
    for net, depths in DEPTHS.items():
        for depth in depths:
            settings = {"backbone": network(net), "freeze_depth": depth}
            yield f"freeze_depth {depth}, {net}", partial(fitted, settings)
    for how, depth, net in product(("train", "adapt"), (-1, 0), ("conv", "depthwise")):
        settings = {"backbone": network(net), "batch_norm": how, "freeze_depth": depth}
        yield f"batch_norm {how} at {depth}, {net}", partial(fitted, settings)
    for depth in ("all", -1, -2):
        yield f"freeze_depth {depth}, bundled", partial(fitted, {**BUNDLED, "freeze_depth": depth})
    settings = {**BUNDLED, "freeze_depth": -2, "head_units": (8,), "batch_norm": "train"}
    yield "batch_norm train, bundled", partial(fitted, settings)


def fit_cases() -> Iterator[Case]:
    """Heads, ways of training and views."""
    for name, settings in {**HEADS, **TRAINING, **VIEWS}.items():
        yield f"fit {name}", partial(fitted, settings)
    for name, settings in SYMMETRIES.items():
        yield f"fit {name}", partial(fitted_with_symmetries, settings)
    for name, settings in STOPPED.items():
        stopping = {"early_stopping": True, "epochs": 6, "n_iter_no_change": 2}
        yield f"fit {name}", partial(fitted, {**stopping, **settings})
    for n_views, tta in ((None, False), (2, False), (2, True)):
        settings = {"augment": drawing_layer(), "n_views": n_views, "tta": tta}
        yield f"fit a layer, {n_views} views, tta {tta}", partial(fitted, settings)
    weights = generator(7).uniform(0, 2, 27) * (np.arange(27) != 4)
    yield "fit sample_weight", partial(fitted, {}, sample_weight=weights)
    settings = {"early_stopping": True, "epochs": 4, "freeze_depth": "all"}
    yield "fit sample_weight, stopped", partial(fitted, settings, sample_weight=weights)


def fitted_with_symmetries(settings: dict[str, Any]) -> dict[str, Any]:
    return fitted({"augment": symmetries(), **settings})


def data_cases() -> Iterator[Case]:
    """Kinds of labels and of X in fits."""
    X, y = labelled()
    codes = np.arange(27) % 3
    for name, labels in {
        "int": codes * 7 - 3,
        "bool": codes == 1,
        "object": y.astype(object),
        "float": codes * 1.0,
        "a series of": pandas.Series(y),
        "two": np.where(codes == 2, "no", "yes"),
        "one": np.full(27, "only"),
    }.items():
        yield f"fit {name} labels", partial(fitted_on, X, labels, {})
    rows = numbers()[0]
    for settings in ({}, {"input_size": (24, 24)}, {"freeze_depth": "all"}):
        yield f"fit numbers {settings}", partial(fitted_on, rows, y, settings)
    flat = {"image_shape": (24, 24, 3)}
    yield "fit flat rows", partial(fitted_on, X.reshape(27, -1), y, flat)
    yield "fit floats", partial(fitted_on, X / 255, y, {})
    yield (
        "fit repeated rows",
        partial(fitted_on, X[[*range(27), 0, 0, 4]], y[[*range(27), 0, 0, 4]], {}),
    )
    files_and_damage = [encoded(image, "PNG") for image in X]
    files_and_damage[5] = files_and_damage[1][:50]
    for depth in ("all", -1):
        settings = {"on_error": "nan", "freeze_depth": depth}
        yield f"fit damaged, {depth}", partial(fitted_on, files_and_damage, y, settings)


def call_after_call_cases() -> Iterator[Case]:
    """Training that goes on, and parameters that change after a fit."""
    for first, then in ((-1, -1), ("all", -1), (-1, 0), (0, "all"), (-2, -1)):
        yield f"warm_start {first} then {then}", partial(warm, first, then)
    for settings in ({}, {"freeze_depth": "all", "head_units": (8,)}, {"freeze_depth": 0}):
        yield f"partial_fit {settings}", partial(partly, settings)
    views = {"augment": "flip", "n_views": 2, "batch_norm": "train"}
    yield "partial_fit of views", partial(partly, views)
    yield "partial_fit of numbers", partial(partly, {}, numbers())
    yield "changed after fit", changed_after_fit


def warm(first: Any, then: Any) -> dict[str, Any]:
    X, y = labelled()
    classifier = tuned(freeze_depth=first, warm_start=True).fit(X, y)
    classifier.set_params(freeze_depth=then, learning_rate=3e-3)
    return results(classifier.fit(X[::-1], y[::-1]), X[:SHOWN])


def partly(settings: dict[str, Any], data: tuple[Any, Any] | None = None) -> dict[str, Any]:
    """Four calls, the first of which has no row of the last class."""
    X, y = data or labelled()
    seen = y[:12] != "cedar"
    classifier = tuned(**settings).partial_fit(X[:12][seen], y[:12][seen], classes=np.unique(y))
    found = {"after 1": classifier.predict_proba(X[:SHOWN])}
    for start in (12, 17, 0):
        weights = np.arange(1, 11) / 5
        rows = slice(start, start + 10)
        classifier.partial_fit(X[rows], y[rows], sample_weight=weights)
    return found | results(classifier, X[:SHOWN])


def changed_after_fit() -> dict[str, Any]:
    X, y = labelled()
    classifier = tuned(augment="flip", n_views=2).fit(X, y)
    changes = {
        "tta": {"tta": True},
        "bfloat16": {"precision": "bfloat16"},
        "small": {"batch_size": 2},
    }
    return {
        name: classifier.set_params(**change).predict_proba(X[:SHOWN])
        for name, change in changes.items()
    }


# Searches and files -------------------------------------------------------------------------


def search_cases() -> Iterator[Case]:
    """Scores, by one process and by two."""
    for n_jobs in (1, 2):
        yield f"search with {n_jobs} jobs", partial(searched, n_jobs)
        yield f"cross_val_score with {n_jobs} jobs", partial(cross_validated, n_jobs)
        yield f"pipeline with {n_jobs} jobs", partial(pipeline_results, n_jobs)
    yield "pipeline of the bundled network", partial(pipeline_results, 1, **BUNDLED)


def grid_search(n_jobs: int) -> GridSearchCV:
    grid = {"freeze_depth": ["all", -1], "head_units": [(), (6,)]}
    search = GridSearchCV(tuned(), grid, cv=3, n_jobs=n_jobs, scoring="neg_log_loss")
    return search.fit(*labelled())


def searched(n_jobs: int) -> dict[str, Any]:
    search = grid_search(n_jobs)
    names = ("mean_test_score", "std_test_score", "split0_test_score")
    best = search.predict_proba(labelled()[0][:SHOWN])
    return {**{name: search.cv_results_[name] for name in names}, "best": best}


def cross_validated(n_jobs: int) -> dict[str, Any]:
    X, y = labelled()
    options = {"cv": 3, "n_jobs": n_jobs}
    classifier = tuned(head_units=(6,), augment="flip", n_views=2)
    return {
        "scores": cross_val_score(classifier, X, y, scoring="neg_log_loss", **options),
        "predicted": cross_val_predict(classifier, X, y, method="predict_proba", **options),
    }


def pipeline(**settings: Any) -> Any:
    extractor = PretrainedFeatureExtractor(**{"backbone": network("conv"), **settings})
    return make_pipeline(extractor, StandardScaler(), LogisticRegression(C=0.1))


def pipeline_results(n_jobs: int, **settings: Any) -> dict[str, Any]:
    X, y = labelled()
    options = {"cv": 3, "n_jobs": n_jobs, "scoring": "neg_log_loss"}
    return {
        "scores": cross_val_score(pipeline(**settings), X, y, **options),
        "probabilities": pipeline(**settings).fit(X, y).predict_proba(X),
    }


SAVED = {
    "conv": {"freeze_depth": -2, "head_units": (8,)},
    "tokens": {"freeze_depth": 0},
    "depthwise": {"batch_norm": "train", "freeze_depth": 0},
    "bundled": {"freeze_depth": "all"},
}


def file_cases() -> Iterator[Case]:
    """What is saved and opened, what became a Keras model, and files of older versions."""
    for net, given in networks().items():
        settings = {**given, **SAVED[net]}
        yield f"opened again, {net}", partial(reopened, settings)
        yield f"to_keras, {net}", partial(exported, settings)
        yield f"extractor opened again, {net}", partial(reopened_extractor, given)
    yield "to_keras of numbers", partial(exported, {}, numbers())
    yield "opened again, numbers", partial(reopened, {}, numbers())
    for path in sorted(DATA.glob("protocol_1*/*.skltransfer")):
        yield f"file {path.parent.name}/{path.stem}", partial(of_older_file, path)


def again(estimator: Any) -> Any:
    """The estimator, written and read."""
    estimator.save(folder() / "estimator.skltransfer")
    return skltransfer.load(folder() / "estimator.skltransfer")


def reopened(settings: dict[str, Any], data: Any = None) -> dict[str, Any]:
    X, y = data or labelled()
    classifier = again(tuned(**settings).fit(X, y))
    found = results(classifier, X[:SHOWN])
    on = classifier.set_params(warm_start=True, epochs=1).fit(X, y)
    return {**found, "trained on": on.predict_proba(X[:SHOWN])}


def exported(settings: dict[str, Any], data: Any = None) -> Any:
    X, y = data or labelled()
    model = tuned(**settings).fit(X, y).to_keras()
    return np.asarray(model(X[:SHOWN].astype(np.float32)))


def reopened_extractor(settings: dict[str, Any]) -> dict[str, Any]:
    extractor = again(PretrainedFeatureExtractor(**settings, pooling="max").fit(images()))
    names = extractor.get_feature_names_out().astype(str)
    return {"features": extractor.transform(images()), "names": names}


def of_older_file(path: Path) -> dict[str, Any]:
    """The plain parameters of an estimator in a file, and what it computes.

    Left out are those that were renamed, or came later.
    """
    estimator = skltransfer.load(path)
    is_classifier = isinstance(estimator, FineTunedClassifier)
    later = {"augment", "layer", "pooling"} if is_classifier else {"augment"}
    plain = {k: v for k, v in estimator.get_params().items() if _is_plain(v) and k not in later}
    found = {"parameters": np.array([f"{k}={v!r}" for k, v in sorted(plain.items())])}
    X = kept_beside(path)
    is_fitted = hasattr(estimator, "backbone_")
    compute = estimator.predict_proba if is_classifier else estimator.transform
    return found | ({"computed": np.asarray(compute(X))} if is_fitted else {})


def kept_beside(path: Path) -> Any:
    """What the estimator in a file is to be tried on."""
    own = path.with_suffix(".npz")
    if not own.exists():
        return np.load(path.with_name("expected.npz"))["images"]
    kept = np.load(own)
    return pandas.DataFrame(kept["X"], columns=kept["columns"]) if "columns" in kept else kept["X"]


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str, tuple))


# Displays and tables ------------------------------------------------------------------------


def display_cases() -> Iterator[Case]:
    """Numbers behind images, and tables about networks and caches."""
    if has_matplotlib():
        for net in ("conv", "depthwise", "bundled"):
            yield f"saliency, {net}", partial(saliency, networks()[net])
            yield f"top losses, {net}", partial(top_losses, networks()[net])
        for net in NETWORKS:
            yield f"feature map, {net}", partial(feature_map, networks()[net])
        yield "saliency of a pipeline", saliency_of_pipeline
        yield "freeze depths of a search", freeze_depths
    for net, given in networks().items():
        yield f"freeze points, {net}", partial(freeze_points, given)
        yield f"precomputed, {net}", partial(precomputed, given)
    more = {"augment": "flip", "n_views": 2, "tta": True}
    yield "precomputed, views", partial(precomputed, {**networks()["conv"], **more})
    yield "counted", counted


def has_matplotlib() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def saliency(settings: dict[str, Any]) -> dict[str, Any]:
    X, y = labelled()
    display = skltransfer.SaliencyDisplay.from_estimator
    frozen = display(tuned(**settings, freeze_depth="all").fit(X, y), X[:4])
    deep = display(
        tuned(**settings, freeze_depth=-2, head_units=(8,)).fit(X, y), X[:4], target="ash"
    )
    return {
        "frozen": frozen.heat_maps,
        "deep": deep.heat_maps,
        "images": deep.images,
        "probabilities": deep.probabilities,
    }


def saliency_of_pipeline() -> Any:
    X, y = labelled()
    return skltransfer.SaliencyDisplay.from_estimator(pipeline().fit(X, y), X[:4]).heat_maps


def _shown(n_images: int) -> dict[str, int]:
    """The parameter for the number of images, by whichever name this version has for it."""
    parameters = inspect.signature(skltransfer.TopLossesDisplay.from_estimator).parameters
    return {name: n_images for name in ("n_images", "n_pictures") if name in parameters}


def top_losses(settings: dict[str, Any]) -> dict[str, Any]:
    X, y = labelled()
    classifier = tuned(**settings).fit(X[:20], y[:20])
    display = skltransfer.TopLossesDisplay.from_estimator(classifier, X, y, **_shown(5))
    return {"losses": display.losses, "rows": display.rows}


def feature_map(settings: dict[str, Any]) -> dict[str, Any]:
    X, y = labelled()
    show = partial(skltransfer.FeatureMapDisplay.from_estimator, random_state=0)
    extractor = PretrainedFeatureExtractor(**settings).fit(X)
    classifier = tuned(**settings).fit(X, y)
    shown = show(extractor, X, y)
    return {
        "of features": shown.positions,
        "thumbnails": shown.thumbnail_rows,
        "of a classifier": show(classifier, X, n_thumbnails=0).positions,
    }


def freeze_depths() -> Any:
    return skltransfer.FreezeDepthDisplay.from_estimator(grid_search(1)).scores


def freeze_points(settings: dict[str, Any]) -> dict[str, Any]:
    points = skltransfer.freeze_points(**settings, measure=False)
    return {
        "layers": np.array([point.layer for point in points]),
        "counts": np.array([[p.index, p.parameters, p.frozen_parameters, p.bytes] for p in points]),
    }


def precomputed(settings: dict[str, Any]) -> dict[str, Any]:
    skltransfer.precompute(labelled()[0], ["all", -1, 0], **settings, random_state=0)
    return cache_counts()


def cache_counts() -> dict[str, Any]:
    info = skltransfer.cache_info()
    computed = sorted(info.rows_computed.items())
    return {
        "entries": np.array([info.entries, info.hits, info.misses, info.refused]),
        "rows computed": np.array([n for _, n in computed]),
        "segments": np.array([name for name, _ in computed]),
    }


def counted() -> dict[str, Any]:
    """What a search looks up, and what it computes."""
    grid_search(1)
    return cache_counts()


# Digests ------------------------------------------------------------------------------------

GROUPS = (
    *(feature_cases, size_cases, layer_cases, engine_cases, weight_cases, call_cases),
    *(depth_cases, fit_cases, data_cases, call_after_call_cases),
    *(search_cases, file_cases, display_cases),
)


def digest(value: Any) -> str:
    """A digest of dtype, shape and bytes."""
    array = np.ascontiguousarray(value)
    if array.dtype.hasobject:
        array = array.astype(str)
    content = f"{array.dtype.str} {np.shape(value)} ".encode() + array.tobytes()
    return hashlib.sha256(content).hexdigest()


def digests_of(name: str, compute: Callable[[], Any]) -> dict[str, str]:
    """Digests of the results of one case; what it raised, if it did."""
    skltransfer.clear_cache()
    try:
        found = compute()
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return {name: f"raised {type(error).__name__}"}
    if not isinstance(found, dict):
        return {name: digest(found)}
    return {f"{name}: {part}": digest(value) for part, value in found.items()}


def all_digests(only: str) -> dict[str, str]:
    """Digests of all cases with `only` in their name, sorted."""
    found: dict[str, str] = {}
    for name, compute in (case for group in GROUPS for case in group()):
        if only not in name:
            continue
        new = digests_of(name, compute)
        if found.keys() & new.keys():
            raise ValueError(f"two cases are called {name!r}")
        found.update(new)
    return dict(sorted(found.items()))


def versions() -> dict[str, str]:
    """Packages that decide bits; other versions of them have other bits."""
    packages = (np, tensorflow, keras, scipy, sklearn)
    return {p.__name__: p.__version__ for p in packages} | {"pillow": pillow_version}


def write(path: Path, only: str) -> int:
    """Write the digests; return 1 if a case raised."""
    found = all_digests(only)
    path.write_text(json.dumps({"versions": versions(), "digests": found}, indent=1) + "\n")
    n_raised = sum(value.startswith("raised") for value in found.values())
    print(f"{len(found)} digests written, {len(set(found.values()))} of them distinct")
    return int(n_raised > 0)


def compare(path: Path, only: str) -> int:
    """Say what differs from what was written; return 1 if anything does."""
    before = json.loads(path.read_text())
    if before["versions"] != versions():
        print(f"other packages: {before['versions']} then, {versions()} now")
    found = all_digests(only)
    wanted = {
        name: value for name, value in before["digests"].items() if only in name.split(": ")[0]
    }
    differing = [name for name in wanted if name in found and wanted[name] != found[name]]
    missing = sorted(wanted.keys() - found.keys())
    added = sorted(found.keys() - before["digests"].keys())
    for what, names in (("differs", differing), ("missing", missing), ("new", added)):
        print(*(f"{what}: {name}" for name in names), sep="\n", end="\n" if names else "")
    n_equal = len(wanted) - len(differing) - len(missing)
    print(f"{n_equal} of {len(wanted)} agree")
    return int(bool(differing or missing))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", metavar="SUBSTRING")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"package: {Path(skltransfer.__file__).parent}")
    action = {"write": write, "compare": compare}[options.action]
    return action(options.file, options.only)


if __name__ == "__main__":
    sys.exit(main())
