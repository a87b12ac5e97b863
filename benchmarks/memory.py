"""Peak resident memory of the extractor over few and over many files.

Usage: ``python benchmarks/memory.py [--few 500] [--many 50000]``. The files are generated JPEGs of
32 x 32 pixels, no two alike; each number of them runs in a process of its own. The network is a
small one of random weights, so that time goes into files; the features it returns count as memory,
and how much they are is printed. All settings are the defaults, with the cache in memory.

With ``--sounds --many 3000``, the files are WAVs of one to five seconds at 16 kHz, and the network
is the bundled one, ``"speech_embedding"``.
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
from scipy.io import wavfile

SIDE = 32
RATE = 16_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=64, help="of a row; of images only")
    parser.add_argument("--sounds", action="store_true")
    options = parser.parse_args()
    make, n_features = (make_sounds, None) if options.sounds else (make_images, options.features)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.many)
        few = in_a_fresh_process(folder, options.few, n_features)
        many = in_a_fresh_process(folder, options.many, n_features)
    print(f"difference: {many - few:.0f} MB")


def make_images(folder, n_files):
    """Four by four fields of random colours, and the number as a comment."""
    fields = np.random.default_rng(0).integers(0, 256, (n_files, 4, 4, 3), dtype=np.uint8)
    for number, colours in enumerate(fields):
        image = Image.fromarray(colours).resize((SIDE, SIDE))
        image.save(folder / f"{number:06}.jpg", comment=str(number).encode())


def make_sounds(folder, n_files):
    """Noise, of lengths that recur, so that the longest are among the few too."""
    rng = np.random.default_rng(0)
    for number in range(n_files):
        samples = rng.integers(-8000, 8000, RATE * (1 + number % 5), dtype=np.int16)
        wavfile.write(folder / f"{number:06}.wav", RATE, samples)


def in_a_fresh_process(folder, n_files, n_features):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        megabytes, features, seconds = pool.submit(extract, folder, n_files, n_features).result()
    print(
        f"{n_files:,} files: peak {megabytes:.0f} MB, of which {features:.1f} MB are the features "
        f"returned; {seconds:.0f} s",
        flush=True,
    )
    return megabytes


def extract(folder, n_files, n_features):
    """Peak resident memory of this process and its features in MB, and the seconds it took."""
    from skltransfer import PretrainedFeatureExtractor

    paths = sorted(str(path) for path in Path(folder).iterdir())[:n_files]
    start = time.perf_counter()
    network = "speech_embedding" if n_features is None else small_network(n_features)
    features = PretrainedFeatureExtractor(network).fit_transform(paths)
    seconds = time.perf_counter() - start
    assert len(features) == n_files
    assert len(np.unique(features, axis=0)) > 0.99 * n_files
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return peak, features.nbytes / 1e6, seconds


def small_network(n_features):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(n_features, 3, strides=2)(x))


if __name__ == "__main__":
    main()
