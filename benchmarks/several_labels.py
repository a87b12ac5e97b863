"""Several labels a row: collages of photographs, and which classes of photographs are in them.

Each image is a square of four places. A place holds a photograph of a class drawn at random, or
stays grey; the labels are the classes that occur. Photographs of the test part occur in no collage
of the training part. Compared are ``OneVsRestClassifier(LogisticRegression)`` on frozen features,
``FineTunedClassifier`` on the matrix of labels, and ``OneVsRestClassifier(FineTunedClassifier)``.

Usage: ``python benchmarks/several_labels.py DATA``, where ``DATA/train`` and ``DATA/test`` hold a
folder of photographs for each of six classes or more.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    clear_cache,
    images_from_folder,
)

PLACES = 4
EMPTY = 0.3
GREY = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder that holds train and test")
    parser.add_argument("--train", type=int, default=400, help="collages to train on")
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--side", type=int, default=224, help="pixels of a collage")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    photos = images_from_folder(f"{options.data}/train")
    X, Y = collages(photos, options.train, options.side, rng)
    others = images_from_folder(f"{options.data}/test", categories=photos.target_names)
    X_test, Y_test = collages(others, options.test, options.side, rng)
    print(f"{Y.shape[1]} labels, {Y.sum(axis=1).mean():.1f} of them true in an image")
    print("| way | macro average precision | seconds |\n|---|--:|--:|")
    for name in options.ways:
        clear_cache()
        start = time.perf_counter()
        model = WAYS[name](options).fit(X, Y)
        found = model.predict_proba(X_test)
        seconds = time.perf_counter() - start
        score = average_precision_score(Y_test, found, average="macro")
        print(f"| {name} | {score:.3f} | {seconds:.1f} |", flush=True)


def collages(photos, n, side, rng):
    """Images of `side` pixels, and which classes are in them."""
    paths, classes = np.asarray(photos.data), np.asarray(photos.target)
    n_classes, half = len(photos.target_names), side // 2
    images = np.full((n, side, side, 3), GREY, np.uint8)
    labels = np.zeros((n, n_classes), int)
    for row in range(n):
        for place in range(PLACES):
            if rng.random() < EMPTY:
                continue
            label = rng.integers(n_classes)
            path = rng.choice(paths[classes == label])
            top, left = half * (place // 2), half * (place % 2)
            with Image.open(path) as photo:
                small = photo.convert("RGB").resize((half, half))
            images[row, top : top + half, left : left + half] = np.asarray(small)
            labels[row, label] = 1
    return images, labels


def frozen(options):
    """One logistic regression a label, on features."""
    size = options.side, options.side
    return make_pipeline(
        PretrainedFeatureExtractor(input_size=size),
        StandardScaler(),
        OneVsRestClassifier(LogisticRegression(C=0.01, max_iter=1000)),
    )


def tuned(options):
    """One network for all labels."""
    size = options.side, options.side
    return FineTunedClassifier(
        freeze_depth=-1,
        input_size=size,
        epochs=options.epochs,
        learning_rate=1e-3,
        label_smoothing=0.0,
        random_state=0,
    )


def one_by_one(options):
    """A network for each label."""
    return OneVsRestClassifier(tuned(options))


WAYS = {"frozen features": frozen, "several labels": tuned, "one network a label": one_by_one}


if __name__ == "__main__":
    main()
