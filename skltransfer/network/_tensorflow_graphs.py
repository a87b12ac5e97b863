"""Functions of one tensor, compiled by TensorFlow for one shape, with constant weights.

On a CPU the convolutions and matrix products are given oneDNN's kernels, whether or not
TensorFlow would choose them by itself (it does so only on some processors, and the choice is
made for the whole process, which is the user's). They compute each row with the same bits
whatever its position in the block and the number of threads; TensorFlow's other kernels do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from skltransfer.backbones._processes import start
from skltransfer.network._pointwise_gradients import as_matrix_products

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


def compile_function(compute: Callable, shapes: list[tuple], *, loops: bool = False) -> Callable:
    """Compile a pure function of float32 tensors of fixed `shapes`.

    Parameters
    ----------
    compute : callable
        From tensors to a tensor or a tuple of tensors. Variables that it reads become constants.
    shapes : list of tuple
        A shape for each argument; None where a size may change.
    loops : bool, default=False
        Whether `compute` loops inside the graph; kernels are then left to TensorFlow.

    Returns
    -------
    callable
        From ndarrays or tensors to a tuple of tensors; its `shapes` are those of the results.
    """
    folded = traced(compute, shapes)
    function = _with_onednn(folded) if kernels() == "onednn" and not loops else folded
    return CompiledFunction(function, _shapes(folded))


@dataclass(frozen=True)
class CompiledFunction:
    """A compiled function and the shapes of its results."""

    function: Callable
    shapes: list[tuple[int, ...]]

    def __call__(self, *arguments) -> tuple:
        """Results as tensors."""
        start()
        # Called in the usual way, a function made of a graph first prepares an error message in
        # which all arguments are printed: milliseconds a call.
        tensors = [as_tensor(argument) for argument in arguments]
        results = self.function._call_flat(tensors, self.function.captured_inputs)
        return tuple(results) if isinstance(results, (list, tuple)) else (results,)


def as_tensor(array):
    """Copy an array for TensorFlow, once for many calls; tensors stay as they are."""
    import tensorflow as tf

    # Half the time of tf.convert_to_tensor, which counts where steps are small.
    return array if tf.is_tensor(array) else tf.constant(array)


def _shapes(folded) -> list[tuple[int, ...]]:
    return [tuple(output.shape) for output in folded.outputs]


@lru_cache(maxsize=1)
def kernels() -> str:
    """Whose kernels compute convolutions here: "onednn", "eigen" or "gpu"."""
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return "gpu"
    return "onednn" if _onednn_works() else "eigen"


def traced(compute: Callable, shapes: list[tuple]):
    """Trace `compute` for float32 tensors of `shapes`, its variables folded into constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    concrete = tf.function(compute, autograph=False).get_concrete_function(*signature)
    return convert_variables_to_constants_v2(concrete) if concrete.graph.captures else concrete


def evaluated(compute: Callable, rows):
    """Rows of `compute`, a function of one tensor, by kernels of TensorFlow's choice."""
    start()
    return compute(as_tensor(rows)).numpy()  # step by step: a graph would take longer to make


def _with_onednn(folded):
    """Simplify a folded function's graph, then name oneDNN's kernels in it."""
    from tensorflow.python.eager.wrap_function import function_from_graph_def

    graph = _simplified(folded)
    _fuse_depthwise(graph)
    as_matrix_products(graph)
    constants = {node.name for node in graph.node if node.op == "Const"}
    for node in graph.node:
        if node.op in _ONEDNN_KERNELS:
            _rename_kernel(node, _ONEDNN_KERNELS[node.op], node.input[1] in constants)
    names = [[tensor.name for tensor in tensors] for tensors in (folded.inputs, folded.outputs)]
    return function_from_graph_def(graph, *names)


def _simplified(folded):
    """Run TensorFlow's graph optimizer: it can no more once the kernels are named."""
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    meta_graph = export_meta_graph(graph_def=folded.graph.as_graph_def(), graph=folded.graph)
    kept = meta_graph.collection_def["train_op"].node_list.value
    kept.extend(tensor.name for tensor in (*folded.inputs, *folded.outputs))
    for node in meta_graph.graph_def.node:
        node.device = "/device:CPU:0"  # the optimizer fuses only what it knows to run there
    config = ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    config.graph_options.rewrite_options.optimizers.extend(_OPTIMIZERS)
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _fuse_depthwise(graph) -> None:
    """Join each depthwise convolution with the bias and activation behind it.

    TensorFlow's optimizer does so for other convolutions only.
    """
    nodes = {node.name: node for node in graph.node}
    readers: dict[str, list] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    absorbed = set()
    for node in list(graph.node):
        if node.op == "BiasAdd" and nodes[node.input[0]].op == "DepthwiseConv2dNative":
            last = _activation_behind(node, readers)
            if len(readers[node.input[0]]) == 1:
                absorbed |= {node.input[0], node.name} - {last.name}
                _become_fused_depthwise(last, node, nodes[node.input[0]])
    kept = [node for node in graph.node if node.name not in absorbed]
    del graph.node[:]
    graph.node.extend(kept)


def _activation_behind(bias, readers: dict[str, list]):
    """The only reader of `bias` if it is an activation that can be fused, else `bias`."""
    found = readers.get(bias.name, [])
    return found[0] if len(found) == 1 and found[0].op in ("Relu", "Relu6") else bias


def _become_fused_depthwise(last, bias, convolution) -> None:
    """Make `last` compute convolution, bias and its own activation."""
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


def _rename_kernel(node, op: str, constant_filter: bool) -> None:
    """Name the kernel; it keeps its own copy of a filter only if that never changes."""
    from tensorflow.python.framework import op_def_registry

    known = {attribute.name for attribute in op_def_registry.get(op).attr}
    for name in list(node.attr):
        if name not in known and not name.startswith("_"):
            del node.attr[name]
    if "is_filter_const" in known:
        node.attr["is_filter_const"].b = constant_filter
    node.attr["_kernel"].s = b"MklNameChangeOp"
    node.op = op


def _onednn_works() -> bool:
    """Try a small convolution: builds of TensorFlow without oneDNN lack the kernels."""
    import tensorflow as tf

    filters = tf.ones((3, 3, 2, 2))

    def compute(pixels):
        return tf.nn.conv2d(pixels, filters, strides=1, padding="SAME")

    try:
        _with_onednn(traced(compute, [(1, 4, 4, 2)]))(tf.ones((1, 4, 4, 2)))
    except (tf.errors.OpError, ValueError, KeyError, AttributeError, ImportError):
        return False
    return True
