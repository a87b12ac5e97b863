"""Peak resident memory of the extractor over few and over many rows.

Usage: ``python benchmarks/memory.py [--few 500] [--many 50000]``. The files are generated JPEGs of
32 x 32 pixels, no two alike; each number of them runs in a process of its own. The network is a
small one of random weights, so that time goes into files; the features it returns count as memory,
and how much they are is printed. All settings are the defaults, with the cache in memory.

With ``--sounds --many 3000``, the files are WAVs of one to five seconds at 16 kHz, and the network
is the bundled one, ``"speech_embedding"``. With ``--texts --many 200000``, the rows are texts of
five words, and the network is ``"minilm_l6"``.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image
from scipy.io import wavfile

SIDE = 32
RATE = 16_000
WORDS = ["a", "the", "this", "my", "your", "card", "bank", "money", "please", "how", "lost", "paid"]
N_WORDS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=64, help="of a row; of images only")
    parser.add_argument("--sounds", action="store_true")
    parser.add_argument("--texts", action="store_true")
    options = parser.parse_args()
    if options.texts:
        report(options, texts, "minilm_l6")
        return
    make, network = (make_sounds, "speech_embedding") if options.sounds else (make_images, None)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.many)
        report(options, partial(files, folder), network)


def report(options, rows_of, network):
    """Print what few and many rows need, and the difference."""
    few, many = (
        in_a_fresh_process(rows_of, n_rows, network or options.features)
        for n_rows in (options.few, options.many)
    )
    print(f"difference: {many - few:.0f} MB")


def files(folder, n_files):
    return sorted(str(path) for path in Path(folder).iterdir())[:n_files]


def texts(n_texts):
    """Texts of as many words, no two alike."""
    digits = np.unravel_index(np.arange(n_texts), (len(WORDS),) * N_WORDS)
    return [" ".join(words) for words in zip(*np.array(WORDS)[list(digits)], strict=True)]


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


def in_a_fresh_process(rows_of, n_rows, network):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        megabytes, features, seconds = pool.submit(extract, rows_of, n_rows, network).result()
    print(
        f"{n_rows:,} rows: peak {megabytes:.0f} MB, of which {features:.1f} MB are the features "
        f"returned; {seconds:.0f} s",
        flush=True,
    )
    return megabytes


def extract(rows_of, n_rows, network):
    """Peak resident memory of this process and its features in MB, and the seconds it took."""
    from skltransfer import PretrainedFeatureExtractor

    rows = rows_of(n_rows)
    start = time.perf_counter()
    backbone = network if isinstance(network, str) else small_network(network)
    features = PretrainedFeatureExtractor(backbone).fit_transform(rows)
    seconds = time.perf_counter() - start
    assert len(features) == n_rows
    assert len(np.unique(features, axis=0)) > 0.99 * n_rows
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
