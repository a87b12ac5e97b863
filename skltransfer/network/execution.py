"""Run steps of a graph on tensors, with weights passed as arguments.

Frozen BatchNorm is folded into the preceding convolution: the kernel of the convolution becomes
``kernel * scale``, and the convolution gets a bias. The function and its gradients stay the same,
and two passes over the feature map are saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skltransfer.backend import add_bias, batch_normalised, depthwise_conv
from skltransfer.network.graph import Graph, Step, keras_class
from skltransfer.network.keras_masks import with_mask
from skltransfer.network.kernels import attended, dense, layer_normalised
from skltransfer.network.masks import mask_at
from skltransfer.network.packed_rows import PackedRows
from skltransfer.network.padding import is_attention
from skltransfer.network.pooling import positions_that_count

if TYPE_CHECKING:
    from keras import KerasTensor, Layer, Variable

Weights: TypeAlias = tuple[Any, Any]
"""Kernel and bias of a convolution, as arrays or tensors."""
Moments: TypeAlias = dict[int, tuple[Any, Any]]
"""Mean and variance of a batch, as tensors; the key is the index of the BatchNorm step."""


def run_steps(
    graph: Graph,
    start: int | None,
    stops: list[int],
    x: KerasTensor,
    values: Mapping[int, Any] | None = None,
    *,
    moments: Moments | None = None,
    lengths: KerasTensor | PackedRows | None = None,
    source: KerasTensor | None = None,
) -> list[KerasTensor]:
    """Compute the outputs of the steps `stops` from the output of the step `start`.

    Parameters
    ----------
    graph : Graph
        The network.
    start : int or None
        Index of the step whose output is `x`; if None, `x` is the network's input.
    stops : list of int
        Indices of the steps whose outputs are requested; none may be before `start`.
    x : tensor
        Batch of rows.
    values : mapping of int to tensor or ndarray, default=None
        Value of each variable in the steps that run; the key is the variable's ``id``. None uses
        the variables' own values.
    moments : dict, default=None
        If None, BatchNorm uses its stored statistics, as at prediction. With a dict, BatchNorm
        uses the moments of the batch, and adds them to the dict.
    lengths : tensor of int or PackedRows, default=None
        If rows are padded at their ends, the number of positions of each row that are not padding.
        If `x` is a pack (several rows joined into one), where these rows lie in it. None in all
        other cases.
    source : tensor, default=None
        The network's input, if steps after `start` read a mask that is computed from it; otherwise
        None.

    Returns
    -------
    list of tensor of float32
        One for each stop.
    """
    import keras

    begin = graph.input if start is None else graph.steps[start].output
    tensors = {id(begin): x}
    if start is not None and source is not None:
        tensors[id(graph.input)] = source
        if start in graph.masked_steps:
            tensors[id(begin)] = with_mask(x, mask_at(graph, start, source))
    needed = needed_steps(graph, start, tuple(stops))
    folds = _folds_within(graph, needed, stops) if moments is None else {}
    constants = _folded_constants(graph, folds, values or {})
    owned = [w for i in needed if i not in constants for w in graph.steps[i].weights]
    mapping = [] if values is None else [(v, values[id(v)]) for v in owned]
    with keras.StatelessScope(state_mapping=mapping):
        for index in needed:
            _run_step(graph, index, tensors, folds, constants, moments, lengths)
    return [keras.ops.cast(tensors[id(graph.steps[stop].output)], "float32") for stop in stops]


def needed_steps(graph: Graph, start: int | None, stops: tuple[int, ...]) -> list[int]:
    """Return the steps to run from `start` to `stops`, in order; other branches are left out."""
    made_by = {id(tensor): i for i, step in enumerate(graph.steps) for tensor in step.outputs}
    needed, waiting = set(), list(stops)
    while waiting:
        index = waiting.pop()
        if index in needed or index == start:
            continue
        needed.add(index)
        waiting.extend(made_by[id(t)] for t in graph.steps[index].inputs if id(t) in made_by)
    return sorted(needed)


def folded_normalisations(graph: Graph) -> dict[int, int]:
    """Return the BatchNorm steps that can be folded: a dict that maps each to its convolution."""
    found = {}
    for index, step in enumerate(graph.steps[:-1]):
        readers = graph.consumers[index]
        if _is_plain_convolution(step) and len(readers) == 1:
            after = graph.steps[readers[0]]
            if is_batch_norm(after):
                found[readers[0]] = index
    return found


def _folds_within(graph: Graph, needed: list[int], stops: list[int]) -> dict[int, int]:
    available = set(needed) - set(stops)
    folds = folded_normalisations(graph)
    return {norm: conv for norm, conv in folds.items() if norm in needed and conv in available}


def _folded_constants(
    graph: Graph, folds: dict[int, int], values: Mapping[int, Any]
) -> dict[int, Weights]:
    """Fold the BatchNorm steps that are frozen together with their convolution.

    The values of frozen weights are arrays, not tensors. Folding arrays with NumPy takes less time
    than folding in the compiled function. The result is a dict with kernel and bias under the
    indices of both steps.
    """
    found = {}
    for norm, convolution in folds.items():
        pair = graph.steps[convolution], graph.steps[norm]
        weights = [values.get(id(weight)) for step in pair for weight in step.weights]
        if all(isinstance(weight, np.ndarray) for weight in weights):
            arrays = _folded(*pair, lambda variable: values[id(variable)], np)
            found[norm] = found[convolution] = arrays
    return found


def _run_step(
    graph: Graph,
    index: int,
    tensors: dict[int, KerasTensor],
    folds: dict[int, int],
    constants: dict[int, Weights],
    moments: Moments | None,
    lengths: KerasTensor | PackedRows | None,
) -> None:
    step = graph.steps[index]
    if index in folds.values():
        return  # computed together with its BatchNorm
    if index in folds:
        convolution = graph.steps[folds[index]]
        weights = constants.get(index) or _folded_tensors(convolution, step)
        result = [_convolved(convolution.operation, tensors[id(convolution.inputs[0])], *weights)]
    elif moments is not None and is_batch_norm(step):
        result = _by_batch(step, tensors, moments, index)
    elif _is_grouped_convolution(step):
        result = [_convolved_in_groups(step.operation, tensors[id(step.inputs[0])])]
    elif _is_layer_norm(step):
        layer = step.operation
        x = tensors[id(step.inputs[0])]
        result = [layer_normalised(x, layer.gamma, layer.beta, layer.epsilon)]
    else:
        result = _called(step, tensors, lengths)
    tensors.update(zip(map(id, step.outputs), result, strict=True))


def is_batch_norm(step: Step) -> bool:
    """Return whether the step is BatchNorm over the last axis."""
    name = keras_class(step.operation)
    return name == "BatchNormalization" and step.operation.axis in (-1, len(step.shape))


def _by_batch(
    step: Step, tensors: dict[int, KerasTensor], moments: Moments, index: int
) -> list[KerasTensor]:
    """Normalise by the batch's moments, in float32 even in half-precision layers, as Keras does."""
    from keras import ops

    norm = step.operation
    x, gamma, beta = (
        ops.cast(tensor, "float32")
        for tensor in (
            tensors[id(step.inputs[0])],
            ops.ones(step.shape[-1:]) if norm.gamma is None else norm.gamma,
            ops.zeros(step.shape[-1:]) if norm.beta is None else norm.beta,
        )
    )
    result, mean, variance = batch_normalised(x, gamma, beta, norm.epsilon)
    moments[index] = (mean, variance)
    return [ops.cast(result, norm.compute_dtype)]


