"""Fine-tune the bundled network on the solar cells of ELPV, over repeated splits.

The protocol of Deitsch et al. (Automatic classification of defective photovoltaic module cells in
electroluminescence images, Solar Energy 185, 2019): three quarters to train, a quarter to test,
stratified by probability and type; a cell is defective above 0.5. Their VGG-19 reached 0.884.

Usage: ``python benchmarks/elpv_fine_tuning.py [--splits 5] [--size 224]``. Each split is written
to ``--results`` as soon as it is done, and splits that are there already are not repeated.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")  # memory is kept for the next step: faster

import numpy as np
from elpv_dataset.utils import load_dataset
from scipy.stats import t
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit

from skltransfer import FineTunedClassifier

TEST_SHARE = 0.25


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--freeze-depth", type=int, default=3)
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--results", type=Path, default=Path("elpv_fine_tuning.json"))
    options = parser.parse_args()

    cells, probabilities, types = load_dataset()  # grey images of 300 x 300 pixels
    defective = probabilities > 0.5
    strata = np.char.add(types, probabilities.round(2).astype(str))
    splitter = StratifiedShuffleSplit(options.splits, test_size=TEST_SHARE, random_state=0)
    done = json.loads(options.results.read_text()) if options.results.exists() else {}
    for number, (train, test) in enumerate(splitter.split(cells, strata)):
        key = f"{key_of(options)} {number}"
        if key not in done:
            classifier = make_classifier(options, number)
            done[key] = run(classifier, cells, defective, types, train, test)
            options.results.write_text(json.dumps(done, indent=1))
        print(f"split {number}: {done[key]}", flush=True)
    chosen = [done[key] for key in done if key.rsplit(" ", 1)[0] == key_of(options)]
    report(chosen)


def key_of(options):
    """What tells settings apart in the file of results."""
    settings = (options.freeze_depth, options.size, options.epochs, options.learning_rate)
    return " ".join(map(str, settings))


def make_classifier(options, seed):
    return FineTunedClassifier(
        freeze_depth=options.freeze_depth,
        input_size=(options.size, options.size),
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        layer_decay=1.0,
        label_smoothing=0.1,
        batch_norm="train",
        augment="dihedral",
        cache=None,  # every epoch draws views of its own
        tta=True,
        random_state=seed,
    )


def run(classifier, cells, defective, types, train, test):
    """Measures of one split, by type of cell too."""
    start = time.perf_counter()
    classifier.fit(cells[train], defective[train])
    trained = time.perf_counter() - start
    probability = classifier.predict_proba(cells[test])[:, 1]
    predicted, truth = probability > 0.5, defective[test]
    return {
        "accuracy": accuracy_score(truth, predicted),
        "macro F1": f1_score(truth, predicted, average="macro"),
        "ROC AUC": roc_auc_score(truth, probability),
        **{
            f"accuracy, {kind}": accuracy_score(truth[of_kind], predicted[of_kind])
            for kind in np.unique(types)
            for of_kind in [types[test] == kind]
        },
        "seconds to fit": trained,
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
