"""Peak resident memory of the extractor over few and over many files.

Usage: ``python benchmarks/memory.py [--few 500] [--many 50000]``. The files are generated JPEGs of
32 x 32 pixels, no two alike; each number of them runs in a process of its own. The network is a
small one of random weights, so that time goes into files; the features it returns count as memory,
and how much they are is printed. All settings are the defaults, with the cache in memory.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image

SIDE = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), options.many)
        few = in_a_fresh_process(folder, options.few, options.features)
        many = in_a_fresh_process(folder, options.many, options.features)
    print(f"difference: {many - few:.0f} MB")


def make_images(folder, n_files):
    """Four by four fields of random colours, and the number as a comment."""
    fields = np.random.default_rng(0).integers(0, 256, (n_files, 4, 4, 3), dtype=np.uint8)
    for number, colours in enumerate(fields):
        image = Image.fromarray(colours).resize((SIDE, SIDE))
        image.save(folder / f"{number:06}.jpg", comment=str(number).encode())


def in_a_fresh_process(folder, n_files, n_features):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        megabytes, seconds = pool.submit(extract, folder, n_files, n_features).result()
    features = n_files * n_features * 4 / 1e6
    print(
        f"{n_files:,} files: peak {megabytes:.0f} MB, of which {features:.1f} MB are the features "
        f"returned; {seconds:.0f} s",
        flush=True,
    )
    return megabytes


def extract(folder, n_files, n_features):
    """Peak resident memory of this process in MB after extraction, and the seconds it took."""
    from skltransfer import PretrainedFeatureExtractor

    paths = sorted(str(path) for path in Path(folder).iterdir())[:n_files]
    start = time.perf_counter()
    features = PretrainedFeatureExtractor(small_network(n_features)).fit_transform(paths)
    seconds = time.perf_counter() - start
    assert features.shape == (n_files, n_features)
    assert len(np.unique(features, axis=0)) > 0.99 * n_files
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, seconds


def small_network(n_features):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(n_features, 3, strides=2)(x))


if __name__ == "__main__":
    main()
