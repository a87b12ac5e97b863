"""Where in an image a network finds evidence for a class, from its last feature map.

The method is Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", ICCV 2017). For a linear classifier on the mean of the map, Grad-CAM
reduces to class activation maps (Zhou et al., "Learning Deep Features for Discriminative
Localization", CVPR 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skltransfer.backend import as_array, as_tensor, start, value_and_gradients
from skltransfer.network.execution import run_steps
from skltransfer.network.pooling import pooled

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.network.graph import Step
    from skltransfer.network.runtime import Network
    from skltransfer.training.state import TrainingState
    from skltransfer.training.train_step import TrainStep


def feature_maps(
    network: Network,
    layers: tuple[str, ...],
    pixels: np.ndarray,
    values: dict[int, np.ndarray] | None = None,
) -> np.ndarray:
    """Compute the output of one layer before pooling.

    Parameters
    ----------
    network : Network
        The backbone.
    layers : tuple of str
        The name of one layer; () means the end of the features.
    pixels : ndarray of float32, shape (n, height, width, 3)
        Images from 0 to 255.
    values : dict of int to ndarray, default=None
        Weights by the ``id`` of their variables; None uses the pretrained weights.

    Returns
    -------
    ndarray of float32, shape (n, h, w, channels)

    Raises
    ------
    ValueError
        If the layer has no map with more than one position.
    """
    from keras import ops

    start()
    graph = network.graph if layers else network.features
    step = network.position_of(layers[0]) if layers else network.end
    _check_map(network, graph.steps[step])
    values = network.arrays if values is None else values
    x = network.preprocess(ops.convert_to_tensor(pixels))
    return as_array(run_steps(graph, None, [step], x, values)[0])


def tuned_values(trained: TrainStep, state: TrainingState) -> dict[int, np.ndarray]:
    """Return all weights of a fine-tuned backbone, by the ``id`` of their variables."""
    arrays = trained.tuned(trained.network.spec.weights, state.params, state.fixed)
    return dict(zip(map(id, trained.network.variables), arrays, strict=True))


def grad_cam(
    trained: TrainStep,
    state: TrainingState,
    maps: np.ndarray,
    columns: np.ndarray | None,
    targets: np.ndarray,
) -> np.ndarray:
    """Compute Grad-CAM of the last feature maps.

    Parameters
    ----------
    trained : TrainStep
        The trained part of the network, which contains the head.
    state : TrainingState
        The trained weights.
    maps : ndarray of float32, shape (n, h, w, channels)
        The feature maps; the head reads them after pooling.
    columns : ndarray of float32, shape (n, n_columns), or None
        The extra columns that the head reads, if any.
    targets : ndarray of int, shape (n,)
        For each row, the index of the logit to explain.

    Returns
    -------
    ndarray of float32, shape (n, h, w)
        At each position, the sum of the channels, each weighted by the mean gradient of the logit.
        Negative sums are set to 0.
    """
    from keras import ops

    start()
    mean, scale = as_tensor(state.standardizer)
    weights = [as_tensor(array) for array in trained.of_head(state.params)]
    chosen = as_tensor(np.eye(trained.head.n_outputs, dtype=np.float32)[targets])

    def explained(parameters: list[KerasTensor]) -> KerasTensor:
        features = pooled(parameters[0], trained.network.pooling)
        if columns is not None:
            features = ops.concatenate([features, columns], axis=1)
        outputs = trained.head.outputs(weights, (features - mean) / scale)
        return ops.sum(outputs * chosen)  # the outputs of a row depend only on its own map

    _, (gradients,) = value_and_gradients(explained, [ops.convert_to_tensor(maps)])
    return class_activation_maps(maps, as_array(gradients).mean(axis=(1, 2)))


def class_activation_maps(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted sums over the channels of `maps`, with negative sums set to 0.

    Parameters
    ----------
    maps : ndarray of float32, shape (n, h, w, channels)
        Feature maps.
    weights : ndarray of shape (n, channels)
        For each row, the weights of the channels.
    """
    sums = np.einsum("nhwc,nc->nhw", maps, weights)
    positive: np.ndarray = np.maximum(sums, 0)
    return positive.astype(np.float32)


def _check_map(network: Network, step: Step) -> None:
    shape = step.shape
    if len(shape) == 3 and shape[:2] != (1, 1):
        return
    height, width = network.size
    raise ValueError(
        f"backbone={network.spec.name!r} gives no feature map to look at: for images of "
        f"{height} x {width} pixels, the output of {step.name!r} has the shape {shape}, but "
        "(height, width, channels) with more than one position is needed. If the output has one "
        "position, use a larger input_size; otherwise, use a convolutional backbone that ends in a "
        "feature map."
    )
