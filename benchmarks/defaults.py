"""Evidence for the defaults of FineTunedClassifier: one setting changed at a time.

Each row of the table is the default but for what it names; each column a data set: photographs of
clothes, solar cells and handwritten digits, with a few hundred images to train on, as newcomers
have. Every cell is the mean accuracy over seeds, each of which draws another training part.

Usage: ``python benchmarks/defaults.py DATA``, where ``DATA/train`` holds a folder of images for
each class (clothing-dataset-small, CC0). The solar cells are those of ``elpv-dataset``.
"""

import argparse
import os
import time
from ast import literal_eval
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skltransfer import FineTunedClassifier, images_from_folder

SETTINGS = [
    {},
    {"freeze_depth": "all"},
    {"freeze_depth": -2},
    {"learning_rate": 1e-4},
    {"learning_rate": 1e-3},
    {"epochs": 5},
    {"epochs": 20},
    {"head_init": "random"},
    {"head_dropout": 0.0},
    {"label_smoothing": 0.1},
    {"weight_decay": 1e-2},
    {"batch_norm": "adapt"},
    {"batch_norm": "train"},
    {"layer_decay": 0.5},
    {"resize": "pad"},
    {"augment": "flip", "n_views": 2},
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the folder train")
    parser.add_argument("--train", type=int, default=500)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cache", default="memory", help="memory, or a directory")
    parser.add_argument("--settings", type=literal_eval, default=SETTINGS, help="a list of dicts")
    options = parser.parse_args()
    data = data_sets(options.data)
    print(f"| changed | {' | '.join(data)} | seconds |\n|---|{'--:|' * (len(data) + 1)}")
    for setting in options.settings:
        start = time.perf_counter()
        cells = [cell(X, y, shape, setting, options) for X, y, shape in data.values()]
        seconds = time.perf_counter() - start
        print(f"| {setting or 'nothing'} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def data_sets(folder):
    """Images, labels and `image_shape` by name."""
    clothing = images_from_folder(folder / "train")
    cells, probabilities, _ = load_dataset()
    digits, number = load_digits(return_X_y=True)
    return {
        "clothing": (np.array(clothing.data, dtype=object), clothing.target, None),
        "solar cells": (cells, probabilities > 0.5, None),
        "digits": (digits.astype(np.uint8) * 15, number, (8, 8)),
    }


def cell(X, y, image_shape, setting, options):
    """Mean accuracy over the seeds, and the half of their range."""
    scores = []
    for seed in range(options.seeds):
        train, test = train_test_split(
            np.arange(len(y)),
            train_size=options.train,
            test_size=options.test,
            stratify=y,
            random_state=seed,
        )
        classifier = FineTunedClassifier(
            image_shape=image_shape, cache=options.cache, random_state=seed
        ).set_params(**setting)
        classifier.fit(X[train], y[train])
        scores.append(classifier.score(X[test], y[test]))
    return f"{np.mean(scores):.3f} ± {np.ptp(scores) / 2:.3f}"


if __name__ == "__main__":
    main()
