"""Whether `compare_backbones` picks well: its choice on the training part, judged on the test part.

Give folders with ``train`` and ``test``, each of them a folder of class folders:

    python benchmarks/comparison.py data/suite/*

The last line of a set tells the test accuracy of the choice, that of the best candidate, and the
time of the call over that of the feature passes alone. ``--random`` takes random weights, for which
transfer should not pay.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from skltransfer import (
    FineTunedClassifier,
    clear_cache,
    compare_backbones,
    images_from_folder,
)

LAYERS = (None, "block6d_add", "block5c_add")
SIZES = ((224, 224), (160, 160))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--random", action="store_true", help="random weights")
    options = parser.parse_args()
    weights = None if options.random else "imagenet"
    for folder in options.folders:
        measure(folder, weights)


def measure(folder, weights):
    train, test = (images_from_folder(folder / part) for part in ("train", "test"))
    clear_cache()
    began = time.perf_counter()
    found = compare_backbones(
        train.data, train.target, layers=LAYERS, input_sizes=SIZES, weights=weights
    )
    seconds = time.perf_counter() - began
    print(f"\n{folder.name}: {len(train.data)} rows\n{found}")
    full = {(row.layer, row.input_size, row.backbone): row for row in found.table}
    candidates = [row for row in full.values() if row.backbone == "efficientnet_lite0"]
    accuracies = [accuracy(row, weights, train, test) for row in candidates]
    passes = sum(row.seconds for row in candidates)
    print(
        f"test accuracy of the choice {accuracies[0]:.3f}, of the best {max(accuracies):.3f}; "
        f"{seconds:.0f} s, of which feature passes {passes:.0f} s",
        flush=True,
    )


def accuracy(row, weights, train, test):
    head = FineTunedClassifier(
        weights=weights,
        layer=row.layer,
        input_size=row.input_size,
        freeze_depth="all",
        epochs=0,
        random_state=0,
    )
    return head.fit(train.data, train.target).score(test.data, test.target)


if __name__ == "__main__":
    main()
