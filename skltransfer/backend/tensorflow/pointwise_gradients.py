"""Gradients with respect to kernels of 1 x 1 convolutions, computed as matrix products.

oneDNN's own implementation of this gradient is slower than oneDNN's matrix product, and writes out
of bounds if strides leave part of the image unused.
"""

from __future__ import annotations

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

_OP = "Conv2DBackpropFilter"


def as_matrix_products(graph: GraphDef) -> None:
    """Replace these gradients in a TensorFlow GraphDef where their shapes are known."""
    nodes = [node for node in graph.node if node.op == _OP and _is_usual(node)]
    if not nodes:
        return
    shape_of = known_shapes(graph)
    for node in nodes:
        height, width, *channels = shape_of(node.name) or (0, 0)
        if height == width == 1:
            _become_product(graph, node, *channels)


def _is_usual(node: NodeDef) -> bool:
    padding, layout = node.attr["padding"].s, node.attr["data_format"].s
    return bool(padding != b"EXPLICIT" and layout == b"NHWC")


def _become_product(graph: GraphDef, node: NodeDef, n_inputs: int, n_outputs: int) -> None:
    """Turn the node into a product of matrices whose rows are positions, shaped like the kernel."""
    x, kernel_shape, slope = node.input
    strides = list(node.attr["strides"].list.i)
    if set(strides) != {1}:
        x = _add_every_nth(graph, f"{node.name}/seen", x, strides, node)
    factors = [
        add_reshape(graph, f"{node.name}/x", x, [-1, n_inputs], node),
        add_reshape(graph, f"{node.name}/slope", slope, [-1, n_outputs], node),
    ]
    product = graph.node.add(name=f"{node.name}/product", op="MatMul", device=node.device)
    product.input.extend(factors)
    product.attr["T"].CopyFrom(node.attr["T"])
    product.attr["transpose_a"].b = True
    product.attr["transpose_b"].b = False
    become_reshape(node, product.name, kernel_shape, node.attr["T"])


def _add_every_nth(
    graph: GraphDef, name: str, tensor: str, strides: list[int], like: NodeDef
) -> str:
    """Add a slice of the positions that a convolution with `strides` reads; return its name."""
    from tensorflow.core.framework.types_pb2 import DT_INT32

    ends = add_ints(graph, f"{name}_ends", [0] * len(strides), like.device)
    steps = add_ints(graph, f"{name}_steps", strides, like.device)
    node = graph.node.add(name=name, op="StridedSlice", device=like.device)
    node.input.extend([tensor, ends, ends, steps])
    node.attr["T"].CopyFrom(like.attr["T"])
    node.attr["Index"].type = DT_INT32
    for mask in ("begin_mask", "end_mask"):  # ignore begin and end: take the whole axis
        node.attr[mask].i = (1 << len(strides)) - 1
    for mask in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask"):
        node.attr[mask].i = 0
    return name
