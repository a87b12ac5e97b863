"""PyTorch: functions run eagerly, that is, without being compiled."""

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
    """Return the function without gradient tracking, and the shapes of its results."""
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
    """Copy an array to the device that Keras uses; tensors are returned unchanged."""
    import torch
    from keras.src.backend.torch.core import get_device

    if isinstance(array, torch.Tensor):
        return array.to(get_device())
    return torch.tensor(array, device=get_device())


def as_array(tensor: KerasTensor) -> np.ndarray:
    """Return a copy of a tensor or a Keras variable, without gradient tracking."""
    import torch

    tensor = tensor if isinstance(tensor, torch.Tensor) else tensor.value
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array.copy()


def constant(array: np.ndarray) -> KerasTensor:
    """Return a copy as a tensor, because PyTorch makes no graph that would keep one."""
    return as_tensor(array)


def kernels() -> str:
    """Return "torch" on a CPU, else "gpu"."""
    import torch

    return "gpu" if torch.cuda.is_available() else "torch"


def holds_weights() -> bool:
    """Return whether weights stay on the device during training, where NumPy cannot see them."""
    return False


def version() -> str:
    """Return what the last bits depend on; for PyTorch, that includes the number of threads."""
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def refuses_openvino() -> str | None:
    """Return a reason: OpenVINO reads only TensorFlow's graphs."""
    return "OpenVINO takes its graph from TensorFlow, but here Keras runs on PyTorch."


def value_and_gradients(
    loss_of: Compute, parameters: list[KerasTensor]
) -> tuple[KerasTensor, list[KerasTensor]]:
    """Return the loss at `parameters` and its gradient with respect to each."""
    import torch

    with torch.enable_grad():
        watched = [parameter.detach().requires_grad_() for parameter in parameters]
        loss = loss_of(watched)
        found = torch.autograd.grad(loss, watched, allow_unused=True, materialize_grads=True)
    return loss.detach(), list(found)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out; on a CPU, only the message shows it."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def share_gpus() -> None:
    """Do nothing: PyTorch allocates GPU memory as needed."""


def take_threads(count: int, overrides: bool) -> None:
    """Use `count` threads if the user set this number; PyTorch itself reads OMP_NUM_THREADS."""
    if overrides:
        import torch

        torch.set_num_threads(count)


def has_run() -> bool:
    """Return whether PyTorch has run on a GPU; whether it has run on a CPU cannot be seen."""
    cuda = sys.modules.get("torch.cuda")
    return cuda is not None and cuda.is_initialized()
