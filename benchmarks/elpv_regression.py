"""The defect probability of the solar cells of ELPV as a number: frozen features, and fine-tuning.

Three ways on the same 75/25 splits, stratified by probability and type of cell: (a) features of the
frozen network, standardised, and ``RidgeCV``; (b) ``FineTunedRegressor`` at its defaults; (c) with
settings that ``--choose`` compared on the training part of the first split, a quarter of which it
held out.

Usage: ``python benchmarks/elpv_regression.py [--splits 5] [--ways a b c] [--choose]``. Each result
is written to ``--results`` as soon as it is there, and is not computed again.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import FineTunedRegressor, PretrainedFeatureExtractor

TEST_SHARE = 0.25
CHOSEN = {"freeze_depth": -2, "learning_rate": 1e-3}
CANDIDATES = [
    {"epochs": 0},
    {},
    {"learning_rate": 1e-4},
    {"learning_rate": 3e-5},
    {"learning_rate": 1e-3},
    {"freeze_depth": -2, "learning_rate": 3e-4},
    {"freeze_depth": -2, "learning_rate": 1e-3},
    {"freeze_depth": -3, "learning_rate": 1e-3},
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices="abc", default=list("abc"))
    parser.add_argument("--choose", action="store_true", help="compare settings for (c), and end")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--results", type=Path, default=Path("elpv_regression.json"))
    options = parser.parse_args()

    cells, probabilities, types = load_dataset()  # grey images of 300 x 300 pixels
    strata = np.char.add(types, probabilities.round(2).astype(str))
    splits = list(splitter(options.splits).split(cells, strata))
    done = json.loads(options.results.read_text()) if options.results.exists() else {}
    if options.choose:
        train = splits[0][0]
        (inner, held_out), *_ = splitter(1).split(train, strata[train])
        parts = train[inner], train[held_out]
        tasks = {
            f"choose {json.dumps(given)}": (tuned(given, options.size), *parts)
            for given in CANDIDATES
        }
    else:
        tasks = {
            f"{way} {options.size} {number}": (make(way, options.size, number), *split)
            for number, split in enumerate(splits)
            for way in options.ways
        }
    for name, (model, train, test) in tasks.items():
        if name not in done:
            done[name] = measured(model, cells, probabilities, train, test)
            options.results.write_text(json.dumps(done, indent=1))
        print(f"{name}: {done[name]}", flush=True)
    if not options.choose:
        report({name: done[name] for name in tasks}, options.ways)


def splitter(n_splits):
    return StratifiedShuffleSplit(n_splits, test_size=TEST_SHARE, random_state=0)


def make(way, size, seed):
    if way == "a":
        return make_pipeline(
            PretrainedFeatureExtractor(input_size=(size, size)),
            StandardScaler(),
            RidgeCV(np.logspace(-1, 6, 15)),
        )
    return tuned(CHOSEN if way == "c" else {}, size, seed)


def tuned(settings, size, seed=0):
    return FineTunedRegressor(input_size=(size, size), random_state=seed, **settings)


def measured(model, cells, probabilities, train, test):
    """Mean absolute error and R² on the test part, and seconds to fit."""
    start = time.perf_counter()
    model.fit(cells[train], probabilities[train])
    seconds = time.perf_counter() - start
    found = model.predict(cells[test])
    return {
        "MAE": mean_absolute_error(probabilities[test], found),
        "R2": r2_score(probabilities[test], found),
        "seconds to fit": seconds,
    }


def report(results, ways):
    """Means and standard deviations over the splits, and what is gained over (a) in each."""
    print("\n| way | mean absolute error | R² | R² above (a) |\n|---|--:|--:|--:|")
    of = {way: [found for name, found in results.items() if name[0] == way] for way in ways}
    for way, found in of.items():
        errors, scores = ([each[key] for each in found] for key in ("MAE", "R2"))
        pairs = zip(found, of.get("a", []), strict=False)
        told = ", ".join(f"{each['R2'] - base['R2']:+.3f}" for each, base in pairs)
        print(
            f"| ({way}) | {np.mean(errors):.3f} ± {np.std(errors):.3f} "
            f"| {np.mean(scores):.3f} ± {np.std(scores):.3f} | {told} |"
        )


if __name__ == "__main__":
    main()
