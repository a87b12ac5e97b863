"""Whether texts have the same features, bit for bit, whatever else is computed, and where.

Usage: ``python benchmarks/texts_bits.py data/banking77 [--rows 1000] [--engine openvino]``, with
the ``test.csv`` of BANKING77. Each way is compared with all questions in one call: alone, in
another order, behind much longer ones, with and without a cache, in two workers, and in processes
of one and two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from joblib import Parallel, delayed
from texts import BACKBONE, read_csv

from skltransfer import PretrainedFeatureExtractor

COMPUTED = """
import json, sys
import numpy as np
from skltransfer import PretrainedFeatureExtractor
texts, path = json.load(sys.stdin), sys.argv[1]
extractor = PretrainedFeatureExtractor(sys.argv[2], engine=sys.argv[3], cache=None).fit(texts)
np.save(path, extractor.transform(texts))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    texts = read_csv(options.folder / "test.csv")[0][: options.rows].tolist()
    settings = {"backbone": BACKBONE, "engine": options.engine}
    uncached = PretrainedFeatureExtractor(**settings, cache=None).fit(texts)
    expected = uncached.transform(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    long_ones = [" ".join(texts[:3])] * 5
    found = {
        "alone": np.concatenate([uncached.transform([text]) for text in texts]),
        "in another order": uncached.transform([texts[i] for i in order])[np.argsort(order)],
        "behind longer ones": uncached.transform([*long_ones, *texts])[len(long_ones) :],
        "in two workers": in_workers(uncached, texts),
    }
    with tempfile.TemporaryDirectory() as cache:
        cached = PretrainedFeatureExtractor(**settings, cache=cache).fit(texts[:100])
        cached.transform(texts[::2])
        found["half of them from a cache"] = cached.transform(texts)
        found["all of them from a cache"] = cached.transform(texts)
    for n_threads in (1, 2):
        found[f"on {n_threads} threads"] = in_a_process(texts, options.engine, n_threads)
    for name, features in found.items():
        n_other = int((features != expected).any(axis=1).sum())
        print(f"{name}: {n_other} of {len(texts):,} questions have other bits", flush=True)


def in_workers(extractor: PretrainedFeatureExtractor, texts: list[str]) -> np.ndarray:
    """Compute the rows in two processes, in parts of unequal size."""
    parts = np.split(np.array(texts, object), [len(texts) // 3])
    computed = Parallel(2)(delayed(extractor.transform)(part.tolist()) for part in parts)
    return np.concatenate(computed)


def in_a_process(texts: list[str], engine: str, n_threads: int) -> np.ndarray:
    """Compute the rows in a new process with a number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "features.npy")
        subprocess.run(
            [sys.executable, "-c", COMPUTED, path, BACKBONE, engine],
            env={**os.environ, "SKLTRANSFER_NUM_THREADS": str(n_threads)},
            input=json.dumps(texts),
            text=True,
            check=True,
        )
        return np.load(path)


if __name__ == "__main__":
    main()
