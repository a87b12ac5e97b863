"""Gradients with respect to kernels of depthwise convolutions, computed as depthwise convolutions.

Such a gradient is a sum over the images of a batch. For each image, the padded image is convolved
with the gradient of the layer's output. oneDNN's own implementation of this gradient takes two to
six times as long as this one if the window of the layer is larger than 3 x 3, or larger than the
image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skltransfer.backend.tensorflow.graph_nodes import (
    add_ints,
    add_reshape,
    become_reshape,
    known_shapes,
)

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_OP = "DepthwiseConv2dNativeBackpropFilter"
_WELL_SERVED = 3
"""Side of the largest window for which oneDNN's own implementation is faster."""


@dataclass(frozen=True)
class _Layer:
    """Sizes of a depthwise convolution; pairs of numbers are height and width."""

    n_images: int
    n_channels: int
    sides: tuple[int, int]
    sides_behind: tuple[int, int]
    window: tuple[int, int]
    stride: int

    @property
    def missing(self) -> list[int]:
        """Padding needed in height and in width; if it is negative, part of the image is unused."""
        triples = zip(self.sides, self.sides_behind, self.window, strict=True)
        return [(behind - 1) * self.stride + window - side for side, behind, window in triples]

    @property
    def is_well_served(self) -> bool:
        """Whether oneDNN's own implementation is fast for these sizes."""
        fits = all(w <= side for w, side in zip(self.window, self.sides, strict=True))
        return fits and max(self.window) <= _WELL_SERVED


def as_convolutions(graph: GraphDef) -> None:
    """Replace these gradients in a TensorFlow GraphDef where their shapes are known and it pays."""
    nodes = [node for node in graph.node if node.op == _OP and _is_usual(node)]
    if not nodes:
        return
    shape_of = known_shapes(graph)
    for node in nodes:
        layer = _layer(node, shape_of)
        if layer is not None and not layer.is_well_served:
            _become_sum(graph, node, layer)


def _is_usual(node: NodeDef) -> bool:
    from tensorflow.core.framework.types_pb2 import DT_FLOAT

    return (
        node.attr["T"].type == DT_FLOAT
        and node.attr["data_format"].s == b"NHWC"
        and node.attr["padding"].s in (b"SAME", b"VALID")
        and set(node.attr["dilations"].list.i) <= {1}
    )


def _layer(node: NodeDef, shape_of: Callable[[str], list[int] | None]) -> _Layer | None:
    """Return the layer of a gradient; None if a shape is unknown or not supported."""
    x, _, slope = node.input
    image, kernel, behind = map(shape_of, (x, node.name, slope))
    if image is None or kernel is None or behind is None:
        return None
    layer = _Layer(
        n_images=image[0],
        n_channels=image[3],
        sides=(image[1], image[2]),
        sides_behind=(behind[1], behind[2]),
        window=(kernel[0], kernel[1]),
        stride=node.attr["strides"].list.i[1],
    )
    most = 0 if node.attr["padding"].s == b"VALID" else math.inf
    is_filled = all(0 <= zeros <= most for zeros in layer.missing)
    return layer if is_filled and kernel[3] == 1 else None


def _become_sum(graph: GraphDef, node: NodeDef, layer: _Layer) -> None:
    """Turn the node into a sum of one convolution for each image, reshaped like the kernel."""
    x, kernel_shape, slope = node.input
    height, width = layer.sides_behind
    below_each_other = [layer.n_images * height, width, layer.n_channels, 1]
    kernels = add_reshape(graph, f"{node.name}/kernels", slope, below_each_other, node)
    pairs = zip(
        _parted(graph, node, "x", x, layer.n_images),
        _parted(graph, node, "slope", kernels, layer.n_images),
        strict=True,
    )
    total = graph.node.add(name=f"{node.name}/sum", op="AddN", device=node.device)
    total.input.extend(_convolved(graph, node, n, pair, layer) for n, pair in enumerate(pairs))
    total.attr["N"].i = layer.n_images
    total.attr["T"].CopyFrom(node.attr["T"])
    become_reshape(node, total.name, kernel_shape, node.attr["T"])


def _parted(graph: GraphDef, node: NodeDef, name: str, tensor: str, count: int) -> list[str]:
    """Split a tensor into equal parts; return their names."""
    axis = add_ints(graph, f"{node.name}/{name}_axis", 0, node.device)
    parts = graph.node.add(name=f"{node.name}/{name}", op="Split", device=node.device)
    parts.input.extend([axis, tensor])
    parts.attr["num_split"].i = count
    parts.attr["T"].CopyFrom(node.attr["T"])
    return [f"{parts.name}:{number}" for number in range(count)]


def _convolved(
    graph: GraphDef, node: NodeDef, number: int, inputs: tuple[str, str], layer: _Layer
) -> str:
    """Add the convolution of one image, with the layer's stride as dilation; return its name."""
    found = graph.node.add(name=f"{node.name}/of_{number}", device=node.device)
    found.op = "DepthwiseConv2dNative"
    found.input.extend(inputs)
    found.attr["T"].CopyFrom(node.attr["T"])
    found.attr["data_format"].s = b"NHWC"
    found.attr["strides"].list.i.extend([1, 1, 1, 1])
    found.attr["dilations"].list.i.extend([1, layer.stride, layer.stride, 1])
    found.attr["padding"].s = b"EXPLICIT" if any(layer.missing) else b"VALID"
    if any(layer.missing):
        padding = [side for n in layer.missing for side in (n // 2, n - n // 2)]
        found.attr["explicit_paddings"].list.i.extend([0, 0, *padding, 0, 0])
    return str(found.name)
