"""Gradients by the kernels of 1 x 1 convolutions, as the matrix products that they are.

oneDNN's own kernel for them takes longer than its matrix product.
"""

from __future__ import annotations

import numpy as np

from skltransfer._backend._graph_nodes import add_ints, become_reshape


def as_matrix_products(graph) -> None:
    """Replace them in a TensorFlow GraphDef whose shapes are constants."""
    from tensorflow.python.framework.tensor_util import MakeNdarray

    constants = {node.name: node for node in graph.node if node.op == "Const"}
    for node in list(graph.node):
        if node.op != "Conv2DBackpropFilter" or node.input[1] not in constants:
            continue
        shape = MakeNdarray(constants[node.input[1]].attr["value"].tensor)
        if _is_pointwise(node, shape):
            _become_product(graph, node, *shape[2:])


def _is_pointwise(node, shape: np.ndarray) -> bool:
    strides, layout = node.attr["strides"].list.i, node.attr["data_format"].s
    return tuple(shape[:2]) == (1, 1) and set(strides) == {1} and layout == b"NHWC"


def _become_product(graph, node, n_inputs: int, n_outputs: int) -> None:
    """Turn positions into rows, multiply, and give the product the kernel's shape."""
    x, kernel_shape, slope = node.input
    product = graph.node.add(name=f"{node.name}/product", op="MatMul", device=node.device)
    product.input.extend(
        [_rows(graph, node, "x", x, n_inputs), _rows(graph, node, "slope", slope, n_outputs)]
    )
    product.attr["T"].CopyFrom(node.attr["T"])
    product.attr["transpose_a"].b = True
    product.attr["transpose_b"].b = False
    become_reshape(node, product.name, kernel_shape, node.attr["T"])


def _rows(graph, node, name: str, tensor: str, width: int) -> str:
    """Name of a reshape of `tensor` to rows of `width`."""
    shape = add_ints(graph, f"{node.name}/{name}_shape", [-1, width], node.device)
    rows = graph.node.add(name=f"{node.name}/{name}", device=node.device)
    become_reshape(rows, tensor, shape, node.attr["T"])
    return rows.name
