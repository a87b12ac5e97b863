"""Gradients by the kernels of 1 x 1 convolutions, as the matrix products that they are.

oneDNN's own kernel for them takes longer than its matrix product.
"""

from __future__ import annotations

import numpy as np

from skltransfer._backend._graph_nodes import add_reshape, become_reshape


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
