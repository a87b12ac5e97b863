"""Save files that somebody has changed, by a generator with a seed.

It needs neither Keras nor the package, so that a process which has loaded neither can use it.
"""

from __future__ import annotations

import random

from forged_files import MAGIC, START, places_of_values, put_together, replaced, taken_apart

DEEP = 0
for _ in range(200):
    DEEP = [DEEP]

# None of these is a value, wherever one is asked for.
NO_VALUES = (
    {},
    {"os.system": "echo"},
    {"function": "builtins.eval"},
    {"class_name": "Lambda", "config": {}, "module": "keras.layers"},
    {"layer": {"dict": []}},
    {"tuple": [], "dict": []},
    {"tuple": {"0": 1}},
    {"dict": [[1]]},
    {"dict": [[1, 2], [1, 3]]},
    {"dict": [[{"dict": []}, 2]]},
    {"float": "1e999"},
    {"float": ["nan"]},
    {"array": -1},
    {"array": 10**9},
    {"array": "../../etc/passwd"},
    {"array": True},
    {"scalar": None},
    {"objects": 3},
    {"objects": [[1]]},
    {"path": ["/etc/passwd"]},
    {"random_state": {"dict": [["key", 0]]}},
    {"backbone": 99},
    {"backbone": "efficientnet_lite0"},
    {"head": {"dict": []}},
    {"head": {"n_features": 1}},
    {"Head": {"n_features": 1, "units": {"tuple": []}, "activation": "relu", "n_outputs": 1}},
    {"image_input": {"size": 3}},
    {
        "image_preprocessing": {
            "size": {"tuple": [10**30, 1]},
            "resize": "stretch",
            "pixel_range": None,
        }
    },
    {"Popen": {"args": "echo"}},
    DEEP,
)
NO_ARRAYS = (
    None,
    {},
    {"dtype": "<f4"},
    {"shape": [1], "dtype": "<f4"},
    {"dtype": "|O", "shape": [1]},
    {"dtype": "object", "shape": [1]},
    {"dtype": "<V8", "shape": [1]},
    {"dtype": "<f4,<f4", "shape": [1]},
    {"dtype": "<U9999999", "shape": [1]},
    {"dtype": ">f4", "shape": [1]},
    {"dtype": "<f4", "shape": [float("nan")]},
    {"dtype": "<f4", "shape": [1e400]},
    {"dtype": "<f4", "shape": [-1]},
    {"dtype": "<f4", "shape": [1.0]},
    {"dtype": "<f4", "shape": [True]},
    {"dtype": "<f4", "shape": [10**18]},
    {"dtype": "<f4", "shape": [0, 10**18, 10**18]},
    {"dtype": "<f4", "shape": [1] * 99},
    {"dtype": "<f4", "shape": "(1,)"},
)
NO_NAMES = ("", "../../x", "__class__", "__dict__", "_carried_backbone", "backbone_", "predict")


def damaged(data, rng, n):
    """Changed bytes, as by a disk, a transfer or a hand; the checksum no longer fits."""
    for _ in range(n):
        at, to = sorted(rng.sample(range(len(data)), 2))
        other = rng.randbytes(rng.randint(1, 16))
        yield "flip", data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        yield "truncation", data[:at]
        yield "insertion", data[:at] + other + data[at:]
        yield "deletion", data[:at] + data[to:]
        yield "end", data + other
        middle = (at + to) // 2
        swapped = data[:at] + data[middle:to] + data[at:middle] + data[to:]
        if swapped != data:
            yield "swap", swapped


def forged(data, rng, n):
    """Changed contents under a checksum that fits."""
    manifest, payload = taken_apart(data)
    yield from _other_values(manifest, payload, rng, n)
    yield from _other_arrays(manifest, payload)
    yield from _other_manifests(manifest, payload)
    for size in (1, 8, 1 << 20):
        yield "trailing bytes", put_together(manifest, payload + bytes(size))
        yield "missing bytes", put_together(manifest, payload[:-size])


def exchanged_values(data, rng, n):
    """Files in which one value stands where another was; some may still be opened."""
    manifest, payload = taken_apart(data)
    places = _places(manifest)
    for _ in range(n):
        value = manifest
        for key in rng.choice(places):
            value = value[key]
        yield put_together(replaced(manifest, rng.choice(places), value), payload)


