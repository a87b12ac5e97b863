"""Finding layers of a network by the names that users pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skltransfer._similar import did_you_mean

if TYPE_CHECKING:
    from skltransfer.network.graph import Graph
    from skltransfer.network.stages import Stage


class UnknownLayerError(ValueError):
    """The network has no layer of the given name."""


def position_of_layer(name: str, graph: Graph, backbone: str, stages: Sequence[Stage]) -> int:
    """Return the position of the layer `name` in the graph.

    Raises
    ------
    UnknownLayerError
        If there is no such layer; the message lists similar names.
    ValueError
        If the layer returns several tensors.
    """
    if name not in graph.position:
        raise UnknownLayerError(_unknown_layer(name, graph, backbone, stages))
    position = graph.position[name]
    if len(graph.steps[position].outputs) > 1:
        raise ValueError(
            f"layer={name!r} of backbone={backbone!r} makes several tensors, but features come "
            "from one. Name the layers that read them."
        )
    return position


def _unknown_layer(name: str, graph: Graph, backbone: str, stages: Sequence[Stage]) -> str:
    hint = did_you_mean(name, list(graph.position), cutoff=0.5)
    listed = ", ".join(repr(stage.layer) for stage in stages)
    return (
        f"layer={name!r} is not a layer of backbone={backbone!r}.{hint} Its stages end at "
        f"{listed}; freeze_points() shows them."
    )
