"""oneDNN's kernels for TensorFlow's graphs.

Kernels are implementations of operations. With those of oneDNN, the result for a row does not
depend on the number of threads, or on the row's position among the rows that run together. With
TensorFlow's other kernels, it does. TensorFlow chooses oneDNN's kernels only on some processors. A
setting could change that, but would affect the user's whole process. So the convolutions and matrix
products in the graphs of this package name oneDNN's kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skltransfer.backend.tensorflow.depthwise_gradients import as_convolutions
from skltransfer.backend.tensorflow.fused_sums import part_sums
from skltransfer.backend.tensorflow.graph_nodes import node_of, readers_of
from skltransfer.backend.tensorflow.pointwise_gradients import as_matrix_products
from skltransfer.backend.tensorflow.shared_weights import function_of, prepared

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.types.experimental import ConcreteFunction

_OPTIMIZERS = ("function", "constfold", "arithmetic", "remap", "constfold", "dependency")
_ONEDNN_KERNELS = {
    "Conv2D": "_MklNativeConv2D",
    "_FusedConv2D": "_MklNativeFusedConv2D",
    "DepthwiseConv2dNative": "_MklNativeDepthwiseConv2dNative",
    "_FusedDepthwiseConv2dNative": "_MklNativeFusedDepthwiseConv2dNative",
    "MatMul": "_MklMatMul",
    "BatchMatMulV2": "_MklBatchMatMulV2",
    "_FusedMatMul": "_MklNativeFusedMatMul",
    "Conv2DBackpropInput": "_MklNativeConv2DBackpropInput",
    "Conv2DBackpropFilter": "_MklNativeConv2DBackpropFilter",
    "DepthwiseConv2dNativeBackpropInput": "_MklNativeDepthwiseConv2dNativeBackpropInput",
    "DepthwiseConv2dNativeBackpropFilter": "_MklNativeDepthwiseConv2dNativeBackpropFilter",
    "FusedBatchNormV3": "_MklNativeFusedBatchNormV3",
    "FusedBatchNormGradV3": "_MklNativeFusedBatchNormGradV3",
}


def with_onednn(concrete: ConcreteFunction) -> ConcreteFunction:
    """Return `concrete`, a function without variables, in a form that names oneDNN's kernels.

    It may capture tensors; see `shared_weights`.
    """
    graph = _simplified(concrete)
    inputs = [tensor.name for tensor in concrete.inputs]
    outputs = [tensor.name for tensor in concrete.outputs]
    captured = concrete.captured_inputs  # the last inputs
    arguments = inputs[: len(inputs) - len(captured)]
    weights = dict(zip(inputs[len(arguments) :], captured, strict=True))
    graph, weights = prepared(graph, weights, [*arguments, *outputs])
    part_sums(graph, outputs)
    _part_normalisations(graph)
    _fuse_depthwise(graph)
    as_matrix_products(graph)
    as_convolutions(graph)
    constants = {node.name for node in graph.node if node.op == "Const"}
    constants |= {node_of(name) for name in weights}
    for node in graph.node:
        if node.op in _ONEDNN_KERNELS and _has_kernel(node):
            _rename_kernel(node, _ONEDNN_KERNELS[node.op], node_of(node.input[1]) in constants)
    return function_of(graph, arguments, outputs, weights)


def _simplified(folded: ConcreteFunction) -> GraphDef:
    """Run TensorFlow's graph optimizer, before nodes name kernels that it does not know."""
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    meta_graph = export_meta_graph(graph_def=folded.graph.as_graph_def(), graph=folded.graph)
    kept = meta_graph.collection_def["train_op"].node_list.value
    kept.extend(tensor.name for tensor in (*folded.inputs, *folded.outputs))
    for node in meta_graph.graph_def.node:
        node.device = "/device:CPU:0"  # the optimizer fuses only nodes that it knows to run there
    config = ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    config.graph_options.rewrite_options.optimizers.extend(_OPTIMIZERS)
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _part_normalisations(graph: GraphDef) -> None:
    """Split each node in which the optimizer has fused a normalisation and an activation.

    In training, TensorFlow refuses such a node unless the number of channels is a multiple of four.
    """
    fused = [node for node in graph.node if node.op == "_FusedBatchNormEx"]
    activations = {node.name: f"{node.name}/activation" for node in fused}
    for reader in graph.node:
        for position, tensor in enumerate(reader.input):
            if tensor.removesuffix(":0") in activations:
                reader.input[position] = activations[tensor.removesuffix(":0")]
    for node in fused:
        activation = graph.node.add(name=activations[node.name], device=node.device)
        activation.op = node.attr["activation_mode"].s.decode()
        activation.input.append(node.name)
        activation.attr["T"].CopyFrom(node.attr["T"])
        node.op = "FusedBatchNormV3"
        del node.attr["activation_mode"], node.attr["num_side_inputs"]


