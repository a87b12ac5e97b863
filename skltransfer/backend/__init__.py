"""Keras' backend: everything that differs between TensorFlow, JAX and PyTorch.

The rest of the package calls the functions below, and names no backend. For each backend, a module
implements these functions. The module of Keras' backend is looked up only when a function is
called, so that importing this package loads neither Keras nor a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from skltransfer.backend.modules import backend_name, backend_names, module, module_of
from skltransfer.backend.normalization import refresh_normalization
from skltransfer.backend.processes import computing_threads, import_keras, start
from skltransfer.backend.processor import processor
from skltransfer.backend.protocol import Compiled, Compute, Shape

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

    from skltransfer.backend.protocol import TracingBackend

__all__ = [
    "CompiledFunction",
    "Shape",
    "add_bias",
    "as_array",
    "as_tensor",
    "backend_name",
    "backend_names",
    "backend_title",
    "batch_normalised",
    "built",
    "compile_function",
    "computing_threads",
    "constant",
    "depthwise_conv",
    "evaluated",
    "holds_weights",
    "import_keras",
    "is_out_of_memory",
    "kernels",
    "outlined",
    "processor",
    "refresh_normalization",
    "refuses_openvino",
    "start",
    "traced",
    "value_and_gradients",
    "versions",
]


@dataclass(frozen=True)
class CompiledFunction:
    """A compiled function and the shapes of its results."""

    function: Compiled
    shapes: list[Shape]

    def __call__(self, *arguments: KerasTensor) -> tuple[Any, ...]:
        """Return the results as tensors."""
        start()
        return self.function(*arguments)


def compile_function(
    compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str] | None = None
) -> CompiledFunction:
    """Compile a pure function of tensors of fixed `shapes`.

    Parameters
    ----------
    compute : callable
        Takes tensors, and returns a tensor or a tuple of tensors. The variables that it reads
        become constants.
    shapes : list of tuple
        A shape for each argument, with None for a size that may change.
    dtypes : list of str or None, default=None
        A dtype for each argument; None is float32 for all of them.

    Returns
    -------
    CompiledFunction
        Takes ndarrays or tensors, and returns a tuple of tensors, which NumPy accepts as arrays.
    """
    start()
    dtypes = dtypes or ["float32"] * len(shapes)
    function, results = module().compiled(compute, shapes, dtypes)
    return CompiledFunction(function, results)


def backend_title(backend: str | None = None) -> str:
    """Return the proper name of a backend, by default of Keras' backend, such as "TensorFlow"."""
    return module_of(backend or backend_name()).TITLE


def versions() -> list[str]:
    """Return the versions of Keras and its backend, and all else that affects the last bits."""
    import keras

    return [keras.__version__, module().version()]


def kernels() -> str:
    """Return the name of the library whose kernels (implementations of operations) are used.

    Returns
    -------
    str
        On a CPU: with TensorFlow, "onednn" or "eigen", or "tensorflow" if TensorFlow may choose
        because the environment variable SKLTRANSFER_REWRITE_GRAPHS is 0; with JAX, "xla"; with
        PyTorch, "torch". On another device: its kind, such as "gpu".
    """
    return module().kernels()


def holds_weights() -> bool:
    """Return whether weights stay on the device during training, where NumPy cannot reach them."""
    return module().holds_weights()


def built(build: Callable[[], keras.Model]) -> keras.Model:
    """Return the Keras model that `build` makes; its weights must be set before use."""
    import_keras()
    return module().built(build)


def outlined(build: Callable[[], keras.Model]) -> keras.Model:
    """Return the Keras model that `build` makes; its weights may lack values.

    Each call of the model must therefore pass values for all weights.
    """
    import_keras()
    return module().outlined(build)


def as_tensor(array: KerasTensor) -> KerasTensor:
    """Copy an array to the backend, so that many calls can use it; tensors are not copied again."""
    return module().as_tensor(array)


def as_array(tensor: KerasTensor) -> np.ndarray:
    """Return a copy of a tensor or Keras variable, without NumPy's warning about variables."""
    return module().as_array(tensor)


def constant(array: np.ndarray) -> KerasTensor:
    """Return a frozen weight in a form that many compiled functions can share."""
    return module().constant(array)


def value_and_gradients(
    loss_of: Compute, parameters: list[KerasTensor]
) -> tuple[KerasTensor, list[KerasTensor]]:
    """Return the loss at `parameters` and its gradient with respect to each."""
    return module().value_and_gradients(loss_of, parameters)


def add_bias(x: KerasTensor, bias: KerasTensor) -> KerasTensor:
    """Add one number to each channel; channels are on the last axis."""
    return module().add_bias(x, bias)


def batch_normalised(
    x: KerasTensor, gamma: KerasTensor, beta: KerasTensor, epsilon: float
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Normalise (n, h, w, c) by the moments of the batch.

    Returns
    -------
    normalised, mean, variance : tensor
        The first has the shape of `x`, the other two have the shape (c,).
    """
    return module().batch_normalised(x, gamma, beta, epsilon)


def depthwise_conv(x: KerasTensor, kernel: KerasTensor, **options: Any) -> KerasTensor:
    """Convolve each channel separately, as `keras.ops.depthwise_conv` does."""
    return module().depthwise_conv(x, kernel, **options)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether the backend ran out of memory, so that fewer rows at a time may fit."""
    return module().is_out_of_memory(error)


def refuses_openvino() -> str | None:
    """Return why OpenVINO cannot read graphs of this backend; None if it can."""
    return module().refuses_openvino()


def traced(compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str] | None = None) -> Any:
    """Return TensorFlow's graph of `compute` for OpenVINO, with variables folded into constants."""
    return cast("TracingBackend", module()).traced(compute, shapes, dtypes)


def evaluated(compute: Compute, rows: np.ndarray) -> np.ndarray:
    """Evaluate `compute`, a function of one tensor, to compare the result with OpenVINO's."""
    start()
    return as_array(compute(as_tensor(rows)))  # a graph would take longer to make
