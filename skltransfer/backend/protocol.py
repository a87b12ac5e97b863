"""The interface of a backend, which each backend module implements with functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor
    from tensorflow.types.experimental import ConcreteFunction

Shape: TypeAlias = tuple[int | None, ...]
Compute: TypeAlias = Callable[..., Any]
"""Takes tensors, and returns a tensor or a tuple of tensors."""
Compiled: TypeAlias = Callable[..., tuple[Any, ...]]
"""Takes arrays or tensors, and returns a tuple of tensors."""


class Backend(Protocol):
    """The functions of `skltransfer.backend` that each backend implements in its own way."""

    TITLE: str

    # Most parameters are positional-only, so that functions of a module can implement the methods.
    def compiled(
        self, compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str], /
    ) -> tuple[Compiled, list[Shape]]: ...
    def built(self, build: Callable[[], keras.Model], /) -> keras.Model: ...
    def outlined(self, build: Callable[[], keras.Model], /) -> keras.Model: ...
    def as_tensor(self, array: KerasTensor, /) -> KerasTensor: ...
    def as_array(self, tensor: KerasTensor, /) -> np.ndarray: ...
    def constant(self, array: np.ndarray, /) -> KerasTensor: ...
    def kernels(self) -> str: ...
    def holds_weights(self) -> bool: ...
    def version(self) -> str: ...
    def refuses_openvino(self) -> str | None: ...
    def value_and_gradients(
        self, loss_of: Compute, parameters: list[KerasTensor], /
    ) -> tuple[KerasTensor, list[KerasTensor]]: ...
    def add_bias(self, x: KerasTensor, bias: KerasTensor, /) -> KerasTensor: ...
    def batch_normalised(
        self, x: KerasTensor, gamma: KerasTensor, beta: KerasTensor, epsilon: float, /
    ) -> tuple[KerasTensor, KerasTensor, KerasTensor]: ...
    def depthwise_conv(
        self,
        x: KerasTensor,
        kernel: KerasTensor,
        /,
        *,
        strides: int | tuple[int, int],
        padding: str,
        dilation_rate: int | tuple[int, int],
        data_format: str,
    ) -> KerasTensor: ...
    def is_out_of_memory(self, error: Exception, /) -> bool: ...
    def share_gpus(self) -> None: ...
    def take_threads(self, count: int, overrides: bool) -> None: ...
    def has_run(self) -> bool: ...


class TracingBackend(Backend, Protocol):
    """A backend whose graphs OpenVINO can read."""

    def traced(
        self, compute: Compute, shapes: Sequence[Shape], dtypes: Sequence[str] | None, /
    ) -> ConcreteFunction: ...
