"""Layer names without the process-wide numbers that Keras assigns."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


def fresh_names(layers: Iterable[tuple[_Key, str, str]]) -> dict[_Key, str]:
    """Return names as in a fresh process, numbered in the order of creation.

    Keras numbers unnamed layers across the whole process, so names such as "conv2d_94" depend on
    what was built before.

    Parameters
    ----------
    layers : iterable of (key, str, str)
        Key, class name and own name of each layer.

    Returns
    -------
    dict of key to str
        The new name of each layer; names that the user chose are unchanged.
    """
    stems: dict[str, list[tuple[int, _Key]]] = {}
    for key, kind, name in layers:
        stem, number = _stem_and_number(kind, name)
        stems.setdefault(stem, []).append((number, key))
    return {
        key: f"{stem}_{rank}" if rank else stem
        for stem, found in stems.items()
        for rank, (_, key) in enumerate(sorted(found, key=lambda pair: pair[0]))
    }


def with_fresh_names(config: Any) -> Any:
    """Return a model's configuration with fresh names in all layers and calls."""
    named = {_identity(kind, name): kind for kind, name in _named(config)}
    return _renamed(config, fresh_names((key, kind, key[1]) for key, kind in named.items()))


def _identity(kind: str, name: str) -> tuple[str, str]:
    """Return the key under which a layer gets its fresh name; its name alone is not unique.

    Layers of several models may share a chosen name, whatever their class. A chosen name may also
    look like Keras' name for another class.
    """
    return _stem_and_number(kind, name)[0], name


def _named(config: Any) -> Iterator[tuple[str, str]]:
    """Yield the classes and names of all layers in a configuration."""
    if isinstance(config, dict):
        for place in _places_of_the_name(config):
            yield config["class_name"], place["name"]
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _named(part)


def _places_of_the_name(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where a layer's description holds its name; other descriptions have no such place."""
    settings = config.get("config")
    if "class_name" not in config or not isinstance(settings, dict):
        return []
    return [place for place in (config, settings) if isinstance(place.get("name"), str)]


def _renamed(config: Any, names: dict[tuple[str, str], str]) -> Any:
    if isinstance(config, (list, tuple)):
        return [_renamed(part, names) for part in config]
    if not isinstance(config, dict):
        return config
    renamed = {key: _renamed(value, names) for key, value in config.items()}
    for place in _places_of_the_name(renamed):
        place["name"] = names[_identity(config["class_name"], place["name"])]
    if {"layers", "input_layers", "output_layers"} <= config.keys():
        pairs = zip(config["layers"], renamed["layers"], strict=True)
        _link(renamed, {before["name"]: after["name"] for before, after in pairs})
    return renamed


def _link(graph: dict[str, Any], names: dict[str, str]) -> None:
    """Update the calls and ends of a functional model to the new layer names."""
    for layer in graph["layers"]:
        layer["inbound_nodes"] = _linked_calls(layer["inbound_nodes"], names)
    for key in ("input_layers", "output_layers"):
        graph[key] = _linked_ends(graph[key], names)


def _linked_calls(call: Any, names: dict[str, str]) -> Any:
    """Return call arguments with new names in the tensors; other strings do not refer to layers."""
    if isinstance(call, list):
        return [_linked_calls(part, names) for part in call]
    if not isinstance(call, dict):
        return call
    linked = {key: _linked_calls(value, names) for key, value in call.items()}
    if call.get("class_name") == "__keras_tensor__":
        linked["config"]["keras_history"] = _linked_ends(call["config"]["keras_history"], names)
    return linked


def _linked_ends(end: Any, names: dict[str, str]) -> Any:
    """Return a structure of tensors with new names; each is [name of the layer, call, output]."""
    if isinstance(end, dict):
        return {key: _linked_ends(value, names) for key, value in end.items()}
    if not isinstance(end, list):
        return end
    if len(end) == 3 and isinstance(end[0], str):
        return [names[end[0]], *end[1:]]
    return [_linked_ends(part, names) for part in end]


def _stem_and_number(kind: str, name: str) -> tuple[str, int]:
    """Split "conv2d_94" of a Conv2D into ("conv2d", 94); a chosen name stays whole."""
    kind = re.sub(r"\W", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)
    kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
    matched = re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", name)
    return (kind, int(matched.group(1) or 0)) if matched else (name, 0)
