"""Frozen features and logistic regression on photographs of clothes.

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
    options = parser.parse_args()
    train = images_from_folder(options.data / "train")
    validation = images_from_folder(options.data / "validation")

    extractor = PretrainedFeatureExtractor(options.backbone, verbose=1)
    pipeline = make_pipeline(extractor, StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.001, 0.003, 0.01, 0.03]}, cv=3)
    start = time.perf_counter()
    search.fit(train.data, train.target)
    seconds = time.perf_counter() - start
    accuracy = search.score(validation.data, validation.target)
    print(f"{len(train.data)} pictures, search of {search.best_params_} in {seconds:.0f} s")
    print(f"accuracy on {len(validation.data)} others: {accuracy:.3f}")


if __name__ == "__main__":
    main()
