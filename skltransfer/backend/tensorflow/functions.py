"""TensorFlow: functions compiled for one shape, with constant weights; on a CPU with oneDNN."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from skltransfer.backend import plain as _plain
from skltransfer.backend.tensorflow.onednn import with_onednn

if TYPE_CHECKING:
    import numpy as np
    from keras import KerasTensor
    from tensorflow.types.experimental import ConcreteFunction

    from skltransfer.backend.protocol import Compiled, Compute, Shape

TITLE = "TensorFlow"
_GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"
_REWRITES = "SKLTRANSFER_REWRITE_GRAPHS"
_FEWEST_SHARED = 65536  # numbers of a weight; fewer take little memory
_CHOSEN = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}

as_array = _plain.as_array
built = _plain.built
depthwise_conv = _plain.depthwise_conv
outlined = _plain.outlined


def compiled(
    compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str]
) -> tuple[Compiled, list[Shape]]:
    """Return the compiled function and the shapes of its results; see `compile_function`."""
    concrete = _concrete(compute, shapes, dtypes)
    function = _in_onednn(concrete) if kernels() == "onednn" else _folded(concrete)
    # In sums that TensorFlow itself fuses, concurrent calls overwrite data: see `fused_sums`.
    fuses = kernels() != "onednn" and _fuses_sums()
    turn = threading.Lock() if fuses else contextlib.nullcontext()

    def call(*arguments: KerasTensor) -> tuple[Any, ...]:
        # An ordinary call of a function made from a graph first prepares an error message that
        # prints all arguments, which takes milliseconds.
        tensors = [as_tensor(argument) for argument in arguments]
        with turn:
            results = function._call_flat(tensors, function.captured_inputs)
        return tuple(results) if isinstance(results, (list, tuple)) else (results,)

    return call, [tuple(output.shape) for output in concrete.outputs]


def _in_onednn(concrete: ConcreteFunction) -> ConcreteFunction:
    """Return a function that names oneDNN's kernels; it captures tensors, but no variables."""
    import tensorflow as tf

    reads_variables = any(tensor.dtype == tf.resource for tensor in concrete.captured_inputs)
    return with_onednn(_folded(concrete) if reads_variables else concrete)


def as_tensor(array: KerasTensor) -> KerasTensor:
    """Copy an array to TensorFlow; tensors are returned unchanged."""
    import tensorflow as tf

    # Takes half the time of tf.convert_to_tensor, which matters for small steps.
    return array if tf.is_tensor(array) else tf.constant(array)


def constant(array: np.ndarray) -> KerasTensor:
    """Return a large matrix as a tensor, and other arrays unchanged.

    Of an array, each graph keeps a copy, and several more are made while the graph is compiled. A
    tensor is shared; see `shared_weights`. Kernels of convolutions, which have four axes, remain
    arrays, because NumPy folds normalisations into them.
    """
    import tensorflow as tf

    if array.ndim > 3 or array.size < _FEWEST_SHARED:
        return array
    with tf.init_scope():  # the tensor outlives the function that is being traced
        return tf.constant(array) if kernels() == "onednn" else array


@lru_cache(maxsize=1)
def kernels() -> str:
    """Return the kernels used for convolutions: "onednn", "eigen", "tensorflow" or "gpu"."""
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return "gpu"
    if not rewrites_graphs():
        return "tensorflow"
    return "onednn" if _onednn_works() else "eigen"


def rewrites_graphs() -> bool:
    """Return whether graphs may be rewritten for oneDNN; SKLTRANSFER_REWRITE_GRAPHS=0 forbids it.

    Raises
    ------
    ValueError
        If this environment variable is set to anything but 0 or 1.
    """
    found = os.environ.get(_REWRITES, "1")
    if found not in ("0", "1"):
        raise ValueError(
            f"The environment variable {_REWRITES}={found!r} must be 1, to rewrite TensorFlow's "
            "graphs for oneDNN's kernels, or 0, to run them as TensorFlow makes them."
        )
    return found == "1"


