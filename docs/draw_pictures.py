"""Draw the pictures of getting started and of the displays page: docs/pictures/*.jpg.

The photographs are those of clothing-dataset-small, which is in the public domain (CC0). The jars
of the regressor are drawn here.

Usage: ``python docs/draw_pictures.py CLOTHES`` with the folder that holds train and validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV

from skltransfer import (
    FeatureMapDisplay,
    FineTunedClassifier,
    FineTunedRegressor,
    FreezeDepthDisplay,
    LargestErrorsDisplay,
    SaliencyDisplay,
    TopLossesDisplay,
    TrainingCurveDisplay,
    images_from_folder,
    precompute,
)

FOLDER = Path(__file__).parent / "pictures"
SMALL = (160, 160)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clothes", type=Path)
    root = parser.parse_args().clothes
    FOLDER.mkdir(exist_ok=True)
    train = images_from_folder(root / "train", labels="names", shuffle=True)
    test = images_from_folder(root / "validation", labels="names", shuffle=True)
    few = train.data[:200], train.target[:200]
    draw_getting_started(few, test)
    draw_what_was_learned(few, test)
    draw_freeze_depths(*few)
    draw_errors_of_jars()


def draw_getting_started(few, test):
    """The confusion matrix of new photographs, and the answer for one of them."""
    classifier = FineTunedClassifier(epochs=2, random_state=0).fit(*few)
    axis = plt.figure(figsize=(6, 5.4), layout="constrained").gca()
    ConfusionMatrixDisplay.from_estimator(
        classifier,
        test.data,
        test.target,
        ax=axis,
        xticks_rotation=45,
        cmap="Blues",
        colorbar=False,
    )
    axis.set_title(f"{classifier.score(test.data, test.target):.0%} of {len(test.data)} right")
    save(axis.figure, "confusion")

    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2.8), layout="constrained")
    (probabilities,) = classifier.predict_proba(test.data[:1])
    best = np.argsort(probabilities)[-4:]
    left.imshow(Image.open(test.data[0]))
    left.axis("off")
    right.barh(classifier.classes_[best], probabilities[best])
    right.set(xlim=(0, 1), title="predict_proba")
    save(figure, "new_photograph")


def draw_what_was_learned(few, test):
    """The training curve, the largest losses, where the network looks, and what is alike to it."""
    classifier = FineTunedClassifier(
        freeze_depth=-2, early_stopping=True, n_iter_no_change=10, input_size=SMALL, random_state=0
    ).fit(*few)
    display = TrainingCurveDisplay.from_estimator(classifier)
    save(display.figure_, "training_curve", (6, 3.6))
    display = TopLossesDisplay.from_estimator(
        classifier, test.data, test.target, n_images=8, n_columns=4
    )
    save(display.figure_, "top_losses", (8, 5))
    some = [np.flatnonzero(test.target == name)[0] for name in ("dress", "hat", "pants", "shoes")]
    display = SaliencyDisplay.from_estimator(classifier, test.data[some], n_columns=4)
    save(display.figure_, "saliency", (8, 3))
    display = FeatureMapDisplay.from_estimator(
        classifier, test.data, test.target, n_thumbnails=20, random_state=0
    )
    save(display.figure_, "feature_map", (8, 6))


def draw_freeze_depths(X, y):
    """A search over freeze depth and head size, with all activations computed before."""
    classifier = FineTunedClassifier(epochs=4, input_size=(128, 128), random_state=0)
    grid = {"freeze_depth": ["all", -1, -2, -3], "head_units": [(), 64]}
    precompute(X, grid["freeze_depth"], input_size=(128, 128), random_state=0)
    search = GridSearchCV(classifier, grid, cv=3).fit(X, y)
    save(FreezeDepthDisplay.from_search(search).figure_, "freeze_depth", (6, 4.5))


def draw_errors_of_jars():
    """A regressor that sees how full jars are, and those it is most wrong about."""
    rng = np.random.default_rng(0)
    percent = rng.uniform(0, 100, 300)
    jars = [jar(value, rng) for value in percent]
    regressor = FineTunedRegressor(freeze_depth="all", input_size=SMALL, random_state=0)
    regressor.fit(jars[:200], percent[:200])
    display = LargestErrorsDisplay.from_estimator(
        regressor, jars[200:], percent[200:], n_images=8, n_columns=4
    )
    save(display.figure_, "largest_errors", (8, 5))


def jar(percent, rng):
    """A jar somewhere in front of a wall, filled with a liquid of any colour."""
    light = int(rng.integers(150, 256))
    picture = Image.new("RGB", (192, 192), (light, light, light - 20))
    pen = ImageDraw.Draw(picture)
    left, top = rng.integers((20, 15), (80, 40)).tolist()
    right, bottom = left + 90, top + 135
    level = bottom - percent / 100 * (bottom - top)
    pen.rectangle((left, level, right, bottom), fill=tuple(rng.integers(0, 200, 3).tolist()))
    pen.rounded_rectangle((left, top - 10, right, bottom), 10, outline="black", width=3)
    return picture


def save(figure, name, size=None):
    if size:
        figure.set_size_inches(size)
    figure.savefig(FOLDER / f"{name}.jpg", dpi=100, pil_kwargs={"quality": 85})
    plt.close(figure)


if __name__ == "__main__":
    main()