def _called(
    step: Step, tensors: dict[int, KerasTensor], lengths: KerasTensor | PackedRows | None
) -> list[KerasTensor]:
    from keras import ops

    if isinstance(lengths, PackedRows):
        return _called_on_packed(step, tensors, lengths)
    if lengths is None or not is_attention(step):
        return step.called(tensors)
    counts = positions_that_count(tensors[id(step.inputs[0])], lengths)
    return step.called(tensors, attention_mask=ops.expand_dims(counts, axis=1))


def _called_on_packed(
    step: Step, tensors: dict[int, KerasTensor], rows: PackedRows
) -> list[KerasTensor]:
    kind, x = keras_class(step.operation), tensors[id(step.inputs[0])]
    if kind == "Cumsum":
        return [rows.restarted(step.called(tensors)[0], x)]
    if kind == "Dense":
        return [dense(step.operation, x)]
    if not is_attention(step):
        return step.called(tensors)
    arguments, options = step.node.arguments.fill_in(tensors)
    causal = options.pop("use_causal_mask", False)
    return [attended(step.operation, *arguments, **options, is_read=rows.readable(causal))]


def _folded_tensors(convolution: Step, normalisation: Step) -> Weights:
    from keras import ops

    return _folded(convolution, normalisation, ops.convert_to_tensor, ops)


