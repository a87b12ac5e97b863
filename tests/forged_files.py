"""Save files taken apart, changed, and put together again with a checksum that fits."""

from __future__ import annotations

import copy
import hashlib
import json
import struct

MAGIC = b"\x93SKLTR\r\n"
START = len(MAGIC) + 8


def taken_apart(data):
    """The manifest, and the bytes of the arrays."""
    (length,) = struct.unpack_from("<Q", data, len(MAGIC))
    return json.loads(data[START : START + length]), data[START + length : -32]


def put_together(manifest, payload=b""):
    """A file whose checksum fits; `manifest` may be text already."""
    text = manifest
    if not isinstance(text, bytes):
        text = json.dumps(manifest, separators=(",", ":")).encode()
    whole = MAGIC + struct.pack("<Q", len(text)) + text + payload
    return whole + hashlib.sha256(whole).digest()


def changed(data, change):
    """The file after `change` was made to its manifest."""
    manifest, payload = taken_apart(data)
    change(manifest)
    return put_together(manifest, payload)


def replaced(manifest, place, value):
    """A copy of a manifest with another value at `place`, a sequence of keys."""
    twin = copy.deepcopy(manifest)
    *way, last = place
    node = twin
    for key in way:
        node = node[key]
    node[last] = value
    return twin


def places_of_values(node, place=()):
    """Places at which the value `node` of a manifest holds values, itself included."""
    yield place
    for way, value in _parts_of(node):
        yield from places_of_values(value, (*place, *way))


def _parts_of(node):
    if isinstance(node, list):
        return [((index,), value) for index, value in enumerate(node)]
    if not isinstance(node, dict):
        return []
    ((kind, content),) = node.items()
    if kind == "dict":
        return [((kind, i, j), pair[j]) for i, pair in enumerate(content) for j in (0, 1)]
    if kind in ("tuple", "objects"):
        return [((kind, index), value) for index, value in enumerate(content)]
    if kind in ("layer", "random_state"):
        return [((kind,), content)]
    if kind in RECORDS:
        return [((kind, name), value) for name, value in content.items()]
    return []


RECORDS = {
    "Head",
    "PixelRule",
    "Reading",
    "RowLayout",
    "TrainingState",
    "classification",
    "head",
    "image_encoding",
    "image_input",
    "image_preprocessing",
    "tabular_encoding",
    "tabular_to_image",
    "training_state",
}
"""Those of protocol 1 have names of classes."""
