"""Train in one domain and test in another, with and without rows of the target in training.

Give a folder with a folder for each domain, and in it one for each class, such as Office-Caltech10:

    python benchmarks/domains.py data/office_caltech10/images

or one of these:

- ``elpv``: the solar cells of ``elpv-dataset``, monocrystalline and polycrystalline, of which those
  with a defect probability above 0.5 are told from the others;
- a folder with the ``train.csv`` of BANKING77: short and long questions of twelve intents;
- a folder with the recordings of the free-spoken-digit-dataset: each speaker is a domain.

Half of the target's rows are given without labels, the other half tests; ``--absent`` removes half
of the target's classes. Every arm is a name of `ARMS`; `labels` adds some labelled rows of the
target, which together weigh as much as half of the source. Runs that are in ``--results`` already
are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from skltransfer import FineTunedClassifier, TargetRows, images_from_folder

ARMS = {
    "source": None,
    "labels": None,
    "statistics": "statistics",
    "self": "self",
    "mcc": "mcc",
    "statistics+self": ("statistics", "self"),
    "statistics+mcc": ("statistics", "mcc"),
}
N_INTENTS = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a folder, or elpv")
    parser.add_argument("--epochs", type=int, help="default: that of the classifier")
    parser.add_argument("--arms", nargs="+", default=["source", "self", "mcc"], choices=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--absent", action="store_true", help="half of the classes are absent")
    parser.add_argument("--labels", type=int, default=20, help="rows of the arm of this name")
    parser.add_argument("--tasks", nargs="+", help="as in amazon-webcam; default: all pairs")
    parser.add_argument("--freeze-depth", default="all")
    parser.add_argument("--size", type=int, help="of images; default: that of the network")
    parser.add_argument("--cache", default="memory")
    parser.add_argument("--results", type=Path, default=Path("domains.json"))
    options = parser.parse_args()
    domains, score, backbone = read(options.data)
    done = json.loads(options.results.read_text()) if options.results.exists() else {}
    for seed in options.seeds:
        for source, target in permutations(domains, 2):
            if options.tasks and f"{source}-{target}" not in options.tasks:
                continue
            for arm in options.arms:
                key = f"{arm} {settings_of(options)} {source}-{target} {seed}"
                if arm == "labels":
                    key += f" {options.labels}"
                if key not in done:
                    classifier = FineTunedClassifier(
                        backbone, adaptation=ARMS[arm], random_state=seed, **parameters(options)
                    )
                    done[key] = run(
                        classifier, domains[source], domains[target], arm, seed, score, options
                    )
                    options.results.write_text(json.dumps(done, indent=1))
                print(f"{key}: {done[key]['score']:.3f}, {done[key]['seconds']:.1f} s", flush=True)
    report(done, options)


def settings_of(options):
    """Return what tells a run from those with other options, without blanks."""
    return f"{options.freeze_depth}/{options.epochs}/{options.size}/{options.absent}"


def parameters(options):
    """Return the classifier's parameters that the options set."""
    depth = options.freeze_depth
    depth = depth if depth in ("all", "auto") else int(depth)
    found = {"freeze_depth": depth, "cache": options.cache}
    if options.epochs is not None:
        found["epochs"] = options.epochs
    if options.size is not None:
        found["input_size"] = (options.size, options.size)
    return found


def read(data):
    """Return rows and labels of each domain, the score, and the backbone."""
    if data == "elpv":
        return solar_cells(), balanced_accuracy_score, "efficientnet_lite0"
    folder = Path(data)
    if (folder / "train.csv").exists():
        return questions(folder / "train.csv"), accuracy_score, "minilm_l6"
    if any(folder.glob("*.wav")):
        return speakers(folder), accuracy_score, "speech_embedding"
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    bunches = {folder.name: images_from_folder(folder) for folder in folders}
    found = {name: paths_and_names(bunch) for name, bunch in bunches.items()}
    return found, accuracy_score, "efficientnet_lite0"


def solar_cells():
    """Return cells, and whether each is defective, of each kind of silicon."""
    from elpv_dataset.utils import load_dataset

    cells, probabilities, types = load_dataset()
    labels = probabilities > 0.5
    kinds = {kind: types == kind for kind in ("mono", "poly")}
    return {kind: (cells[chosen], labels[chosen]) for kind, chosen in kinds.items()}


def questions(path):
    """Return questions of the most frequent intents, divided at the median length of each."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    counts = Counter(intent for _, intent in rows)
    found = {"short": [], "long": []}
    for intent in sorted(counts, key=lambda name: (-counts[name], name))[:N_INTENTS]:
        texts = sorted((text for text, own in rows if own == intent), key=len)
        for name, part in zip(found, np.array_split(np.array(texts, object), 2), strict=True):
            found[name] += [(text, intent) for text in part]
    return {name: pairs(rows) for name, rows in found.items()}


def speakers(folder):
    """Return recordings, and the digit spoken in each, of each speaker."""
    found = {}
    for path in sorted(folder.glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        found.setdefault(speaker, []).append((str(path), digit))
    return {name: pairs(rows) for name, rows in sorted(found.items())}


def pairs(rows):
    """Return rows and labels as two arrays."""
    given, labels = zip(*rows, strict=True)
    return np.array(given, object), np.array(labels)


def paths_and_names(bunch):
    """Return paths and names of classes, which are the same in all domains."""
    paths = np.array([str(path) for path in bunch.data], object)
    return paths, np.asarray(bunch.target_names)[bunch.target]


def run(classifier, source, target, arm, seed, score, options):
    X, y = source
    X_target, y_target = target
    rng = np.random.default_rng(seed)
    if options.absent:
        classes = np.unique(y)
        present = rng.permutation(classes)[: len(classes) // 2]
        X_target, y_target = (values[np.isin(y_target, present)] for values in target)
    order = rng.permutation(len(y_target))
    given, tested = np.array_split(order, 2)
    weights, rows = np.ones(len(y)), {}
    if arm == "labels":
        few = given[: options.labels]
        X, y = np.concatenate([X, X_target[few]]), np.concatenate([y, y_target[few]])
        weights = np.concatenate([weights, np.full(len(few), len(weights) / 2 / len(few))])
    elif ARMS[arm]:
        rows = {"X_target": TargetRows(X_target[given])}
    began = time.perf_counter()
    classifier.fit(X, y, sample_weight=weights, **rows)
    seconds = time.perf_counter() - began
    found = classifier.predict(X_target[tested])
    return {"score": float(score(y_target[tested], found)), "seconds": seconds}


def report(done, options):
    """Print the mean over tasks and seeds of each arm, and the worst task against the source."""
    means = {}
    for key, result in done.items():
        arm, settings, task, seed = key.split()[:4]
        if settings == settings_of(options) and arm in options.arms and int(seed) in options.seeds:
            means.setdefault(arm, {}).setdefault(task, []).append(result["score"])
    for arm, tasks in means.items():
        by_task = {task: np.mean(scores) for task, scores in tasks.items()}
        told = f"{arm}: mean {100 * np.mean(list(by_task.values())):.1f}"
        if "source" in means:
            gains = [mean - np.mean(means["source"][task]) for task, mean in by_task.items()]
            told += f", worst task against source {100 * min(gains):+.1f}"
        print(f"{told} ({len(by_task)} tasks)")


if __name__ == "__main__":
    main()
