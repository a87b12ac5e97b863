"""Extractor, fine-tuning and grid search on the GPU that is here, beside Keras, as Markdown.

Usage: ``[KERAS_BACKEND=jax] python benchmarks/gpu.py [--images 2048]``. First the features are
compared with those that a process without a GPU computes; then everything takes turns. Pixels are
patches of scikit-learn's two photographs, uint8 in memory. Where Keras' backend finds no GPU this
is said, and the CPU is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from bare_models import compiled, device_names, on_device
from sklearn.model_selection import GridSearchCV
from throughput import OURS, SIZE, in_turns, keras_model, patches, print_table

from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, cache_info, clear_cache
from skltransfer.backend import as_array, backend_name, backend_title, versions

ENGINE = backend_name()
BATCHES = (64, 256)
COMPARED = 32
CLASSES = 4
DEPTHS = ("all", -1, -2, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--features", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.features:
        np.save(options.features, extractor().fit_transform(patches(COMPARED, SIZE)))
        return
    print_device()
    images = patches(options.images, SIZE)
    report_correctness(patches(COMPARED, SIZE))
    report_extractor(images, options.repeats)
    report_fine_tuning(images, options)
    report_search(images[: max(options.images // 4, 3 * CLASSES)], options.epochs)


def print_device():
    found = ", ".join(device_names()) or "none was found: all figures are those of the CPU"
    of_keras, of_backend = versions()
    print(f"GPU: {found}. {backend_title()} {of_backend}, Keras {of_keras}.")


def extractor():
    return PretrainedFeatureExtractor(input_size=SIZE, engine=ENGINE, cache=None)


def report_correctness(images):
    """Features of this process beside those of one that sees no GPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        without = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, __file__, "--features", str(path)]
        subprocess.run(command, env=without, check=True)
        expected = np.load(path)
    found = extractor().fit_transform(images)
    off = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"\nFeatures differ from the CPU's by {off:.0e} of the largest.")
    if off > 1e-2:
        raise SystemExit("That is more than rounding: nothing was measured.")


def report_extractor(images, repeats):
    """Beside the bare model on batches that lie on the device already, and beside predict."""
    ours = extractor().fit(images)
    model, preprocess = keras_model(ours.backbone_)
    bare = compiled(lambda block: model(preprocess(block), training=False))
    ways = {OURS: lambda: ours.transform(images)}
    for rows in BATCHES:
        resident = [on_device(images[i : i + rows]) for i in range(0, len(images), rows)]
        ways[f"bare model, batches of {rows} on the device"] = lambda blocks=resident: as_array(
            [bare(block) for block in blocks][-1]
        )
    pixels = preprocess(images.astype(np.float32))
    ways["keras.Model.predict, batch 256"] = lambda: model.predict(
        pixels, batch_size=256, verbose=0
    )
    print(f"\n### Features of {len(images)} images of 224 x 224\n")
    print_table(in_turns(ways, repeats), len(images))


def report_fine_tuning(images, options):
    """Epochs at several depths, beside fit of the whole network by Keras."""
    labels = np.arange(len(images)) % CLASSES
    ways = {}
    for depth in DEPTHS:
        classifier = FineTunedClassifier(
            freeze_depth=depth, epochs=options.epochs, random_state=0, engine=ENGINE
        )
        ways[f"{OURS}, freeze_depth={depth!r}"] = lambda fitted=classifier: fitted.fit(
            images, labels
        )
    features, preprocess = keras_model(extractor().fit(images[:1]).backbone_)
    outputs = keras.layers.Dense(CLASSES, "softmax")(features.output)
    model = keras.Model(features.input, outputs)
    model.compile("adamw", "sparse_categorical_crossentropy")
    pixels = preprocess(images.astype(np.float32))
    name = f"{OURS}, freeze_depth=0"
    ways["Keras, fit of the whole network"] = lambda: model.fit(
        pixels, labels, batch_size=32, epochs=options.epochs, verbose=0
    )
    seconds = in_turns(ways, max(2, options.repeats // 2))
    seconds[OURS] = seconds.pop(name)
    print(
        f"\n### {options.epochs} epochs on {len(images)} images; the first line is freeze_depth=0\n"
    )
    print_table(seconds, len(images) * options.epochs)


def report_search(images, epochs):
    """A search over three depths and two heads, from nothing."""
    labels = np.arange(len(images)) % CLASSES
    clear_cache()
    classifier = FineTunedClassifier(epochs=epochs, random_state=0, engine=ENGINE)
    grid = {"freeze_depth": list(DEPTHS[:3]), "head_units": [(), (64,)]}
    start = time.perf_counter()
    GridSearchCV(classifier, grid, cv=3).fit(images, labels)
    seconds = time.perf_counter() - start
    rows = sorted(set(cache_info().rows_computed.values()))
    print(
        f"\nA search over 3 depths and 2 heads, 3 folds, {len(images)} images took {seconds:.1f} s."
        f" Rows through each stretch of the network: {rows}."
    )


if __name__ == "__main__":
    main()
