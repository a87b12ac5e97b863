"""Code as users write it, for the type checker alone: public names have the types they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from sklearn.utils import Bunch

from skltransfer import (
    FineTunedClassifier,
    FineTunedRegressor,
    FreezeDepthDisplay,
    PretrainedFeatureExtractor,
    SaliencyDisplay,
    TopLossesDisplay,
    cache_info,
    clear_cache,
    compare_backbones,
    freeze_points,
    images_from_folder,
    list_backbones,
    load,
    precompute,
    register_backbone,
)


def features(images: np.ndarray) -> None:
    """A transformer."""
    extractor = PretrainedFeatureExtractor(
        "ResNet50", layer=["a", "b"], pooling="max", input_size=(96, 96), cache=Path("kept")
    )
    assert_type(extractor.fit(images), PretrainedFeatureExtractor)
    assert_type(extractor.transform(["a.jpg"]), Any)  # an array or a frame
    assert_type(extractor.get_feature_names_out(), np.ndarray)
    extractor.save("extractor.skltransfer")


def fine_tuning(images: np.ndarray, labels: list[str]) -> None:
    """A classifier."""
    classifier = FineTunedClassifier(freeze_depth="all", head_units=(64,), class_weight="balanced")
    fitted = classifier.fit(images, labels, sample_weight=[1.0, 2.0])
    assert_type(fitted, FineTunedClassifier)
    assert_type(fitted.partial_fit(images, labels), FineTunedClassifier)
    assert_type(fitted.predict_proba(images), np.ndarray)
    kinds = PretrainedFeatureExtractor | FineTunedClassifier | FineTunedRegressor
    assert_type(load("a.skltransfer"), kinds)
    regressor = FineTunedRegressor(loss="huber").fit(images, [1.5, 2.5])
    assert_type(regressor, FineTunedRegressor)
    assert_type(regressor.predict(images), np.ndarray)


def displays(classifier: FineTunedClassifier, search: Any) -> None:
    """Images."""
    assert_type(FreezeDepthDisplay.from_estimator(search).plot(), FreezeDepthDisplay)
    assert_type(SaliencyDisplay.from_estimator(classifier, ["a.jpg"]), SaliencyDisplay)
    TopLossesDisplay.from_estimator(classifier, ["a.jpg"], ["cat"], n_images=4)


def mistakes() -> None:
    """What a checker finds before anything runs."""
    PretrainedFeatureExtractor(pooling="mean")  # type: ignore[arg-type]
    FineTunedClassifier(epochs="ten")  # type: ignore[arg-type]
    FineTunedRegressor(loss="mse")  # type: ignore[arg-type]
    FineTunedClassifier("ResNet50", "imagenet")  # type: ignore[call-arg]


def functions(model: Any) -> None:
    """Everything else."""
    assert_type(list_backbones()[0].parameters, int)
    assert_type(freeze_points("ResNet50")[0].milliseconds, float)
    assert_type(cache_info("kept").rows_computed, dict[str, int])
    assert_type(precompute(["a.jpg"], ["all", -1], random_state=0).entries, int)
    assert_type(register_backbone("mine", model, preprocessing="tf").name, str)
    photos: Bunch = images_from_folder(Path("photos"), categories=["cat", "dog"])
    compared: Bunch = compare_backbones(photos.data, photos.target, layers=[None, "a"], cv=3)
    clear_cache()
    print(photos.data, compared.verdict)
