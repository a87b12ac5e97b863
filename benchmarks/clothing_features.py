"""Frozen features and logistic regression on photographs of clothes.

Whether the images are stretched or padded to a square, and the classifier's C, are chosen by
cross-validation within the training part.

Usage: ``python benchmarks/clothing_features.py DATA``, where ``DATA/train`` and
``DATA/validation`` hold a folder of JPEG files for each class, as clothing-dataset-small does
(CC0, https://github.com/alexeygrigorev/clothing-dataset-small).
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor, images_from_folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the folders train and validation")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--precision", default="float32", help="number format of the network")
    options = parser.parse_args()
    train = images_from_folder(options.data / "train")
    validation = images_from_folder(options.data / "validation")

    extractor = PretrainedFeatureExtractor(options.backbone, precision=options.precision)
    pipeline = make_pipeline(extractor, StandardScaler(), LogisticRegression(max_iter=1000))
    grid = {
        "pretrainedfeatureextractor__resize": ["stretch", "pad"],
        "logisticregression__C": [0.003, 0.01],
    }
    search = GridSearchCV(pipeline, grid, cv=3)
    start = time.perf_counter()
    search.fit(train.data, train.target)
    seconds = time.perf_counter() - start
    accuracy = search.score(validation.data, validation.target)
    print(f"search over {grid} on {len(train.data)} images: {seconds:.0f} s")
    print(f"chosen by its 3 folds, accuracy {search.best_score_:.3f}: {search.best_params_}")
    print(f"accuracy on {len(validation.data)} images kept apart: {accuracy:.3f}")


if __name__ == "__main__":
    main()
