"""Large weights that compiled functions share, instead of each keeping a copy in its graph.

A constant of a graph is copied several times while the graph is compiled and first run, and stays
in memory more than once. Large frozen weights are therefore tensors that a function captures. What
a graph computes from such weights alone, such as another shape, is computed once, and captured in
their place, so that no call computes it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from skltransfer.backend.tensorflow.graph_nodes import node_of, part_before

if TYPE_CHECKING:
    from keras import KerasTensor
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.types.experimental import ConcreteFunction


def prepared(
    graph: GraphDef, weights: Mapping[str, KerasTensor], others: Sequence[str]
) -> tuple[GraphDef, dict[str, KerasTensor]]:
    """Compute once what depends on weights alone.

    Parameters
    ----------
    graph : GraphDef
        Reads each weight from a placeholder.
    weights : mapping of str to tensor
        Values of these placeholders.
    others : sequence of str
        Names of the other placeholders, and of the outputs.

    Returns
    -------
    graph : GraphDef
        Reads what was computed from placeholders.
    computed : dict of str to tensor
        Values of these placeholders.
    """
    if not weights:
        return graph, {}
    made = _made_from({node_of(name) for name in weights}, graph)
    kept = [node for node in graph.node if node.name not in made]
    names = sorted({node_of(name) for node in kept for name in node.input} & made)
    computed = _computed(graph, weights, names)
    for node in graph.node:
        if node.name in computed:
            _become_placeholder(node, computed[node.name])
    values = {f"{name}:0": tensor for name, tensor in computed.items()}
    return part_before([*others, *names], graph), values


def function_of(
    graph: GraphDef,
    inputs: Sequence[str],
    outputs: Sequence[str],
    captured: Mapping[str, KerasTensor],
) -> ConcreteFunction:
    """Turn a GraphDef into a function; `captured` are the values of placeholders besides `inputs`.

    TensorFlow's own ``function_from_graph_def`` makes two functions, and copies one into the other
    node by node in Python. That took a third of the time of compiling.
    """
    import tensorflow as tf
    from tensorflow.core.function.polymorphism.function_type import from_structured_signature
    from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction
    from tensorflow.python.framework.func_graph import FuncGraph

    whole = FuncGraph("onednn")
    with whole.as_default():
        tf.graph_util.import_graph_def(graph, name="")
    whole.inputs = [whole.get_tensor_by_name(name) for name in inputs]
    whole.outputs = [whole.get_tensor_by_name(name) for name in outputs]
    whole.structured_outputs = whole.outputs
    specs = tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in whole.inputs)
    signature = from_structured_signature((specs, {}), whole.outputs, {})
    for name, tensor in captured.items():
        whole.add_capture(tensor, whole.get_tensor_by_name(name))
    return ConcreteFunction.from_func_graph(whole, signature, {})


def _made_from(weights: set[str], graph: GraphDef) -> set[str]:
    """Return the nodes whose only inputs are weights, constants and other such nodes."""
    constants = {node.name for node in graph.node if node.op == "Const"}
    made, found = set(weights), set(weights)
    while found:  # the nodes may be in any order
        known = made | constants
        found = {
            node.name
            for node in graph.node
            if node.name not in known and _reads_only(node, known) and _has_one_result(node)
        }
        made |= found
    return made


def _reads_only(node: NodeDef, known: set[str]) -> bool:
    return bool(node.input) and {node_of(name) for name in node.input} <= known


def _has_one_result(node: NodeDef) -> bool:
    """Return whether a node has the same single tensor as its result in each call."""
    from tensorflow.python.framework import op_def_registry

    op = op_def_registry.get(node.op)
    if op is None or op.is_stateful or len(op.output_arg) != 1:
        return False
    return not (op.output_arg[0].number_attr or op.output_arg[0].type_list_attr)


def _computed(
    graph: GraphDef, weights: Mapping[str, KerasTensor], names: Sequence[str]
) -> dict[str, KerasTensor]:
    """Compute the results of nodes that depend on weights alone."""
    part = part_before([*weights, *names], graph)
    function = function_of(part, list(weights), [f"{name}:0" for name in names], {})
    results = function._call_flat(list(weights.values()), [])
    return dict(zip(names, results, strict=True))


def _become_placeholder(node: NodeDef, tensor: KerasTensor) -> None:
    node.op = "Placeholder"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = tensor.dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tensor.shape.as_proto())
