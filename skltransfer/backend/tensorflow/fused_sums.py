"""Split off additions that are fused into oneDNN's convolutions and matrix products.

A fused kernel computes ``product(x, w) + summand``, as at the end of a residual block. If nothing
else refers to the summand's buffer, the kernel writes the sum into this buffer. Otherwise, the
kernel first copies the summand, using member variables of the kernel object. Concurrent calls of a
function share this object, so they overwrite each other's data or crash. Therefore, the addition
gets a node of its own wherever the kernel would copy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from skltransfer.backend.tensorflow.graph_nodes import all_before, node_of, readers_of

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_GIVE_THEIR_OWN = frozenset(
    ("AddV2", "BiasAdd", "Conv2D", "MatMul", "Relu", "Relu6", "_FusedConv2D", "_FusedMatMul")
)
"""Kinds of nodes whose result does not share memory with another tensor."""


def part_sums(graph: GraphDef, results: Collection[str]) -> None:
    """Split the addition off each fused node if its summand may still be used elsewhere.

    Parameters
    ----------
    graph : GraphDef
        Changed in place.
    results : collection of str
        Names of the graph's outputs, which must stay unchanged until a call returns.
    """
    nodes = {node.name: node for node in graph.node}
    held = {node_of(tensor) for tensor in results}
    readers = readers_of(graph)
    sums = [node for node in graph.node if "fused_ops" in node.attr and "Add" in _steps(node)]
    for node in [node for node in sums if not _has_it_alone(node, nodes, readers, held)]:
        _part(graph, node)


def _has_it_alone(
    node: NodeDef, nodes: dict[str, NodeDef], readers: dict[str, list[NodeDef]], held: set[str]
) -> bool:
    """Return whether a node may overwrite its summand.

    It may if the summand owns its memory, is not an output of the graph, and is read once by this
    node and otherwise only by nodes that run before it.
    """
    *inputs, summand = node.input
    giver = node_of(summand)
    if giver in held or nodes[giver].op not in _GIVE_THEIR_OWN:
        return False
    names = [reader.name for reader in readers[giver]]
    others = set(names) - {node.name}
    return names.count(node.name) == 1 and others <= all_before(inputs, nodes)


def _steps(node: NodeDef) -> list[str]:
    """Return the operations that follow the convolution or matrix product of a fused node."""
    return [step.decode() for step in node.attr["fused_ops"].list.s]


def _part(graph: GraphDef, node: NodeDef) -> None:
    """Split a fused node into two or three nodes.

    The first computes everything before the sum; the second computes the sum; the third computes
    the activation after the sum, if there is one.
    """
    steps = _steps(node)
    place = steps.index("Add")
    *inputs, summand = node.input
    before = graph.node.add()
    before.CopyFrom(node)
    before.name = f"{node.name}/before_sum"
    before.input[:] = inputs
    before.attr["num_args"].i -= 1
    del before.attr["fused_ops"].list.s[place:]
    if "TArgs" in before.attr:
        del before.attr["TArgs"].list.type[-1]
    activations = steps[place + 1 :]
    total = graph.node.add(name=f"{node.name}/sum") if activations else node
    _become(total, "AddV2", [before.name, summand], before)
    if activations:
        _become(node, activations[0], [total.name], before)


def _become(node: NodeDef, op: str, inputs: list[str], fused: NodeDef) -> None:
    """Turn `node` into a plain `op` node with the dtype and device of `fused`."""
    node.op, node.device = op, fused.device
    node.input[:] = inputs
    node.attr.clear()
    node.attr["T"].CopyFrom(fused.attr["T"])
    if op == "LeakyRelu":
        node.attr["alpha"].CopyFrom(fused.attr["leakyrelu_alpha"])
