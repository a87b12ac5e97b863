"""Settings that must precede the first import of SciPy and TensorFlow, and small networks."""

from __future__ import annotations

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # read when SciPy is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gc
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

import skltransfer

WHERE_THE_PACKAGE_IS = Path(skltransfer.__file__).parents[1]
GOLDEN = Path(__file__).parent / "data" / "golden_efficientnet_lite0.npz"


def make_tiny_model(seed=0):
    """Build a network of 16 x 16 pixels with a residual block; it depends on the seed alone."""
    import keras
    from keras import layers

    inputs = keras.Input((16, 16, 3), name="pixels")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    stem = layers.ReLU(name="stem")(x)
    x = layers.Conv2D(8, 3, padding="same", name="block_conv")(stem)
    x = layers.Add(name="block")([stem, x])
    x = layers.Conv2D(12, 3, strides=2, padding="same", name="top_conv")(x)
    outputs = layers.ReLU(name="top")(x)
    model = keras.Model(inputs, outputs, name="tiny")
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.3, weight.shape) for weight in model.weights]
    for array, weight in zip(weights, model.weights, strict=True):
        if weight.name in ("gamma", "moving_variance"):
            np.abs(array, out=array)
    model.set_weights(weights)
    return model


def out_of_memory():
    """The error with which the backend tells that memory is lacking."""
    from skltransfer.backend import backend_name

    def of_tensorflow():
        import tensorflow as tf

        return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    def of_jax():
        import jax

        return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    def of_torch():
        return RuntimeError("DefaultCPUAllocator: not enough memory")

    return {"tensorflow": of_tensorflow, "jax": of_jax, "torch": of_torch}[backend_name()]()


def rows_of_stretches(n_rows):
    """Rows that ran through the stretches of "tiny" for two depths.

    Where a search does not share stretches, each depth starts from pixels.
    """
    from skltransfer.backend import kernels

    return {n_rows} if kernels() == "onednn" else {n_rows, 2 * n_rows}


def pytest_collection_finish():
    """Keep what imports made out of the garbage collector, whose passes took half a second each."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Skip what is about one backend where Keras runs on another."""
    from skltransfer.backend import backend_name

    for mark in item.iter_markers("about"):
        if backend_name() != mark.args[0]:
            pytest.skip(f"about {mark.args[0]}: {mark.kwargs['reason']}")


@pytest.fixture(scope="session", params=["backend", "openvino"])
def engine(request):
    """Each engine for what must hold on all of them; other tests take the one of "auto"."""
    from skltransfer.backend import backend_name, refuses_openvino

    if request.param == "backend":
        return backend_name()
    pytest.importorskip("openvino")
    if refuses_openvino():
        pytest.skip(refuses_openvino())
    return request.param


@pytest.fixture(scope="session")
def tiny():
    """Handle of a small registered network, which is fast and needs no file."""
    from skltransfer import register_backbone

    return register_backbone("tiny", make_tiny_model(), preprocessing="tf")


@pytest.fixture(scope="session")
def uneven():
    """Handle of a network whose rows get other bits by their place in a block."""
    import keras
    from keras import layers

    from skltransfer import register_backbone

    inputs = keras.Input((20, 24, 3))
    x = layers.Conv2D(21, 3, strides=2, activation="relu")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(21, 1, activation="sigmoid")(gate)
    x = layers.LayerNormalization()(layers.Multiply()([x, gate]))
    outputs = layers.Dense(13, activation="gelu")(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.2, weight.shape) for weight in model.weights])
    return register_backbone("uneven", model)


@pytest.fixture(scope="session")
def images():
    """Eight images of 20 x 24 pixels, of smooth shapes and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 5, 6, 3))
    smooth = coarse.repeat(4, axis=1).repeat(4, axis=2)
    noisy = smooth + rng.integers(-20, 21, smooth.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def paths(images, tmp_path_factory):
    """The same images as PNG files."""
    folder = tmp_path_factory.mktemp("images")
    found = [folder / f"{row}.png" for row in range(len(images))]
    for path, image in zip(found, images, strict=True):
        Image.fromarray(image).save(path)
    return found


@pytest.fixture(scope="session")
def golden():
    """Images, and the features that an independent conversion of the bundled net gives."""
    with np.load(GOLDEN, allow_pickle=False) as file:
        return file["images"], file["features"]


@pytest.fixture(scope="session")
def as_many_threads():
    """Context in which joblib's workers have the threads of this process, so that bits agree.

    joblib keeps its workers as long as their number of threads stays the same, so searches that do
    not need this context take less time with it: a worker starts in six seconds.
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return lambda: joblib.parallel_config("loky", inner_max_num_threads=n_cores)


@pytest.fixture(scope="session")
def in_fresh_process():
    """Run a script in a Python process of its own; its standard output and error come back."""

    def run(script, *arguments, **environment):
        finished = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=WHERE_THE_PACKAGE_IS,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout, finished.stderr

    return run


@pytest.fixture(scope="session")
def cats_and_dogs():
    """Images of 16 x 16 pixels, dark and light in turn, and their labels."""
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 150, (24, 16, 16, 3))
    images = np.clip(dark + 60 * (np.arange(24) % 2)[:, None, None, None], 0, 255)
    return images.astype(np.uint8), np.where(np.arange(24) % 2, "dog", "cat")


@pytest.fixture
def X(cats_and_dogs):
    """Images to train on for a moment."""
    return cats_and_dogs[0]


@pytest.fixture
def y(cats_and_dogs):
    """Their labels."""
    return cats_and_dogs[1]


@pytest.fixture
def make(tiny):
    """Make a classifier on the small network that trains for a moment."""
    from skltransfer import FineTunedClassifier

    def classifier(**settings):
        given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "random_state": 0}
        return FineTunedClassifier(tiny, **{**given, **settings})

    return classifier


@pytest.fixture
def closed_figures():
    """Draw without a screen, and close what was drawn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield
    pyplot.close("all")
