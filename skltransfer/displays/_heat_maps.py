"""Heat maps of a fitted estimator: which positions in an image are evidence for a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skltransfer.displays._backbone_steps import BackboneStep, linear_weights
from skltransfer.displays._spectrograms import as_bytes
from skltransfer.estimators.base import BackboneEstimator, encoding_of, network_in
from skltransfer.estimators.fine_tuned import FineTunedBase, predictor_of
from skltransfer.estimators.taking_apart import rows_of, source_in
from skltransfer.inputs._input import chunks, empty_rows
from skltransfer.inputs.images.encoding import ImageEncoding
from skltransfer.inputs.images.resizing import resize
from skltransfer.inputs.sounds.encoding import SoundEncoding
from skltransfer.training.grad_cam import (
    class_activation_maps,
    feature_maps,
    grad_cam,
    tuned_values,
)
from skltransfer.training.members import mean_of_members

_ROWS_TOGETHER = 16


@dataclass(frozen=True)
class LookedAt:
    """Images as the network reads them, and their last feature maps.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, height, width, 3)
        At the input size of the network.
    maps : list of ndarray of float32, shape (n, h, w, channels)
        Feature maps whose means the classifier reads; for a fine-tuned network, those of each
        member.
    """

    images: np.ndarray
    maps: list[np.ndarray]


def check_maps(found: BackboneStep) -> None:
    """Refuse an estimator without feature maps, and a classifier that does not read their means."""
    step, tail = found.step, found.tail
    if isinstance(step, FineTunedBase):
        return
    if tail is None or not hasattr(tail, "decision_function"):
        last = "nothing" if tail is None else type(tail[-1]).__name__
        raise TypeError(
            f"The PretrainedFeatureExtractor is followed by {last}, which has no "
            "decision_function to explain. Use a pipeline that ends in a linear classifier such as "
            "LogisticRegression, or a FineTunedClassifier."
        )
    if isinstance(encoding_of(step), SoundEncoding):  # explained without feature maps
        return
    if step.pooling not in (None, "avg") or len(step.layers_) != 1:
        raise ValueError(
            f"A class activation map needs the means of one feature map, but this "
            f"PretrainedFeatureExtractor has pooling={step.pooling!r} and layer={step.layer!r}. "
            "Fit it with pooling='avg' and one layer."
        )


def look_at(found: BackboneStep) -> LookedAt:
    """Run the network on the images in small batches."""
    step, network, encoding = found.step, network_in(found.step), encoding_of(found.step)
    if not isinstance(encoding, ImageEncoding):
        raise ValueError(
            f"This {type(step).__name__} was fitted on rows of numbers, which have no positions to "
            "show. If they are flattened images, set image_shape=(height, width) or (height, "
            "width, channels) and fit again."
        )
    source = source_in(step, found.X)
    layers, values = _layers_and_values(step)
    images: list[np.ndarray] = []
    maps: list[list[np.ndarray]] = [[] for _ in values]
    for part in chunks(len(source), _ROWS_TOGETHER):
        rows = range(part.start, part.stop)
        (pixels,) = out = empty_rows(network.row_spec, len(rows))
        source.load(rows, out)
        images.append(as_bytes(pixels))
        for of_member, learned in zip(maps, values, strict=True):
            of_member.append(feature_maps(network, layers, pixels, learned))
    return LookedAt(np.concatenate(images), [np.concatenate(found) for found in maps])


def heat_maps(found: BackboneStep, seen: LookedAt, targets: np.ndarray) -> np.ndarray:
    """Compute the evidence for the classes `targets`, at the size of the images.

    Returns
    -------
    ndarray of float32, shape (n, height, width)
        Values of 0 or more, in units of the class score.
    """
    if isinstance(found.step, FineTunedBase):
        members, columns = predictor_of(found.step).members, rows_of(found.step, found.X)[1]
        heats = [
            grad_cam(member.step, member.state, maps, columns, targets)
            for member, maps in zip(members, seen.maps, strict=True)
        ]
        coarse = mean_of_members(heats)
    else:
        (maps,) = seen.maps
        slopes = linear_weights(found.tail, maps.mean(axis=(1, 2)))
        n_positions = maps.shape[1] * maps.shape[2]
        coarse = class_activation_maps(maps, slopes.T[targets] / n_positions)
    size = seen.images.shape[1:3]
    return np.stack([resize(heat[..., None], size)[..., 0] for heat in coarse])


def _layers_and_values(
    step: BackboneEstimator,
) -> tuple[tuple[str, ...], list[dict[int, np.ndarray] | None]]:
    """Return the layer of the feature maps, and the weights of each network that makes them."""
    if not isinstance(step, FineTunedBase):
        return step.layers_, [None]
    return (), [tuned_values(member.step, member.state) for member in predictor_of(step).members]
