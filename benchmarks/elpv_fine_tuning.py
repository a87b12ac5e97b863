"""Fine-tune the bundled network on the solar cells of ELPV, over repeated splits.

The protocol of Deitsch et al. (Automatic classification of defective photovoltaic module cells in
electroluminescence images, Solar Energy 185, 2019): three quarters to train, a quarter to test,
stratified by probability and type; a cell is defective above 0.5. Their VGG-19 reached 0.884.

Two networks are trained. The first sees the labels. The second sees the probabilities: a cell whose
label is uncertain is given once for each class, and weighs as much as the class is probable. Each
is judged, and so is the mean of their probabilities.

Usage: ``python benchmarks/elpv_fine_tuning.py [--splits 5] [--size 224]``. ``--choose`` judges by a
quarter of the training part of each split, to choose settings by. The probabilities of each network
are written to ``--results`` as soon as it is trained, and those that are there already are not
computed again.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")  # memory is kept for the next step: faster

import numpy as np
from elpv_dataset.utils import load_dataset
from scipy.stats import t
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit

from skltransfer import FineTunedClassifier

TEST_SHARE = 0.25
SMOOTHING = {"labels": 0.1, "probabilities": 0.0}
"""What the networks are trained on, with the label smoothing."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="judge on a part of train instead")
    parser.add_argument("--freeze-depth", type=int, default=3)
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--results", type=Path, default=Path("elpv_fine_tuning"))
    options = parser.parse_args()
    cells, probabilities, types = load_dataset()  # grey images of 300 x 300 pixels
    strata = np.char.add(types, probabilities.round(2).astype(str))
    results = {way: [] for way in (*SMOOTHING, "mean of both")}
    for number, (train, test) in enumerate(splits(strata, options)):
        found, truth = [], probabilities[test] > 0.5
        for way in SMOOTHING:
            found.append(predicted(way, cells, probabilities, train, test, number, options))
            results[way].append(measures(found[-1], truth, types[test]))
        results["mean of both"].append(measures(np.mean(found, axis=0), truth, types[test]))
        told = (f"{way} {of_way[-1]['accuracy']:.3f}" for way, of_way in results.items())
        print(f"split {number}: {', '.join(told)}", flush=True)
    for way, of_way in results.items():
        print(f"\n{way}")
        report(of_way)


def splits(strata, options):
    """Positions to train on and to judge by."""
    splitter = StratifiedShuffleSplit(options.splits, test_size=TEST_SHARE, random_state=0)
    for number, (train, test) in enumerate(splitter.split(strata, strata)):
        if not options.choose:
            yield train, test
            continue
        inner = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=100 + number)
        ((kept, held_out),) = inner.split(train, strata[train])
        yield train[kept], train[held_out]


def predicted(way, cells, probabilities, train, test, number, options):
    """Probabilities of being defective, computed once."""
    settings = (options.freeze_depth, options.size, options.epochs, options.learning_rate)
    part = "choose" if options.choose else "test"
    path = options.results / f"{way} {settings} {part} {number}.npy"
    if not path.exists():
        classifier = make_classifier(way, options, number)
        start = time.process_time()
        rows, labels, weights = training_rows(way, cells[train], probabilities[train])
        classifier.fit(rows, labels, sample_weight=weights)
        print(f"split {number}, {way}: {time.process_time() - start:.0f} CPU s to fit", flush=True)
        options.results.mkdir(parents=True, exist_ok=True)
        np.save(path, classifier.predict_proba(cells[test])[:, 1])
    return np.load(path)


def training_rows(way, cells, probabilities):
    """Cells, whether they are defective, and weights."""
    if way == "labels":
        return cells, probabilities > 0.5, None
    chances = {True: probabilities, False: 1 - probabilities}
    return (
        np.concatenate([cells[chance > 0] for chance in chances.values()]),
        np.concatenate([np.full((chance > 0).sum(), label) for label, chance in chances.items()]),
        np.concatenate([chance[chance > 0] for chance in chances.values()]),
    )


def make_classifier(way, options, seed):
    return FineTunedClassifier(
        freeze_depth=options.freeze_depth,
        input_size=(options.size, options.size),
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        layer_decay=1.0,
        label_smoothing=SMOOTHING[way],
        batch_norm="train",
        augment="dihedral",
        cache=None,  # every epoch draws views of its own
        tta=True,
        random_state=seed,
    )


def measures(probability, truth, types):
    """Measures of one split, by type of cell too."""
    found = probability > 0.5
    return {
        "accuracy": accuracy_score(truth, found),
        "macro F1": f1_score(truth, found, average="macro"),
        "ROC AUC": roc_auc_score(truth, probability),
        "log loss": log_loss(truth, probability),
        **{
            f"accuracy, {kind}": accuracy_score(truth[types == kind], found[types == kind])
            for kind in np.unique(types)
        },
    }


def report(results):
    """Means with 95 % intervals that allow for overlapping training parts.

    The variance is corrected as in Nadeau and Bengio, Inference for the Generalization Error
    (Machine Learning 52, 2003).
    """
    n = len(results)
    for name in results[0]:
        values = np.array([result[name] for result in results])
        variance = values.var(ddof=1) * (1 / n + TEST_SHARE / (1 - TEST_SHARE)) if n > 1 else 0.0
        half = t.ppf(0.975, n - 1) * variance**0.5 if n > 1 else float("nan")
        print(f"{name + ':':22} {values.mean():.3f} ± {half:.3f} ({n} splits)")


if __name__ == "__main__":
    main()