def _folded(
    convolution: Step, normalisation: Step, value_of: Callable[[Variable], Any], xp: ModuleType
) -> Weights:
    """Return kernel and bias of a single convolution that computes both steps."""
    layer, norm = convolution.operation, normalisation.operation
    scale = 1 / xp.sqrt(value_of(norm.moving_variance) + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * value_of(norm.gamma)
    bias = -value_of(norm.moving_mean) * scale
    if norm.beta is not None:
        bias = bias + value_of(norm.beta)
    if layer.use_bias:
        bias = bias + value_of(layer.bias) * scale
    kernel = value_of(layer.kernel)
    of_kernel = xp.reshape(scale, kernel.shape[2:]) if _is_depthwise(layer) else scale
    return kernel * of_kernel, bias


def _convolved(layer: Layer, x: KerasTensor, kernel: KerasTensor, bias: KerasTensor) -> KerasTensor:
    from keras import ops

    x, kernel, bias = (ops.cast(tensor, layer.compute_dtype) for tensor in (x, kernel, bias))
    convolve = depthwise_conv if _is_depthwise(layer) else ops.conv
    return add_bias(convolve(x, kernel, **_options(layer)), bias)


def _is_depthwise(layer: Layer) -> bool:
    return keras_class(layer) == "DepthwiseConv2D"


def _convolved_in_groups(layer: Layer, x: KerasTensor) -> KerasTensor:
    """Convolve in groups without XLA. Keras would use XLA, which is slower and lacks oneDNN."""
    from keras import ops

    options, groups = _options(layer), layer.groups
    x, kernel = (ops.cast(tensor, layer.compute_dtype) for tensor in (x, layer.kernel))
    if groups == x.shape[-1]:
        kernel = ops.reshape(kernel, (*kernel.shape[:2], groups, -1))
        output = depthwise_conv(x, kernel, **options)
    else:
        pairs = zip(ops.split(x, groups, -1), ops.split(kernel, groups, -1), strict=True)
        output = ops.concatenate([ops.conv(*pair, **options) for pair in pairs], axis=-1)
    if layer.use_bias:
        output = add_bias(output, ops.cast(layer.bias, layer.compute_dtype))
    return layer.activation(output)


def _options(layer: Layer) -> dict[str, Any]:
    return {
        "strides": layer.strides,
        "padding": layer.padding,
        "dilation_rate": layer.dilation_rate,
        "data_format": layer.data_format,
    }


def _is_grouped_convolution(step: Step) -> bool:
    layer = step.operation
    return (
        keras_class(layer) == "Conv2D" and layer.data_format == "channels_last" and layer.groups > 1
    )


def _is_layer_norm(step: Step) -> bool:
    layer = step.operation
    return (
        keras_class(layer) == "LayerNormalization"
        and list(layer.axis) in ([-1], [len(step.shape)])
        and not getattr(layer, "rms_scaling", False)
        and not step.has_mask  # only Keras' own call passes the mask on
    )


def _is_plain_convolution(step: Step) -> bool:
    layer = step.operation
    return (
        keras_class(layer) in ("Conv2D", "DepthwiseConv2D")
        and not getattr(layer, "lora_enabled", False)
        and layer.data_format == "channels_last"
        and getattr(layer, "groups", 1) == 1
        and getattr(layer.activation, "__name__", None) == "linear"
        and layer.padding in ("same", "valid")
    )
