"""Parameters and fitted attributes as JSON, restricted to a list of allowed kinds.

None, bool, int, finite float, str and list are written as they are. Every other value is a JSON
object with one key, the name of the value's kind. Reading therefore never looks up a class by its
module path.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np

from skltransfer.backbones.spec import BackboneSpec
from skltransfer.persistence.arrays import can_be_saved
from skltransfer.persistence.random_states import from_random_state, to_random_state
from skltransfer.persistence.records import check_record, fields_of, is_record, name_of

_PLAIN = {type(None), bool, int, str}
_DEEPEST = 64
_NOT_SINGLE = "has items other than None, bools, numbers and strings"
_IDENTITY = ("fingerprint", "name", "input", "bundled")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Writer:
    """Encodes values, and collects the arrays and networks to which they refer.

    Attributes
    ----------
    arrays : list of ndarray
        The arrays, in the order in which values refer to them.
    backbones : list of BackboneSpec
        The networks, each of them once.
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.backbones: list[BackboneSpec] = []

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return `value` in JSON types.

        Raises
        ------
        TypeError
            If `value`, or something in it, is of a kind that is not allowed or nested too deeply.
            The message says which.
        """
        if depth > _DEEPEST:
            raise TypeError(f"it is nested more than {_DEEPEST} levels deep")
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind is list:
            return [self.encode(item, depth + 1) for item in value]
        name, content = self._tagged(value, kind, depth + 1)
        return {name: content}

    def add_array(self, array: np.ndarray) -> int:
        """Add an array; return its position in `arrays`."""
        if not can_be_saved(array):
            raise TypeError(f"it holds an array of dtype {array.dtype}")
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _tagged(self, value: Any, kind: type, depth: int) -> tuple[str, Any]:
        if kind is tuple:
            return "tuple", [self.encode(item, depth) for item in value]
        if kind is dict:
            return "dict", [
                [self.encode(key, depth), self.encode(item, depth)] for key, item in value.items()
            ]
        if kind is BackboneSpec:
            return "backbone", self._add_backbone(value)
        record = name_of(kind)
        if record is not None:
            content = fields_of(value)
            return record, {name: self.encode(item, depth) for name, item in content.items()}
        if kind is np.random.RandomState:
            return "random_state", self.encode(from_random_state(value), depth)
        if kind in (np.ndarray, np.memmap):  # memmap: from joblib.load(path, mmap_mode="r")
            return self._array(np.asarray(value), depth)
        if isinstance(value, np.generic):
            return "scalar", self.add_array(np.asarray(value))
        if isinstance(value, Path):
            return "path", str(value)
        raise TypeError(f"it holds {value!r:.80}, a {kind.__name__}")

    def _array(self, array: np.ndarray, depth: int) -> tuple[str, Any]:
        if array.dtype != object:
            return "array", self.add_array(array)
        if array.ndim != 1 or not all(map(_is_single, array)):
            raise TypeError(f"it holds an array of dtype object that is not 1-D or {_NOT_SINGLE}")
        return "objects", [self.encode(item, depth) for item in array]

    def _add_backbone(self, spec: BackboneSpec) -> int:
        for position, known in enumerate(self.backbones):
            if all(getattr(known, name) == getattr(spec, name) for name in _IDENTITY):
                return position
        self.backbones.append(spec)
        return len(self.backbones) - 1


class Reader:
    """Decodes values; refuses everything that `Writer` does not write.

    Parameters
    ----------
    arrays : list of ndarray
        Read-only views of the file; values must refer to each exactly once.
    """

    def __init__(self, arrays: list[np.ndarray]):
        self.arrays = arrays
        self.used: set[int] = set()
        self.backbones: list[BackboneSpec] = []

    def decode(self, node: Any, depth: int = 0) -> Any:
        """Return the value that `node` stands for.

        Raises
        ------
        ValueError
            If `Writer` would not write `node`.
        """
        if depth > _DEEPEST:
            raise ValueError(f"it nests values more than {_DEEPEST} levels deep.")
        if isinstance(node, list):
            return [self.decode(item, depth + 1) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) != 1:
            raise ValueError(
                f"it holds an object with {len(node)} keys in place of one, the name of its kind."
            )
        ((name, content),) = node.items()
        if is_record(name):
            return check_record(name, self._mapping(content, depth + 1))
        if name not in _DECODERS:
            raise ValueError(f"it asks for {name!r:.60}, which is not among the allowed kinds.")
        return _DECODERS[name](self, content, depth + 1)

    def view(self, position: object) -> np.ndarray:
        """Return the array at `position`; nothing else may refer to it."""
        if type(position) is not int or not 0 <= position < len(self.arrays):
            raise ValueError(f"it refers to array {position!r:.40}, which it does not hold.")
        if position in self.used:
            raise ValueError(f"it refers to array {position} twice.")
        self.used.add(position)
        return self.arrays[position]

    def check_all_used(self) -> None:
        """Raise an error if there is an array that no value refers to."""
        if len(self.used) != len(self.arrays):
            raise ValueError("it holds arrays that nothing refers to.")

    def _mapping(self, content: Any, depth: int) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise ValueError("it holds a record without fields.")
        return {name: self.decode(item, depth) for name, item in content.items()}

    def _tuple(self, content: Any, depth: int) -> tuple[Any, ...]:
        return tuple(self.decode(_list(content), depth))

    def _dict(self, content: Any, depth: int) -> dict[Any, Any]:
        pairs = [self.decode(_list(pair, 2), depth) for pair in _list(content)]
        try:
            found = dict(pairs)
        except TypeError as error:
            raise ValueError("it holds a dict with a key that is not hashable.") from error
        if len(found) != len(pairs):
            raise ValueError("it holds a dict in which a key occurs twice.")
        return found

    def _float(self, content: Any, depth: int) -> float:
        if not isinstance(content, str) or content not in _NOT_FINITE:
            allowed = ", ".join(_NOT_FINITE)
            raise ValueError(f"it holds the float {content!r:.40}, which is not one of {allowed}.")
        return _NOT_FINITE[content]

    def _array(self, content: Any, depth: int) -> np.ndarray:
        view = self.view(content)
        return view.astype(view.dtype.newbyteorder("="))

    def _scalar(self, content: Any, depth: int) -> np.generic:
        array = self._array(content, depth)
        if array.ndim:
            raise ValueError("it holds an array in place of a number.")
        return cast(np.generic, array[()])  # NumPy returns a scalar for an array without axes

    def _objects(self, content: Any, depth: int) -> np.ndarray:
        items = self.decode(_list(content), depth)
        if not all(map(_is_single, items)):
            raise ValueError(f"it holds an array of dtype object that {_NOT_SINGLE}.")
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array

    def _path(self, content: Any, depth: int) -> Path:
        if not isinstance(content, str):
            raise ValueError("it holds a path that is not a str.")
        return Path(content)

    def _random_state(self, content: Any, depth: int) -> np.random.RandomState:
        return to_random_state(self.decode(content, depth))

    def _backbone(self, content: Any, depth: int) -> BackboneSpec:
        if type(content) is not int or not 0 <= content < len(self.backbones):
            raise ValueError(f"it refers to backbone {content!r:.40}, which it does not hold.")
        return self.backbones[content]


_DECODERS = {
    "tuple": Reader._tuple,
    "dict": Reader._dict,
    "float": Reader._float,
    "array": Reader._array,
    "scalar": Reader._scalar,
    "objects": Reader._objects,
    "path": Reader._path,
    "random_state": Reader._random_state,
    "backbone": Reader._backbone,
}


def _is_single(item: object) -> bool:
    return type(item) in {*_PLAIN, float} or isinstance(item, np.generic)


def _list(content: Any, length: int | None = None) -> list[Any]:
    if not isinstance(content, list) or (length is not None and len(content) != length):
        needed = "a list" if length is None else f"a list of {length}"
        raise ValueError(f"it holds a value that is not written as {needed}, as its kind requires.")
    return content
