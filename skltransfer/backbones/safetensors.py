"""Tensors in safetensors files: a header in JSON, and raw bytes.

Nothing in such a file can be code. All sizes and offsets in the header are checked before a byte of
a tensor is read. https://github.com/huggingface/safetensors describes the format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_OTHER_SIZES = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1}
_SIZES = {**{name: int(code[-1]) for name, code in _DTYPES.items()}, **_OTHER_SIZES, "BOOL": 1}
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000


class Damaged(ValueError):
    """A file is damaged; the message says how."""


@dataclass(frozen=True)
class Tensors(Mapping[str, NDArray[np.float32]]):
    """The tensors of a file by name, each read on demand.

    Attributes
    ----------
    path : Path
        The file.
    entries : mapping of str to dict
        Dtype, shape and checked offsets from the beginning of the file.
    """

    path: Path
    entries: Mapping[str, dict[str, Any]]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Read one tensor, as float32."""
        entry = self.entries[name]
        if entry["dtype"] not in _DTYPES:
            raise Damaged(f"{name!r} is of dtype {entry['dtype']}, but weights must be floats")
        count = math.prod(entry["shape"])
        code, start = _DTYPES[entry["dtype"]], entry["start"]
        values = np.fromfile(self.path, code, count, offset=start).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)

    def __iter__(self) -> Any:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def open_tensors(path: Path) -> Tensors:
    """Read and check the header of a file.

    Raises
    ------
    Damaged
        If the sizes and offsets in the header do not match the bytes of the file.
    """
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 2 <= n_header <= min(_LONGEST_HEADER, n_bytes - _LENGTH_BYTES):
            raise Damaged(
                "it is cut off, or not a safetensors file: its header cannot be "
                f"{n_header:,} bytes long"
            )
        header = _header(file.read(n_header))
    header.pop("__metadata__", None)
    start = _LENGTH_BYTES + n_header
    entries = {name: _entry(name, entry, start) for name, entry in header.items()}
    _check_places(entries, start, n_bytes)
    return Tensors(path, entries)


def _header(content: bytes) -> dict[str, Any]:
    try:
        header = json.loads(content, object_pairs_hook=_distinct)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Damaged("its header is not JSON") from error
    if not isinstance(header, dict):
        raise Damaged("its header is not a table of tensors")
    return header


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Damaged("its header has a name twice")
    return found


def _entry(name: str, entry: Any, start: int) -> dict[str, Any]:
    """Return an entry with offsets from the beginning of the file."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Damaged(f"its header does not describe {name!r} by dtype, shape and offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _SIZES:
        raise Damaged(f"{name!r} has the dtype {dtype!r:.20}, which is not supported")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise Damaged(f"{name!r} has an invalid shape or invalid offsets")
    if offsets[1] - offsets[0] != math.prod(shape) * _SIZES[dtype]:
        raise Damaged(f"{name!r} does not have the number of bytes that its shape needs")
    return {"dtype": dtype, "shape": shape, "start": start + offsets[0], "end": start + offsets[1]}


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_places(entries: dict[str, dict[str, Any]], start: int, n_bytes: int) -> None:
    """Refuse tensors that overlap, leave gaps or do not end at the end of the file."""
    for name, entry in sorted(entries.items(), key=lambda pair: (pair[1]["start"], pair[1]["end"])):
        if entry["start"] != start:
            raise Damaged(f"{name!r} does not begin where the tensor before it ends")
        start = entry["end"]
    if start != n_bytes:
        what = "it is cut off" if start > n_bytes else "there are bytes after its last tensor"
        raise Damaged(f"{what}: its header describes {start:,} bytes, but the file has {n_bytes:,}")