def _fuses_sums() -> bool:
    """Return whether TensorFlow itself puts oneDNN's fused sums into graphs."""
    try:
        from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    except ImportError:  # an unknown release: assume that it does
        return kernels() != "gpu"
    return kernels() != "gpu" and IsMklEnabled()


def holds_weights() -> bool:
    """Return whether weights stay on the device while they are trained."""
    return kernels() == "gpu"


def version() -> str:
    """Return the version that the last bits depend on."""
    import tensorflow as tf

    return str(tf.__version__)


def traced(
    compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str] | None = None
) -> ConcreteFunction:
    """Trace `compute` for tensors of `shapes`, with variables folded into constants."""
    return _folded(_concrete(compute, shapes, dtypes or ["float32"] * len(shapes)))


def _concrete(compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str]) -> ConcreteFunction:
    import tensorflow as tf

    signature = [tf.TensorSpec(*tensor) for tensor in zip(shapes, dtypes, strict=True)]
    return tf.function(compute, autograph=False).get_concrete_function(*signature)


def _folded(concrete: ConcreteFunction) -> ConcreteFunction:
    """Fold variables, and tensors from outside of the function, into constants."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    return convert_variables_to_constants_v2(concrete) if concrete.graph.captures else concrete


def refuses_openvino() -> str | None:
    """Return None: OpenVINO reads TensorFlow's graphs."""
    return None


def value_and_gradients(
    loss_of: Compute, parameters: list[KerasTensor]
) -> tuple[KerasTensor, list[KerasTensor]]:
    """Return the loss at `parameters` and its gradient with respect to each."""
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parameters)
        loss = loss_of(parameters)
    zero = tf.UnconnectedGradients.ZERO
    gradients = tape.gradient(loss, parameters, unconnected_gradients=zero)
    # The gradients of embedding tables are sparse.
    return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]


def add_bias(x: KerasTensor, bias: KerasTensor) -> KerasTensor:
    """Add one number to each channel, by an operation that fuses with convolutions.

    The gradient of this operation is fast, too.
    """
    import tensorflow as tf

    return tf.nn.bias_add(x, bias)


def batch_normalised(
    x: KerasTensor, gamma: KerasTensor, beta: KerasTensor, epsilon: float
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Normalise by the moments of the batch; images are normalised by a single operation."""
    import tensorflow as tf

    rows = prod(x.shape[:-1])
    if len(x.shape) != 4 or rows == 1:
        return _plain.batch_normalised(x, gamma, beta, epsilon, add_bias)
    normalised, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    return normalised, mean, unbiased * ((rows - 1) / rows)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out."""
    import tensorflow as tf

    return isinstance(error, tf.errors.ResourceExhaustedError)


def share_gpus() -> None:
    """Let TensorFlow allocate GPU memory as needed, because workers share a GPU.

    If the user has already decided this, nothing is changed.
    """
    if _GROWTH in os.environ:
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        # Errors mean that TensorFlow has already run here, or that the user has divided the GPU.
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)


def take_threads(count: int, overrides: bool) -> None:
    """Use `count` threads, unless TensorFlow has run or environment variables set the number.

    With `overrides`, these variables are ignored.
    """
    if not overrides and _CHOSEN & set(os.environ):
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow has already run here
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def has_run() -> bool:
    """Return whether TensorFlow has run in this process, without importing it."""
    context = sys.modules.get("tensorflow.python.eager.context")
    return bool(getattr(getattr(context, "_context", None), "_initialized", False))


def _onednn_works() -> bool:
    """Return whether a small convolution runs with oneDNN's kernels, which TensorFlow may lack."""
    import tensorflow as tf

    filters = tf.ones((3, 3, 2, 2))

    def compute(pixels: KerasTensor) -> KerasTensor:
        return tf.nn.conv2d(pixels, filters, strides=1, padding="SAME")

    try:
        with_onednn(traced(compute, [(1, 4, 4, 2)]))(tf.ones((1, 4, 4, 2)))
    except (tf.errors.OpError, ValueError, KeyError, AttributeError, ImportError):
        return False
    return True
