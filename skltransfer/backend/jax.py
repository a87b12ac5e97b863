"""JAX: functions compiled by XLA, once for each shape."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.backend import plain as _plain
from skltransfer.backend.normalization import refresh_normalization

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

    from skltransfer.backend.protocol import Compiled, Compute, Shape

TITLE = "JAX"
_THREADS = "PJRT_NPROC"
_CHOSEN = {_THREADS, "NPROC"}

add_bias = _plain.add_bias
as_array = _plain.as_array
batch_normalised = _plain.batch_normalised
outlined = _plain.outlined


def compiled(
    compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str]
) -> tuple[Compiled, list[Shape]]:
    """Return the compiled function and the shapes of its results; see `compile_function`."""
    import jax

    def results(*tensors: KerasTensor) -> tuple[Any, ...]:
        found = compute(*tensors)
        return tuple(found) if isinstance(found, (list, tuple)) else (found,)

    def shapes_of(*arguments: Shape) -> list[Shape]:
        structs = list(map(jax.ShapeDtypeStruct, arguments, dtypes))
        return [result.shape for result in jax.eval_shape(function, *structs)]

    function = jax.jit(results)
    return function, _plain.result_shapes(shapes_of, shapes)


def built(build: Callable[[], keras.Model]) -> keras.Model:
    """Return the model that `build` makes, with zeros for weights.

    The weights' initializers are traced, but not run: XLA would compile them for each shape, which
    takes many seconds for a typical network. They are run only if a layer has kept a traced tensor,
    because the model is then built again without tracing.
    """
    import jax

    made: list[keras.Model] = []
    jax.eval_shape(lambda: made.append(build()))
    (model,) = made
    for variable in model.variables:
        variable.assign(np.zeros(variable.shape, variable.dtype))
    refresh_normalization(model)
    return build() if _holds_traced(model) else model


def _holds_traced(model: keras.Model) -> bool:
    import jax

    held = (value for layer in model._flatten_layers() for value in vars(layer).values())
    return any(isinstance(value, jax.core.Tracer) for value in held)


def as_tensor(array: KerasTensor) -> KerasTensor:
    """Copy an array to JAX; tensors are returned unchanged."""
    import jax

    return array if isinstance(array, jax.Array) else jax.numpy.array(array)


def constant(array: np.ndarray) -> np.ndarray:
    """Return an array unchanged: XLA keeps its own copy."""
    return array


def kernels() -> str:
    """Return "xla" on a CPU, otherwise the kind of the device, such as "gpu"."""
    import jax

    device: str = jax.default_backend()
    return "xla" if device == "cpu" else device


def holds_weights() -> bool:
    """Return whether weights stay on the device while they are trained."""
    return kernels() != "xla"


def version() -> str:
    """Return the versions that the last bits depend on."""
    import jax
    import jaxlib

    return f"{jax.__version__}, jaxlib {jaxlib.__version__}"


def refuses_openvino() -> str | None:
    """Return a reason: OpenVINO reads only TensorFlow's graphs."""
    return "OpenVINO takes its graph from TensorFlow, but here Keras runs on JAX."


def value_and_gradients(
    loss_of: Compute, parameters: list[KerasTensor]
) -> tuple[KerasTensor, list[KerasTensor]]:
    """Return the loss at `parameters` and its gradient with respect to each."""
    import jax

    loss, gradients = jax.value_and_grad(loss_of)(parameters)
    return loss, gradients


def depthwise_conv(
    x: KerasTensor,
    kernel: KerasTensor,
    *,
    strides: int | tuple[int, int],
    padding: str,
    dilation_rate: int | tuple[int, int],
    data_format: str,
) -> KerasTensor:
    """Convolve each channel separately; on a CPU, as a sum of shifted images.

    On CPUs, XLA's own implementation is many times slower, because it computes element by element.
    """
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    if kernels() != "xla" or data_format != "channels_last":
        return _plain.depthwise_conv(x, kernel, data_format=data_format, **options)
    return _shifted_sum(x, kernel, _pair(strides), padding, _pair(dilation_rate))


def _shifted_sum(
    x: KerasTensor,
    kernel: KerasTensor,
    strides: tuple[int, int],
    padding: str,
    dilations: tuple[int, int],
) -> KerasTensor:
    """Shift `x` to each position of `kernel`, and multiply it by the weight there; return the sum.

    The kernel has the shape (h, w, channels, multiplier).
    """
    from jax import lax
    from jax import numpy as jnp

    reach = [d * (size - 1) + 1 for d, size in zip(dilations, kernel.shape, strict=False)]
    if padding == "same":
        x = jnp.pad(x, [(0, 0), *lax.padtype_to_pads(x.shape[1:3], reach, strides, "SAME"), (0, 0)])
    rows, height, width, channels = x.shape
    last = [(side - r) // s * s for side, r, s in zip((height, width), reach, strides, strict=True)]
    total: KerasTensor = 0.0
    for i, j in product(range(kernel.shape[0]), range(kernel.shape[1])):
        top, left = i * dilations[0], j * dilations[1]
        stop = (rows, top + last[0] + 1, left + last[1] + 1, channels)
        seen = lax.slice(x, (0, top, left, 0), stop, (1, *strides, 1))
        total = total + seen[..., None] * kernel[i, j]
    return jnp.reshape(total, (*total.shape[:3], -1))


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out."""
    import jax

    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def share_gpus() -> None:
    """Let JAX allocate GPU memory as needed, because workers share a GPU.

    If the user has set the environment variable that decides this, it stays as it is. JAX reads it
    when it first looks for devices. On a CPU, it has no effect.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def take_threads(count: int, overrides: bool) -> None:
    """Start XLA with `count` threads, unless JAX has run or environment variables set the number.

    With `overrides`, these variables are ignored. XLA reads the number only when it starts.
    """
    if has_run() or (not overrides and _CHOSEN & set(os.environ)):
        return
    import jax

    given = os.environ.get(_THREADS)
    os.environ[_THREADS] = str(count)
    try:
        jax.devices()
    finally:
        if given is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = given


def has_run() -> bool:
    """Return whether JAX has run in this process, without importing it."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bool(getattr(bridge, "_backends", None))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
