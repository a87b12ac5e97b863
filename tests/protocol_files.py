"""Writes the files by which later versions are tried: ``python tests/protocol_files.py FOLDER``.

One is written for each protocol, by the last version that has it, and then never again. With it
goes what the estimators in it computed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from conftest import make_tiny_model
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor
from skltransfer.persistence.file import PROTOCOL

CLASSIFIER, EXTRACTOR, EXPECTED = "classifier.skltransfer", "extractor.skltransfer", "expected.npz"


def write(folder: Path) -> None:
    """Two estimators on a tiny network, and their results on a few images."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    labels = np.array(["circle", "square", "triangle"] * 4)
    settings = {"backbone": make_tiny_model(), "cache": None, "engine": "tensorflow"}
    classifier = FineTunedClassifier(
        freeze_depth=-1,
        head_units=(5,),
        epochs=2,
        augment="flip",
        n_views=2,
        tta=True,
        class_weight={"circle": 2.0, "square": 1.0, "triangle": 1.0},
        random_state=0,
        **settings,
    )
    extractor = PretrainedFeatureExtractor(layer=["stem", "top"], pooling="max", **settings)
    classifier.fit(images, labels).save(folder / CLASSIFIER)
    extractor.fit(images).save(folder / EXTRACTOR)
    np.savez_compressed(
        folder / EXPECTED,
        images=images,
        probabilities=classifier.predict_proba(images),
        features=extractor.transform(images),
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]) / f"protocol_{PROTOCOL}")
