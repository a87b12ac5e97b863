"""Keras' backend, which computes: all that is said differently for TensorFlow, JAX and PyTorch.

The rest of the package calls the functions below, and names no backend. There is a module for each
that offers the same functions; the one that Keras runs on is looked up when a function is called,
so that an import loads neither Keras nor a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from skltransfer.backend.keras_import import import_keras
from skltransfer.backend.modules import backend_name, backend_names, module, module_of
from skltransfer.backend.normalization import refresh_normalization
from skltransfer.backend.processes import computing_threads, start
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
        """Results as tensors."""
        start()
        return self.function(*arguments)


def compile_function(
    compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str] | None = None
) -> CompiledFunction:
    """Compile a pure function of tensors of fixed `shapes`.

    Parameters
    ----------
    compute : callable
        From tensors to a tensor or a tuple of tensors. Variables that it reads become constants.
    shapes : list of tuple
        A shape for each argument; None where a size may change.
    dtypes : list of str or None, default=None
        A dtype for each argument; None: float32.

    Returns
    -------
    CompiledFunction
        From ndarrays or tensors to a tuple of tensors, which NumPy takes for arrays.
    """
    start()
    dtypes = dtypes or ["float32"] * len(shapes)
    function, results = module().compiled(compute, shapes, dtypes)
    return CompiledFunction(function, results)


def backend_title(backend: str | None = None) -> str:
    """Name of a backend as its makers write it; None: of the one that runs."""
    return module_of(backend or backend_name()).TITLE


def versions() -> list[str]:
    """Versions of Keras and of the backend, and what else in it the last bits depend on."""
    import keras

    return [keras.__version__, module().version()]


def kernels() -> str:
    """Whose kernels compute here.

    Returns
    -------
    str
        On processors "onednn" or "eigen" with TensorFlow ("tensorflow": its own choice, where the
        variable SKLTRANSFER_REWRITE_GRAPHS is 0), "xla" and "torch" with the others; else the kind
        of the device, such as "gpu".
    """
    return module().kernels()


def holds_weights() -> bool:
    """Whether weights are to stay on the device during training, out of NumPy's reach."""
    return module().holds_weights()


def built(build: Callable[[], keras.Model]) -> keras.Model:
    """The Keras model that `build` makes, where all its weights are going to be set."""
    import_keras()
    return module().built(build)


def outlined(build: Callable[[], keras.Model]) -> keras.Model:
    """The Keras model that `build` makes, where values for all its weights are handed in."""
    import_keras()
    return module().outlined(build)


def as_tensor(array: KerasTensor) -> KerasTensor:
    """Copy an array for the backend, once for many calls; tensors stay as they are."""
    return module().as_tensor(array)


def as_array(tensor: KerasTensor) -> np.ndarray:
    """A copy of a tensor or a Keras variable, of which NumPy warns where Keras makes it."""
    return module().as_array(tensor)


def constant(array: np.ndarray) -> KerasTensor:
    """What a frozen weight is to be handed in as, for many compiled functions."""
    return module().constant(array)


def value_and_gradients(
    loss_of: Compute, parameters: list[KerasTensor]
) -> tuple[KerasTensor, list[KerasTensor]]:
    """The loss at `parameters` and its gradient by each of them."""
    return module().value_and_gradients(loss_of, parameters)


def add_bias(x: KerasTensor, bias: KerasTensor) -> KerasTensor:
    """Add one number to each channel, the last axis."""
    return module().add_bias(x, bias)


def batch_normalised(
    x: KerasTensor, gamma: KerasTensor, beta: KerasTensor, epsilon: float
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Normalise (n, h, w, c) by the moments of the batch.

    Returns
    -------
    normalised, mean, variance : tensor
        Of the shape of `x`, and of shape (c,).
    """
    return module().batch_normalised(x, gamma, beta, epsilon)


def depthwise_conv(x: KerasTensor, kernel: KerasTensor, **options: Any) -> KerasTensor:
    """Filter each channel by itself, as `keras.ops.depthwise_conv` does."""
    return module().depthwise_conv(x, kernel, **options)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the backend lacked memory, so that smaller blocks may do."""
    return module().is_out_of_memory(error)


def refuses_openvino() -> str | None:
    """Why OpenVINO can take no graph from the backend; None: it can."""
    return module().refuses_openvino()


def traced(compute: Compute, shapes: Sequence[Shape]) -> Any:
    """TensorFlow's graph of `compute` for OpenVINO, its variables folded into constants."""
    return cast("TracingBackend", module()).traced(compute, shapes)


def evaluated(compute: Compute, rows: np.ndarray) -> np.ndarray:
    """Rows of `compute`, a function of one tensor, by TensorFlow's own kernels, step by step."""
    start()
    return as_array(compute(as_tensor(rows)))  # a graph would take longer to make
