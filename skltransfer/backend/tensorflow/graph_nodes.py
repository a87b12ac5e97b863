"""Nodes of a TensorFlow GraphDef: their shapes, the nodes that read them, and adding new nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def known_shapes(graph: GraphDef) -> Callable[[str], list[int] | None]:
    """Return a function that maps a tensor's name to its shape, or to None if it is not known."""
    import tensorflow as tf

    whole = tf.Graph()
    with whole.as_default():
        tf.graph_util.import_graph_def(graph, name="")

    def shape_of(tensor: str) -> list[int] | None:
        shape = whole.get_tensor_by_name(tensor if ":" in tensor else f"{tensor}:0").shape
        return shape.as_list() if shape.is_fully_defined() else None

    return shape_of


def node_of(tensor: str) -> str:
    """Return the name of the node to which an input refers.

    The input is a tensor (`node:0`), or a control input (`^node`), which only waits for the node.
    """
    return tensor.removeprefix("^").split(":")[0]


def readers_of(graph: GraphDef) -> dict[str, list[NodeDef]]:
    """Map each node's name to the nodes that read it.

    A node that reads another one twice is listed twice.
    """
    readers: dict[str, list[NodeDef]] = {node.name: [] for node in graph.node}
    for node in graph.node:
        for tensor in node.input:
            readers[node_of(tensor)].append(node)
    return readers


def all_before(tensors: Iterable[str], nodes: Mapping[str, NodeDef]) -> set[str]:
    """Return the names of all nodes that the given tensors depend on, directly or not."""
    found: set[str] = set()
    waiting = [node_of(tensor) for tensor in tensors]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(node_of(tensor) for tensor in nodes[name].input)
    return found


def part_before(tensors: Iterable[str], graph: GraphDef) -> GraphDef:
    """Return the part of a graph that computes the given tensors."""
    from tensorflow.core.framework.graph_pb2 import GraphDef

    needed = all_before(tensors, {node.name: node for node in graph.node})
    part = GraphDef(versions=graph.versions, library=graph.library)
    part.node.extend(node for node in graph.node if node.name in needed)
    return part


def add_ints(graph: GraphDef, name: str, values: int | Sequence[int], device: str) -> str:
    """Add a constant of ints, such as the shape for a reshape; return its name."""
    from tensorflow.core.framework.types_pb2 import DT_INT32
    from tensorflow.python.framework.tensor_util import make_tensor_proto

    node = graph.node.add(name=name, op="Const", device=device)
    node.attr["dtype"].type = DT_INT32
    node.attr["value"].tensor.CopyFrom(make_tensor_proto(np.array(values, np.int32)))
    return str(node.name)


def add_reshape(
    graph: GraphDef, name: str, tensor: str, shape: Sequence[int], like: NodeDef
) -> str:
    """Add a reshape with the device and dtype of node `like`; return its name."""
    sides = add_ints(graph, f"{name}_shape", shape, like.device)
    node = graph.node.add(name=name, device=like.device)
    become_reshape(node, tensor, sides, like.attr["T"])
    return str(node.name)


def become_reshape(node: NodeDef, tensor: str, shape: str, dtype: AttrValue) -> None:
    """Turn a node into a reshape of `tensor`, which has the given dtype."""
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.types_pb2 import DT_INT32

    # a copy, because the original may belong to `node.attr`, which is cleared below
    dtype = AttrValue(type=dtype.type)
    node.op = "Reshape"
    node.attr.clear()
    node.attr["T"].CopyFrom(dtype)
    node.attr["Tshape"].type = DT_INT32
    node.input[:] = [tensor, shape]
