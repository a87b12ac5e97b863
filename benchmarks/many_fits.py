"""Memory and time of many fits in one process: neither may grow.

Usage: ``python benchmarks/many_fits.py [--fits 200]``. Images are patches of scikit-learn's two
photographs; every fit sees others, so that nothing comes from the activation cache. Resident
memory is read from /proc (Linux).
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from sklearn.datasets import load_sample_images

from skltransfer import FineTunedClassifier

SETTLED = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--freeze-depth", type=int, default=-1)
    options = parser.parse_args()
    megabytes, seconds = [], []
    for number in range(options.fits):
        photographs, labels = patches(options.images, options.size, seed=number)
        start = time.perf_counter()
        classifier = FineTunedClassifier(
            freeze_depth=options.freeze_depth,
            input_size=(options.size, options.size),
            epochs=3,
            random_state=number,
        )
        classifier.fit(photographs, labels).predict(photographs)
        seconds.append(time.perf_counter() - start)
        megabytes.append(resident_megabytes())
        if number % SETTLED == 0 or number == options.fits - 1:
            print(f"fit {number + 1}: {megabytes[-1]:.0f} MB, {seconds[-1]:.2f} s", flush=True)
    growth = max(megabytes[SETTLED:]) / megabytes[SETTLED - 1] - 1
    early, late = seconds[1 : SETTLED + 1], seconds[-SETTLED:]
    slower = statistics.median(late) / statistics.median(early)
    print(f"resident memory after fit {SETTLED}: {growth:+.1%} at most")
    print(f"first fit {seconds[0]:.1f} s; the last {SETTLED} took {slower:.2f} of fits 2 to 21")


def patches(n_images, size, seed):
    """Random patches, and which photograph each is from."""
    rng = np.random.default_rng(seed)
    photographs = load_sample_images().images
    labels = np.arange(n_images) % 2
    photographs = np.empty((n_images, size, size, 3), np.uint8)
    for row, label in enumerate(labels):
        top, left = (rng.integers(photographs[label].shape[i] - size) for i in (0, 1))
        photographs[row] = photographs[label][top : top + size, left : left + size]
    return photographs, np.array(["temple", "flower"])[labels]


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
