"""How long the prediction of one photograph takes, at several freeze depths.

Usage: ``python benchmarks/single_prediction.py [--rounds 30]``. Classifiers are fitted to random
images of 224 x 224 pixels for one epoch, which does not change what a prediction costs; then they
take turns to predict one new image at a time.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from skltransfer import FineTunedClassifier

DEPTHS = ["all", -1, "auto"]
N_CLASSES = 6
WARM = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    y = np.arange(60) % N_CLASSES
    X = images(rng, len(y))
    classifiers = {
        depth: FineTunedClassifier(freeze_depth=depth, epochs=1, random_state=0).fit(X, y)
        for depth in DEPTHS
    }
    found = {depth: [] for depth in DEPTHS}
    for number in range(WARM + options.rounds):
        for depth, classifier in classifiers.items():
            image = images(rng, 1)
            start = time.perf_counter()
            classifier.predict_proba(image)
            if number >= WARM:
                found[depth].append(1000 * (time.perf_counter() - start))
    print("| `freeze_depth` | median | lowest | highest |\n|---|--:|--:|--:|")
    for depth, ms in found.items():
        print(f"| `{depth!r}` | {np.median(ms):.0f} ms | {min(ms):.0f} ms | {max(ms):.0f} ms |")


def images(rng, n_images):
    return rng.integers(0, 256, (n_images, 224, 224, 3), np.uint8)


if __name__ == "__main__":
    main()
