"""Names of layers without the numbers that Keras draws through the whole process."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


def fresh_names(layers: Iterable[tuple[_Key, str, str]]) -> dict[_Key, str]:
    """Names as a fresh process would give them, numbered in the order of making.

    Keras numbers unnamed layers through the whole process ("conv2d_94").

    Parameters
    ----------
    layers : iterable of (key, str, str)
        What each is known by, the name of its class, and its own.

    Returns
    -------
    dict of key to str
        The names that somebody chose are as they were.
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
    """A model's configuration in which all layers have fresh names, also where one is called."""
    named = {_identity(kind, name): kind for kind, name in _named(config)}
    return _renamed(config, fresh_names((key, kind, key[1]) for key, kind in named.items()))


def _identity(kind: str, name: str) -> tuple[str, str]:
    """What has one fresh name: a name alone is not enough.

    Layers of several models may share a chosen name, whatever they are. One may also be called as
    Keras calls those of another class.
    """
    return _stem_and_number(kind, name)[0], name


def _named(config: Any) -> Iterator[tuple[str, str]]:
    """Classes and names of all layers in a configuration."""
    if isinstance(config, dict):
        for place in _places_of_the_name(config):
            yield config["class_name"], place["name"]
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _named(part)


def _places_of_the_name(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Where the description of a layer holds its name; nowhere in other parts."""
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
    """Let the calls and the ends of a functional model refer to its layers by their new names."""
    for layer in graph["layers"]:
        layer["inbound_nodes"] = _linked_calls(layer["inbound_nodes"], names)
    for key in ("input_layers", "output_layers"):
        graph[key] = _linked_ends(graph[key], names)


def _linked_calls(call: Any, names: dict[str, str]) -> Any:
    """Arguments of calls; their tensors say who made them, and other strings are no names."""
    if isinstance(call, list):
        return [_linked_calls(part, names) for part in call]
    if not isinstance(call, dict):
        return call
    linked = {key: _linked_calls(value, names) for key, value in call.items()}
    if call.get("class_name") == "__keras_tensor__":
        linked["config"]["keras_history"] = _linked_ends(call["config"]["keras_history"], names)
    return linked


def _linked_ends(end: Any, names: dict[str, str]) -> Any:
    """A structure of tensors, each of which is [name of the layer, call, output]."""
    if isinstance(end, dict):
        return {key: _linked_ends(value, names) for key, value in end.items()}
    if not isinstance(end, list):
        return end
    if len(end) == 3 and isinstance(end[0], str):
        return [names[end[0]], *end[1:]]
    return [_linked_ends(part, names) for part in end]


def _stem_and_number(kind: str, name: str) -> tuple[str, int]:
    """Split "conv2d_94" of a Conv2D into ("conv2d", 94); a name somebody chose stays whole."""
    kind = re.sub(r"\W", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)
    kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
    matched = re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", name)
    return (kind, int(matched.group(1) or 0)) if matched else (name, 0)
