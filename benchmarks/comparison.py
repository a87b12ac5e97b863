"""Whether `compare_backbones` picks well: its choice on the training part, judged on the test part.

Give folders with ``train`` and ``test``, each of them a folder of class folders:

    python benchmarks/comparison.py data/suite/*/

Images that belong together, such as those of one person, stay in one fold, as in ``defaults.py``.

The last line of a set tells the test accuracy of the choice, and that of the best candidate. It
also tells the CPU time of the call over that of one feature pass for each candidate and the heads,
which is that of a call for other folds, with all features cached. ``--random`` takes random
weights, for which transfer should not pay.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from defaults_sets import suite_set
from sklearn.model_selection import StratifiedGroupKFold

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    clear_cache,
    compare_backbones,
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
    case = suite_set(folder)
    X, y = case.X[: case.n_given], case.y[: case.n_given]
    groups = np.arange(len(y)) if case.groups is None else case.groups[: case.n_given]
    features_of_all(X[:8], weights)  # compiles
    clear_cache()
    _, passes = timed(partial(features_of_all, X, weights))
    clear_cache()
    settings = {"layers": LAYERS, "input_sizes": SIZES, "weights": weights, "groups": groups}
    calls = [
        partial(compare_backbones, X, y, cv=StratifiedGroupKFold(5, shuffle=True, random_state=n))
        for n in (0, 1)
    ]
    (found, whole), (_, heads) = (timed(partial(call, **settings)) for call in calls)
    print(f"\n{folder.name}: {len(X)} rows\n{found}")
    full = {(row.layer, row.input_size, row.backbone): row for row in found.table}
    candidates = [row for row in full.values() if row.backbone == "efficientnet_lite0"]
    accuracies = [accuracy(row, weights, case) for row in candidates]
    print(
        f"test accuracy of the choice {accuracies[0]:.3f}, of the best {max(accuracies):.3f}; "
        f"{whole:.0f} CPU seconds, {whole / (passes + heads):.2f} times the {passes:.0f} of the "
        f"feature passes and the {heads:.0f} of the heads",
        flush=True,
    )


def features_of_all(rows, weights):
    for layer, size in product(LAYERS, SIZES):
        extractor = PretrainedFeatureExtractor(weights=weights, layer=layer, input_size=size)
        extractor.fit_transform(rows)


def timed(run):
    """Return a result and its CPU seconds."""
    began = time.process_time()
    return run(), time.process_time() - began


def accuracy(row, weights, case):
    head = FineTunedClassifier(
        weights=weights,
        layer=row.layer,
        input_size=row.input_size,
        freeze_depth="all",
        epochs=0,
        random_state=0,
    )
    n = case.n_given
    return head.fit(case.X[:n], case.y[:n]).score(case.X[n:], case.y[n:])


if __name__ == "__main__":
    main()