def _fuse_depthwise(graph: GraphDef) -> None:
    """Fuse each depthwise convolution with the bias and activation that follow it.

    TensorFlow's optimizer does this only for other convolutions.
    """
    nodes = {node.name: node for node in graph.node}
    readers = readers_of(graph)
    absorbed: set[str] = set()
    for node in list(graph.node):
        if node.op != "BiasAdd" or not _has_kernel(node):
            continue
        convolution = nodes[node_of(node.input[0])]
        if convolution.op == "DepthwiseConv2dNative" and len(readers[convolution.name]) == 1:
            last = _activation_behind(node, readers)
            absorbed |= {convolution.name, node.name} - {last.name}
            _become_fused_depthwise(last, node, convolution)
    kept = [node for node in graph.node if node.name not in absorbed]
    del graph.node[:]
    graph.node.extend(kept)


def _has_kernel(node: NodeDef) -> bool:
    """Return whether oneDNN supports the dtype of a node on this processor.

    It supports float32 on all processors. If it does not support a dtype, the optimizer has fused
    nothing, and TensorFlow chooses the kernels.
    """
    from tensorflow.python.util._pywrap_utils import IsDataTypeSupportedByOneDNNOnThisCPU

    return bool(IsDataTypeSupportedByOneDNNOnThisCPU(node.attr["T"].type))


def _activation_behind(bias: NodeDef, readers: dict[str, list[NodeDef]]) -> NodeDef:
    """Return the only reader of `bias` if it is an activation that can be fused, else `bias`."""
    found = readers[bias.name]
    return found[0] if len(found) == 1 and found[0].op in ("Relu", "Relu6") else bias


def _become_fused_depthwise(last: NodeDef, bias: NodeDef, convolution: NodeDef) -> None:
    """Make `last` compute the convolution, the bias and its own activation."""
    steps = ["BiasAdd"] if last is bias else ["BiasAdd", last.op]
    inputs = [*convolution.input, bias.input[1]]
    del last.input[:]
    last.input.extend(inputs)
    last.attr.clear()
    for name, value in convolution.attr.items():
        last.attr[name].CopyFrom(value)
    last.attr["num_args"].i = 1
    last.attr["fused_ops"].list.s.extend(step.encode() for step in steps)
    last.op = "_FusedDepthwiseConv2dNative"


def _rename_kernel(node: NodeDef, op: str, constant_filter: bool) -> None:
    """Turn a node into oneDNN's `op`; it keeps a copy of its filter if the filter is constant."""
    from tensorflow.python.framework import op_def_registry

    known = {attribute.name for attribute in op_def_registry.get(op).attr}
    for name in list(node.attr):
        if name not in known and not name.startswith("_"):
            del node.attr[name]
    if "is_filter_const" in known:
        node.attr["is_filter_const"].b = constant_filter
    node.attr["_kernel"].s = b"MklNameChangeOp"
    node.op = op
