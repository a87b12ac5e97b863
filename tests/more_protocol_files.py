"""Writes further files of the newest protocol: ``python tests/more_protocol_files.py FOLDER``.

Each NAME.skltransfer holds one estimator, of as many kinds as there are. Beside it NAME.npz holds
images or rows of numbers to try it on (X; with `columns`, those of a frame) and, for a fitted one,
what it computed of them (`expected`). The last version of a protocol writes them, and then never
again.
"""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas
from PIL import Image
from sklearn import config_context

from conftest import make_tiny_model
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, register_backbone
from skltransfer.persistence.file import PROTOCOL

SETTINGS = {"cache": None, "engine": "tensorflow"}
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
LABELS = np.array(["circle", "square", "triangle"] * 4)
NUMBERS = RNG.normal(size=(12, 5))
COLUMNS = ["length", "width", "height", "mass", "age"]


def classifier(**settings):
    """A classifier on a tiny network that trains for a moment."""
    given = {"backbone": make_tiny_model(), "epochs": 2, "batch_size": 8, "learning_rate": 1e-2}
    return FineTunedClassifier(**{**given, "random_state": 0, **SETTINGS, **settings})


def extractor(**settings):
    return PretrainedFeatureExtractor(**{"backbone": make_tiny_model(), **SETTINGS, **settings})


def unfitted_classifier():
    return FineTunedClassifier(
        weights=Path("folder") / "naïve.weights.h5",
        freeze_depth=0.5,
        head_units=[64, 32],
        head_activation="gelu",
        epochs=np.int64(3),
        learning_rate=np.float64(0.1),
        head_learning_rate=np.float32(0.01),
        augment="dihedral",  # "flips+turns" in protocol 1
        n_views=4,
        class_weight={"cat": 1.0, np.int64(1): np.float32(0.1), True: 2},
        tta=np.bool_(True),
        image_shape=np.array([20, 30]),
        pixel_range=(0, 1.5),
        input_size=(64, 96),
        cache=Path("folder"),
        n_jobs=-1,
        random_state=2**32 - 1,
    )


def unfitted_extractor():
    layers = ("block2b_add", "block5c_add")
    return PretrainedFeatureExtractor(layer=layers, pooling="flatten", weights=None, n_jobs=2)


def extractor_of_a_name():
    name = f"protocol {PROTOCOL}"
    register_backbone(name, make_tiny_model(seed=1), preprocessing="torch")
    return extractor(backbone=name, layer=["stem", "top"], pooling="max").fit(IMAGES)


def extractor_of_a_handle():
    name = f"protocol {PROTOCOL} handle"
    handle = register_backbone(name, make_tiny_model(2), preprocessing=(1 / 64, -2))
    return extractor(backbone=handle, resize="pad", input_size=(20, 24)).fit(IMAGES)


def extractor_of_a_frame():
    frame = pandas.DataFrame(NUMBERS, columns=COLUMNS)
    return extractor().set_output(transform="pandas").fit(frame)


def partly_fitted():
    fitted = classifier(head_units=(5,), batch_norm="train", freeze_depth=0)
    for start in (0, 4, 8):
        rows = slice(start, start + 4)
        fitted.partial_fit(IMAGES[rows], LABELS[rows], classes=["circle", "square", "triangle"])
    return fitted


def of_a_layer():
    layers = keras.layers
    augment = keras.Sequential([layers.RandomFlip("vertical", seed=3), layers.RandomContrast(0.2)])
    return classifier(augment=augment, n_views=2, tta=True).fit(IMAGES, LABELS)


def of_a_generator():
    return classifier(weights=None, random_state=np.random.RandomState(5)).fit(IMAGES, LABELS)


def with_requests():
    with config_context(enable_metadata_routing=True):
        asking = classifier(freeze_depth="all").set_fit_request(sample_weight="weight")
        return asking.set_score_request(sample_weight=True).fit(IMAGES, LABELS)


def with_failed_rows():
    files = [png(image) for image in IMAGES]
    files[3], files[7] = b"no image", files[7][:60]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return classifier(on_error="nan").fit(files, LABELS)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def stopped():
    settings = {"early_stopping": True, "validation_fraction": 1 / 3, "n_iter_no_change": 2}
    return classifier(epochs=6, class_weight="balanced", **settings).fit(IMAGES, LABELS)


def with_symmetries():
    settings = {"augment": "dihedral", "n_views": 3, "tta": True, "head_units": (4,)}
    return classifier(head_activation="gelu", **settings).fit(IMAGES, LABELS)


def bundled():
    settings = {"backbone": "efficientnet_lite0", "input_size": (64, 64), "freeze_depth": "all"}
    return classifier(**settings).fit(IMAGES, LABELS == "circle")


def with_pixel_range():
    settings = {"pixel_range": (0, 300), "precision": "bfloat16", "weight_decay": 0.01}
    return classifier(**settings).fit(IMAGES.astype(float), np.arange(12) % 2)


MAKERS = {
    "unfitted_classifier": (unfitted_classifier, IMAGES),
    "unfitted_extractor": (unfitted_extractor, IMAGES),
    "extractor_of_numbers": (lambda: extractor(pooling="flatten").fit(NUMBERS), NUMBERS),
    "extractor_of_a_name": (extractor_of_a_name, IMAGES),
    "extractor_of_a_handle": (extractor_of_a_handle, IMAGES),
    "extractor_of_a_frame": (extractor_of_a_frame, NUMBERS),
    "partly_fitted": (partly_fitted, IMAGES),
    "stopped": (stopped, IMAGES),
    "classifier_of_numbers": (lambda: classifier().fit(NUMBERS, LABELS), NUMBERS),
    "of_a_layer": (of_a_layer, IMAGES),
    "of_a_generator": (of_a_generator, IMAGES),
    "with_requests": (with_requests, IMAGES),
    "with_failed_rows": (with_failed_rows, IMAGES),
    "with_symmetries": (with_symmetries, IMAGES),
    "bundled": (bundled, IMAGES),
    "with_pixel_range": (with_pixel_range, IMAGES.astype(float)),
}
"""Names of the files, what makes the estimators, and what they are tried on."""


def computed(estimator, X, columns=None):
    """Probabilities or features of X, which is a frame where it has columns."""
    given = X if columns is None else pandas.DataFrame(X, columns=columns)
    compute = getattr(estimator, "predict_proba", None) or estimator.transform
    return np.asarray(compute(given))


def tried(estimator, X):
    """Arrays to keep beside an estimator."""
    if not hasattr(estimator, "backbone_"):
        return {"X": X}
    named = {"columns": np.array(COLUMNS)} if hasattr(estimator, "feature_names_in_") else {}
    return {"X": X, "expected": computed(estimator, X, **named), **named}


def write(folder: Path) -> None:
    """All estimators, and what they computed."""
    folder.mkdir(parents=True)
    for name, (make, X) in MAKERS.items():
        estimator, shown = make(), X[:4]
        estimator.save(folder / f"{name}.skltransfer")
        np.savez_compressed(folder / f"{name}.npz", **tried(estimator, shown))


if __name__ == "__main__":
    write(Path(sys.argv[1]) / f"protocol_{PROTOCOL}_more")
