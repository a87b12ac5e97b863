"""A table beside the image: both together, each alone, and stacked.

Each photograph of waste has a row of made-up facts: the weight of a load and its district. A load
is worth its transport if the price of its material times its weight exceeds the fee of the
district; only the photograph shows the material. The prices of the materials, in the order of their
folders' names, go from the first of ``--prices`` to the second, evenly spaced in their logarithms:
the farther apart, the more the photograph counts. Each draw takes other photographs of
``DATA/train`` and makes up other tables; all photographs of ``DATA/test`` are tested.

Stacking is scikit-learn's: a logistic regression on out-of-fold log-odds of the image model and of
the table model. All image models train the last stage and are at their defaults otherwise.

Usage: ``python benchmarks/tabular.py DATA``, where ``DATA/train`` and ``DATA/test`` hold a folder
of photographs for each material.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skltransfer import FineTunedClassifier, images_from_folder

FEES = {"north": 0.5, "south": 1.0, "east": 2.0}
FOLDS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder that holds train and test")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--train", type=int, default=200, help="photographs to train on")
    parser.add_argument("--prices", nargs=2, type=float, default=(0.4, 2.5))
    parser.add_argument("--side", type=int, default=160, help="pixels a side")
    options = parser.parse_args()
    train = images_from_folder(f"{options.data}/train")
    test = images_from_folder(f"{options.data}/test", categories=train.target_names)
    ways = made(options.side)
    print(f"| draw | {' | '.join(ways)} |\n|---|{'--:|' * len(ways)}")
    scores = []
    for draw in range(options.draws):
        rng = np.random.default_rng(draw)
        X, y = loads(train, rng, options.train, options.prices)
        X_test, y_test = loads(test, rng, len(test.data), options.prices)
        scores.append([way.fit(X, y).score(X_test, y_test) for way in ways.values()])
        print(shown(draw, scores[-1]), flush=True)
    print(shown("mean", np.mean(scores, axis=0)))


def loads(photos, rng, n, prices):
    """Photographs with a table, and whether they are worth their transport."""
    rows = rng.permutation(len(photos.data))[:n]
    materials = np.asarray(photos.target)[rows]
    values = np.geomspace(*prices, len(photos.target_names))[materials]
    weights = rng.lognormal(0, 0.7, n)
    districts = rng.choice(list(FEES), n)
    frame = pd.DataFrame(
        {
            "photo": [photos.data[row] for row in rows],
            "weight": weights,
            "district": pd.Categorical(districts, list(FEES)),
        }
    )
    return frame, values * weights > np.array([FEES[name] for name in districts])


def made(side):
    """The ways to compare, by name."""
    table = make_column_transformer(
        (OneHotEncoder(), ["district"]),
        (make_pipeline(FunctionTransformer(np.log), StandardScaler()), ["weight"]),
    )
    settings = {"freeze_depth": -1, "input_size": (side, side), "random_state": 0}
    image = make_pipeline(columns(["photo"]), FineTunedClassifier(**settings))
    facts = make_pipeline(columns(["weight", "district"]), table, LogisticRegression())
    return {
        "image alone": image,
        "table alone": facts,
        "stacked": StackingClassifier(
            [("image", image), ("table", facts)],
            LogisticRegression(),
            cv=FOLDS,
            stack_method="decision_function",
        ),
        "both": FineTunedClassifier(tabular=table, input_column="photo", **settings),
    }


def columns(names):
    """A step that passes some columns on."""
    return FunctionTransformer(lambda frame: frame[names])


def shown(name, scores):
    return f"| {name} | {' | '.join(f'{score:.3f}' for score in scores)} |"


if __name__ == "__main__":
    main()