def _places(manifest):
    """Where a manifest holds values."""
    places = [
        ("state", name, *place)
        for name, node in manifest["state"].items()
        for place in places_of_values(node)
    ]
    for index, network in enumerate(manifest["backbones"]):
        for name in _decoded_fields(network):
            way = ("backbones", index, name)
            places += [(*way, *place) for place in places_of_values(network[name])]
    return places


def _decoded_fields(network):
    """What a network consists of but for its names and weights; in protocol 1 it has a size."""
    return [name for name in network if name not in ("name", "fingerprint", "weights")]


def _other_values(manifest, payload, rng, n):
    places = _places(manifest)
    for index, network in enumerate(manifest["backbones"]):
        for name in network:
            other = replaced(manifest, ("backbones", index, name), {"eval": name})
            yield f"backbone's {name}", put_together(other, payload)
    for _ in range(n):
        place, value = rng.choice(places), rng.choice(NO_VALUES)
        yield f"{place} as {value!r:.40}", put_together(replaced(manifest, place, value), payload)


def _other_arrays(manifest, payload):
    for index in range(len(manifest["arrays"])):
        for value in NO_ARRAYS:
            other = replaced(manifest, ("arrays", index), value)
            yield f"array {index} as {value!r:.40}", put_together(other, payload)
    more = replaced(manifest, ("arrays",), [*manifest["arrays"], {"dtype": "<f4", "shape": [0]}])
    yield "an array of nobody's", put_together(more, payload)


def _other_manifests(manifest, payload):
    whole = put_together(manifest)
    text = whole[START:-32]
    protocol = b'"protocol":%d' % manifest["protocol"]
    for name in manifest:
        less = {key: value for key, value in manifest.items() if key != name}
        yield f"no {name}", put_together(less, payload)
        for value in (None, True, -1, 1.5, 10**9, "x", [], {}, [[]], DEEP):
            if value != manifest[name]:
                yield f"{name}={value!r:.20}", put_together({**manifest, name: value}, payload)
    for name in NO_NAMES:
        yield f"key {name}", put_together({**manifest, name: 0}, payload)
        more = replaced(manifest, ("state", name), 0)
        yield f"attribute {name}", put_together(more, payload)
    for name in manifest["state"]:
        less = {key: value for key, value in manifest["state"].items() if key != name}
        if name not in OPTIONAL:
            yield f"no {name}", put_together({**manifest, "state": less}, payload)
    texts = {
        "a space": text.replace(b":", b": ", 1),
        "a key twice": text.replace(b'"state":', b'"state":{},"state":', 1),
        "an escape": text.replace(b"state", b"st\\u0061te", 1),
        "a byte order mark": b"\xef\xbb\xbf" + text,
        "UTF-16": text.decode().encode("utf-16"),
        "no UTF-8": text.replace(b"state", b"st\xffte", 1),
        "NaN": text.replace(protocol, b'"protocol":NaN', 1),
        "infinite": text.replace(protocol, b'"protocol":1e999', 1),
        "long number": text.replace(protocol, b'"protocol":' + b"9" * 9999, 1),
        "another order": text.replace(protocol + b",", b"", 1)[:-1] + b"," + protocol + b"}",
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "two": text + text,
        "none": b"",
        "no object": b"[]",
    }
    for what, changed in texts.items():
        yield what, put_together(changed, payload)
    for length in (0, 1, len(whole), 2**63, 2**64 - 1):
        yield f"length {length}", _with_length(put_together(manifest, payload), length)


def _with_length(data, length):
    from hashlib import sha256

    whole = MAGIC + length.to_bytes(8, "little") + data[START:-32]
    return whole + sha256(whole).digest()


OPTIONAL = {"_carried_backbone", "feature_names_in_", "_sklearn_output_config"}
OPTIONAL |= {"max_tokens", "sample_rate", "max_seconds", "_precision"}  # older files lack them
OPTIONAL |= {"tabular", "input_column", "adaptation", "n_columns"}


def tampered_files(originals, seed=0):
    """Names and contents of many files, none of which is to be opened."""
    rng = random.Random(seed)
    for data in originals:
        yield from damaged(data, rng, 30)
        yield from forged(data, rng, 150)
