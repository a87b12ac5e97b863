"""Transfer learning that behaves like the rest of scikit-learn.

A public name is imported when it is first used, so ``import skltransfer`` loads neither Keras nor
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "CacheWarning": "cache",
    "FeatureMapDisplay": "displays.feature_map",
    "FineTunedClassifier": "estimators.classifier",
    "FineTunedRegressor": "estimators.regressor",
    "FreezeDepthDisplay": "displays.freeze_depth",
    "ImageReadError": "inputs.errors",
    "LargestErrorsDisplay": "displays.largest_errors",
    "PretrainedFeatureExtractor": "estimators.extractor",
    "ReadError": "inputs.errors",
    "SaliencyDisplay": "displays.saliency",
    "SoundInput": "inputs.sounds.kind",
    "TargetRows": "adaptation.target_rows",
    "TopLossesDisplay": "displays.top_losses",
    "TrainingCurveDisplay": "displays.training_curve",
    "UnreadableImagesWarning": "_warnings",
    "UnreadableRowsWarning": "_warnings",
    "cache_info": "cache.inspection",
    "clear_cache": "cache.inspection",
    "compare_backbones": "comparison.backbones",
    "content_keys": "extraction.batches",
    "extract_batch": "extraction.batches",
    "export": "estimators.exportation",
    "freeze_points": "frozen.freeze_points",
    "images_from_folder": "inputs.images.folders",
    "import_features": "extraction.importing",
    "list_backbones": "backbones.listing",
    "load": "estimators.loading",
    "precompute": "estimators.precomputation",
    "register_backbone": "backbones.registry",
    "sounds_from_folder": "inputs.sounds.folders",
    "target_scorer": "comparison.target_scorer",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from skltransfer._warnings import UnreadableImagesWarning as UnreadableImagesWarning
    from skltransfer._warnings import UnreadableRowsWarning as UnreadableRowsWarning
    from skltransfer.adaptation.target_rows import TargetRows as TargetRows
    from skltransfer.backbones.listing import list_backbones as list_backbones
    from skltransfer.backbones.registry import register_backbone as register_backbone
    from skltransfer.cache import CacheWarning as CacheWarning
    from skltransfer.cache.inspection import cache_info as cache_info
    from skltransfer.cache.inspection import clear_cache as clear_cache
    from skltransfer.comparison.backbones import compare_backbones as compare_backbones
    from skltransfer.comparison.target_scorer import target_scorer as target_scorer
    from skltransfer.displays.feature_map import FeatureMapDisplay as FeatureMapDisplay
    from skltransfer.displays.freeze_depth import FreezeDepthDisplay as FreezeDepthDisplay
    from skltransfer.displays.largest_errors import LargestErrorsDisplay as LargestErrorsDisplay
    from skltransfer.displays.saliency import SaliencyDisplay as SaliencyDisplay
    from skltransfer.displays.top_losses import TopLossesDisplay as TopLossesDisplay
    from skltransfer.displays.training_curve import TrainingCurveDisplay as TrainingCurveDisplay
    from skltransfer.estimators.classifier import FineTunedClassifier as FineTunedClassifier
    from skltransfer.estimators.exportation import export as export
    from skltransfer.estimators.extractor import (
        PretrainedFeatureExtractor as PretrainedFeatureExtractor,
    )
    from skltransfer.estimators.loading import load as load
    from skltransfer.estimators.precomputation import precompute as precompute
    from skltransfer.estimators.regressor import FineTunedRegressor as FineTunedRegressor
    from skltransfer.extraction.batches import content_keys as content_keys
    from skltransfer.extraction.batches import extract_batch as extract_batch
    from skltransfer.extraction.importing import import_features as import_features
    from skltransfer.frozen.freeze_points import freeze_points as freeze_points
    from skltransfer.inputs.errors import ImageReadError as ImageReadError
    from skltransfer.inputs.errors import ReadError as ReadError
    from skltransfer.inputs.images.folders import images_from_folder as images_from_folder
    from skltransfer.inputs.sounds.folders import sounds_from_folder as sounds_from_folder
    from skltransfer.inputs.sounds.kind import SoundInput as SoundInput


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
