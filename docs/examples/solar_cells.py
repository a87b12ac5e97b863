"""Find defective solar cells in 2,624 electroluminescence images.

The images come with ``elpv-dataset`` (CC BY-NC-SA 4.0, Deitsch et al. 2019). Every cell has a type
and a probability of being defective. Cells with a probability above 0.5 count as defective. Every
split is stratified by probability and type. The regularisation of the classifier is chosen within
each training set, and the test sets are used only for the final scores. Each image runs through the
network only once, whatever the number of splits, folds and candidates.

Run with ``python solar_cells.py [N_SPLITS]``; it writes solar_cells.joblib to the current folder.
"""

import os
import subprocess
import sys

import joblib
import numpy as np
from elpv_dataset.utils import load_dataset
from scipy.stats import t
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

TEST_SHARE = 0.25
IN_A_FRESH_PROCESS = """
import sys, joblib
model, cells, expected = joblib.load(sys.argv[1])
print("loaded in a fresh process, same probabilities:",
      bool((model.predict_proba(cells) == expected).all()))
"""


def main(n_splits=10):
    cells, probabilities, types = load_dataset()  # grey images of 300 x 300 pixels
    defective = probabilities > 0.5
    strata = np.char.add(types, probabilities.round(2).astype(str))
    splitter = StratifiedShuffleSplit(int(n_splits), test_size=TEST_SHARE, random_state=0)
    splits = list(splitter.split(cells, strata))

    model = make_model()
    scores = cross_validate(model, cells, defective, cv=splits, return_estimator=True)
    report("all", scores["test_score"])
    for kind in np.unique(types):
        report(kind, accuracies_on(types == kind, scores["estimator"], cells, defective, splits))

    dump_and_load(model.fit(cells, defective), cells[:8])


def make_model():
    """Return a search for the C of a classifier that follows an extractor and a scaler."""
    pipeline = make_pipeline(
        PretrainedFeatureExtractor(input_size=(300, 300)),  # the size of the images
        StandardScaler(),
        LogisticRegression(solver="newton-cholesky"),
    )
    return GridSearchCV(pipeline, {"logisticregression__C": [0.003, 0.01, 0.03]}, cv=3)


def accuracies_on(chosen, models, cells, defective, splits):
    """Accuracy of each model on the chosen cells of its test set."""
    tests = [test[chosen[test]] for _, test in splits]
    return np.array(
        [
            model.score(cells[test], defective[test])
            for model, test in zip(models, tests, strict=True)
        ]
    )


def report(name, accuracies):
    """Print the mean and its 95 % interval, which accounts for overlapping training sets.

    The variance is corrected as in Nadeau and Bengio, Inference for the Generalization Error
    (Machine Learning 52, 2003).
    """
    n = len(accuracies)
    variance = accuracies.var(ddof=1) * (1 / n + TEST_SHARE / (1 - TEST_SHARE))
    half = t.ppf(0.975, n - 1) * variance**0.5
    print(f"accuracy, {name + ':':5} {accuracies.mean():.3f} ± {half:.3f} ({n} splits)", flush=True)


def dump_and_load(model, cells, path="solar_cells.joblib"):
    """Write the fitted model to a file, and compare its predictions in a fresh process."""
    joblib.dump((model, cells, model.predict_proba(cells)), path)
    print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB")
    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, path], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
