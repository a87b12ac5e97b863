"""PyTorch: functions run step by step."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.backend import plain as _plain

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.backend.protocol import Compiled, Compute, Shape

TITLE = "PyTorch"

built = _plain.built
outlined = _plain.built
add_bias = _plain.add_bias
batch_normalised = _plain.batch_normalised
depthwise_conv = _plain.depthwise_conv


def compiled(
    compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str]
) -> tuple[Compiled, list[Shape]]:
    """The function without a record for gradients, and the shapes of its results."""
    import torch

    def call(*arguments: KerasTensor) -> tuple[Any, ...]:
        with torch.no_grad():
            found = compute(*map(as_tensor, arguments))
        results = found if isinstance(found, (list, tuple)) else (found,)
        return tuple(result.cpu() for result in results)

    def shapes_of(*arguments: tuple[int, ...]) -> list[Shape]:
        zeros = [np.zeros(shape, dtype) for shape, dtype in zip(arguments, dtypes, strict=True)]
        return [tuple(result.shape) for result in call(*zeros)]

    return call, _plain.result_shapes(shapes_of, shapes)


def as_tensor(array: KerasTensor) -> KerasTensor:
    """Copy an array for PyTorch, to the device that Keras uses; tensors stay as they are."""
    import torch
    from keras.src.backend.torch.core import get_device

    if isinstance(array, torch.Tensor):
        return array.to(get_device())
    return torch.tensor(array, device=get_device())


def as_array(tensor: KerasTensor) -> np.ndarray:
    """A copy of a tensor or a Keras variable, without its record for gradients."""
    import torch

    tensor = tensor if isinstance(tensor, torch.Tensor) else tensor.value
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array.copy()


def constant(array: np.ndarray) -> KerasTensor:
    """A tensor, made once: there is no graph that would keep it."""
    return as_tensor(array)


def kernels() -> str:
    """Whose kernels compute: "torch" on a CPU, else "gpu"."""
    import torch

    return "gpu" if torch.cuda.is_available() else "torch"


def holds_weights() -> bool:
    """Whether weights stay on the device while they are trained: NumPy would not see them there."""
    return False


def version() -> str:
    """What the last bits depend on: PyTorch chooses kernels by the number of threads too."""
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def refuses_openvino() -> str | None:
    """OpenVINO reads TensorFlow's graphs."""
    return "OpenVINO takes its graph from TensorFlow, and here Keras runs on PyTorch."


def value_and_gradients(
    loss_of: Compute, parameters: list[KerasTensor]
) -> tuple[KerasTensor, list[KerasTensor]]:
    """The loss at `parameters` and its gradient by each of them."""
    import torch

    with torch.enable_grad():
        watched = [parameter.detach().requires_grad_() for parameter in parameters]
        loss = loss_of(watched)
        found = torch.autograd.grad(loss, watched, allow_unused=True, materialize_grads=True)
    return loss.detach(), list(found)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was lacking; on a CPU only the message tells."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def share_gpus() -> None:
    """Nothing to do: PyTorch takes a GPU's memory as it is needed."""


def take_threads(share: int) -> None:
    """Nothing to do: PyTorch reads the variable by which joblib tells."""


def has_run() -> bool:
    """Whether somebody has run PyTorch on a GPU; what ran on a CPU before leaves no trace."""
    cuda = sys.modules.get("torch.cuda")
    return cuda is not None and cuda.is_initialized()
