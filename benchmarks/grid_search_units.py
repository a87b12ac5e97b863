"""Unit times of which the bound on a search is made, each the fastest of several ways."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import grid_search_arms as arms
import keras
import numpy as np
import peers

from skltransfer import FineTunedClassifier
from skltransfer.backbones.building import build_model
from skltransfer.backbones.registry import resolve
from skltransfer.estimators.base import begin
from skltransfer.frozen.prefix import row_spec
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.taking import read_images
from skltransfer.network.runtime import network_of
from skltransfer.network.stages import resolve_freeze_depth

MOST_ROWS = 128


def units(task):
    """Seconds an image, by what is done to it; "head" is seconds a fit, "bytes" seconds a byte."""
    pixels = task.pixels()[:MOST_ROWS]
    found = {
        "decode": {"Pillow, threads": decoding(task)},
        "prefix": prefix(pixels),
        "bytes": {"memory copy": copying()},
        "head": {},
    }
    for depth in task.depths:
        ours_train, ours_forward, head = ours(task, depth)
        train, forward = suffix(depth, task.classes)
        found[f"train {depth}"] = {"skltransfer": ours_train, **train}
        found[f"forward {depth}"] = {"skltransfer": ours_forward, **forward}
        found["head"][f"skltransfer, {depth}"] = head
    return {"units": found, "bound": bound(task, {k: min(v.values()) for k, v in found.items()})}


def bound(task, fastest):
    """Seconds that the search takes at least, by its parts."""
    n, k = len(task.labels), task.folds
    runs = [(depth, round(n * (k - 1) / k), n // k) for depth, _, _ in task.candidates] * k
    runs.append((min(task.depths, key=lambda depth: fastest[f"train {depth}"]), n, 0))  # refit
    parts = {
        "decoding": n * fastest["decode"],
        "prefix": n * fastest["prefix"],
        "training": sum(task.epochs * train * fastest[f"train {d}"] for d, train, _ in runs),
        "scoring": sum(scored * fastest[f"forward {d}"] for d, _, scored in runs),
        "heads": len(runs) * fastest["head"],
        "reading": sum((a + b) * row_bytes(d) for d, a, b in runs) * fastest["bytes"],
    }
    return {**parts, "total": sum(parts.values())}


def decoding(task):
    source, rule = read_images(task.paths[:MOST_ROWS]), ImagePreprocessing(arms.SIZE)
    n = len(source)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return fastest_of(lambda: list(pool.map(lambda i: source.load(i, rule), range(n)))) / n


def prefix(pixels):
    """The whole network up to pooled features."""
    classifier = FineTunedClassifier(freeze_depth="all", cache=None, epochs=0, random_state=0)
    frozen, source = begin(classifier, pixels)
    model = keras.Model(*arms.backbone())
    return {
        "skltransfer": fastest_of(lambda: frozen.features(source)) / len(source),
        **others(model, pixels.astype(np.float32)),
    }


def ours(task, depth):
    """Training and scoring at a depth, and the start of a fit, with all activations kept."""
    paths = task.paths[:MOST_ROWS]
    n, labels = len(paths), np.arange(len(paths)) % task.classes
    classifier = FineTunedClassifier(freeze_depth=depth, batch_size=arms.BATCH, random_state=0)
    seconds = {}
    for epochs in (0, 1, 9):
        classifier.set_params(epochs=epochs).fit(paths, labels)
        seconds[epochs] = fastest_of(lambda: classifier.fit(paths, labels))
    classifier.predict_proba(paths)  # compiles
    with arms.time_in_bookkeeping() as spent:
        scoring, _ = arms.timed(lambda: classifier.predict_proba(paths))
    return (seconds[9] - seconds[1]) / 8 / n, (scoring - sum(spent)) / n, seconds[0]


def suffix(depth, n_classes):
    """Plain Keras (and OpenVINO, where it is installed) above the freeze point."""
    spec = resolve("efficientnet_lite0")
    ours_ = network_of(spec, arms.SIZE)
    freeze_point = resolve_freeze_depth(depth, ours_.features, ours_.stages)
    shape = row_spec(ours_, freeze_point)[0].shape
    whole = build_model(spec, arms.SIZE)
    if len(shape) == 1:
        inputs = features = keras.Input(shape)
    else:
        inputs = whole.get_layer(ours_.features.steps[freeze_point].name).output
        features = keras.layers.GlobalAveragePooling2D()(whole.output)
    model = keras.Model(inputs, keras.layers.Dense(n_classes, "softmax")(features))
    model.compile("adamw", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    rows = rng.random((arms.BATCH, *shape), dtype=np.float32)
    labels = np.arange(arms.BATCH) % n_classes
    train = fastest_of(lambda: model.train_on_batch(rows, labels), 7) / arms.BATCH
    return {"Keras": train}, others(model, rows)


def others(model, rows):
    ways = {"Keras": lambda: model.predict_on_batch(rows)}
    try:
        ways["OpenVINO"] = peers.openvino(model, rows)
    except ImportError:
        print("OpenVINO is not installed", flush=True)
    return {name: fastest_of(run) / len(rows) for name, run in ways.items()}


def copying():
    block = np.ones(1 << 26, np.uint8)
    return fastest_of(block.copy) / block.nbytes


def row_bytes(depth):
    network = network_of(resolve("efficientnet_lite0"), arms.SIZE)
    freeze_point = resolve_freeze_depth(depth, network.features, network.stages)
    return 4 * np.prod(row_spec(network, freeze_point)[0].shape, dtype=int)


def fastest_of(run, repeats=3):
    """Seconds of the fastest run, after one that pays for what is set up once."""
    run()
    elapsed = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        elapsed.append(time.perf_counter() - start)
    return min(elapsed)
