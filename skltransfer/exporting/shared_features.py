"""The feature maps of all members of an estimator, in one Keras graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skltransfer.exporting.prediction import at_prediction
from skltransfer.network.graph import Graph
from skltransfer.network.masks import reads_masks
from skltransfer.network.runtime import Network, feature_graph

if TYPE_CHECKING:
    from keras import KerasTensor, Model

    from skltransfer.training.predictor import Learned

Arrays = Sequence[np.ndarray]


def features_of_members(
    pretrained: Arrays, members: Sequence[Learned], x: KerasTensor
) -> list[KerasTensor]:
    """Return the feature map of each member, for the network's input `x`.

    Members share the layers that all of them freeze, unless later layers read the masks of these
    layers.

    Parameters
    ----------
    pretrained : sequence of ndarray
        The backbone's weights before training.
    members : sequence of Learned
        The trained members.
    x : keras.KerasTensor
        Preprocessed rows.
    """
    points = [member.step.freeze_point for member in members]
    network = members[0].step.network
    if len(members) == 1 or not all(_parts(network, point) for point in points):
        return [_whole(member, pretrained)(x) for member in members]
    frozen = _graph(network, pretrained)
    ends = {point: frozen.steps[_position(frozen, network, point)].output for point in points}
    trunk = at_prediction(frozen.input, list(ends.values()), "frozen")
    reached = dict(zip(ends, trunk(x), strict=True))
    return [
        reached[point] if member.step.head_only else _suffix(member, pretrained)(reached[point])
        for member, point in zip(members, points, strict=True)
    ]


def _parts(network: Network, point: int | None) -> bool:
    """Return whether later steps read nothing but the activations at a freeze point."""
    return point is not None and not reads_masks(network.features, point)


def _whole(member: Learned, pretrained: Arrays) -> Model:
    graph = _tuned_graph(member, pretrained)
    return at_prediction(graph.input, [graph.output], "backbone")


def _suffix(member: Learned, pretrained: Arrays) -> Model:
    graph, step = _tuned_graph(member, pretrained), member.step
    begin = graph.steps[_position(graph, step.network, step.freeze_point)]
    return at_prediction(begin.output, [graph.output], f"behind_{begin.name}")


def _tuned_graph(member: Learned, pretrained: Arrays) -> Graph:
    step, state = member.step, member.state
    return _graph(step.network, step.tuned(pretrained, state.params, state.fixed))


def _graph(network: Network, weights: Arrays) -> Graph:
    spec = replace(network.spec, weights=tuple(weights), bundled=False, fingerprint="")
    return feature_graph(spec, network.size, network.layer)


def _position(graph: Graph, network: Network, point: int | None) -> int:
    assert point is not None
    return graph.position[network.features.steps[point].name]
