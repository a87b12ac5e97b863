"""Whether `compare_backbones` picks well: its choice on the training part, judged on the test part.

Give folders with ``train`` and ``test``, each of them a folder of class folders:

    python benchmarks/comparison.py data/suite/*/

``--candidates`` says what to choose among: three layers at two sizes each, two sizes, or two
networks (the second needs ``pip install ./companions/efficientnet_lite2``). ``--log-loss`` chooses
by log loss instead of accuracy.

Images that belong together, such as those of one person, stay in one fold, as in ``defaults.py``.

The last line of a set tells the test accuracy of the choice, and that of the best candidate. It
also tells the CPU time of the call over that of one feature pass for each candidate and the heads,
which is that of a call for other folds, with all features cached. ``--random`` takes random
weights, for which transfer should not pay.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from defaults_sets import suite_set
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import StratifiedGroupKFold

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    clear_cache,
    compare_backbones,
)

LITE0, LITE2 = "efficientnet_lite0", "efficientnet_lite2"
SIZES = ((224, 224), (160, 160))
CANDIDATES = {
    "layers": ((LITE0,), (None, "block6d_add", "block5c_add"), SIZES),
    "sizes": ((LITE0,), (None,), SIZES),
    "backbones": ((LITE0, LITE2), (None,), (None,)),
}
"""Backbones, layers and input sizes, of which all combinations are compared."""

WITHIN = 0.01
"""How far a good choice may be below the best test accuracy."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--random", action="store_true", help="random weights")
    parser.add_argument("--candidates", choices=CANDIDATES, default="layers")
    parser.add_argument("--log-loss", action="store_true")
    options = parser.parse_args()
    losses = [measure(folder, options) for folder in options.folders]
    good = sum(loss <= WITHIN for loss in losses)
    print(f"\nwithin {WITHIN} of the best test accuracy on {good} of {len(losses)} sets")


def measure(folder, options):
    """Compare the candidates on a set; return how far the choice is below the best of them."""
    case = suite_set(folder)
    X, y = case.X[: case.n_given], case.y[: case.n_given]
    groups = np.arange(len(y)) if case.groups is None else case.groups[: case.n_given]
    candidates = CANDIDATES[options.candidates]
    settings = {"weights": None if options.random else "imagenet"}
    compute = partial(features_of_all, candidates=candidates, settings=settings)
    compute(X[:8])  # compiles
    clear_cache()
    _, passes = timed(partial(compute, X))
    clear_cache()
    scoring = negative_log_loss(y) if options.log_loss else "accuracy"
    compare = partial(
        compare_backbones, X, y, *candidates, scoring=scoring, groups=groups, **settings
    )
    folds = [StratifiedGroupKFold(5, shuffle=True, random_state=number) for number in (0, 1)]
    (found, whole), (_, heads) = (timed(partial(compare, cv=cv)) for cv in folds)
    print(f"\n{folder.name}: {len(X)} rows\n{found}")
    networks = [row for row in found.table if row.backbone in candidates[0]]
    full = {(row.backbone, row.layer, row.input_size): row for row in networks}
    accuracies = [accuracy(row, settings, case) for row in full.values()]
    print(
        f"test accuracy of the choice {accuracies[0]:.3f}, of the best {max(accuracies):.3f}; "
        f"{whole:.0f} CPU seconds, {whole / (passes + heads):.2f} times the {passes:.0f} of the "
        f"feature passes and the {heads:.0f} of the heads",
        flush=True,
    )
    return max(accuracies) - accuracies[0]


def negative_log_loss(y):
    """A scorer that accepts folds without rows of some classes."""
    settings = {"greater_is_better": False, "response_method": "predict_proba"}
    return make_scorer(log_loss, labels=np.unique(y), **settings)


def features_of_all(rows, candidates, settings):
    for backbone, layer, size in product(*candidates):
        extractor = PretrainedFeatureExtractor(backbone, layer=layer, input_size=size, **settings)
        extractor.fit_transform(rows)


def timed(run):
    """Return a result and its CPU seconds."""
    began = time.process_time()
    return run(), time.process_time() - began


def accuracy(row, settings, case):
    head = FineTunedClassifier(
        row.backbone,
        layer=row.layer,
        input_size=row.input_size,
        freeze_depth="all",
        epochs=0,
        random_state=0,
        **settings,
    )
    n = case.n_given
    return head.fit(case.X[:n], case.y[:n]).score(case.X[n:], case.y[n:])


if __name__ == "__main__":
    main()
