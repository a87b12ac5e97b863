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
    """A model's configuration in which all names are fresh, wherever they are mentioned."""
    named = {(kind, name): None for kind, name in _named(config)}
    fresh = fresh_names(((name, kind, name) for kind, name in named))
    return _renamed(config, fresh)


def _named(config: Any) -> Iterator[tuple[str, str]]:
    """Classes and names of all layers in a configuration."""
    if isinstance(config, dict):
        settings = config.get("config")
        if isinstance(settings, dict) and isinstance(settings.get("name"), str):
            yield str(config.get("class_name")), settings["name"]
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _named(part)


def _renamed(config: Any, names: dict[str, str]) -> Any:
    if isinstance(config, dict):
        return {key: _renamed(value, names) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_renamed(value, names) for value in config]
    return names.get(config, config) if isinstance(config, str) else config


def _stem_and_number(kind: str, name: str) -> tuple[str, int]:
    """Split "conv2d_94" of a Conv2D into ("conv2d", 94); a name somebody chose stays whole."""
    kind = re.sub(r"\W", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)
    kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
    matched = re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", name)
    return (kind, int(matched.group(1) or 0)) if matched else (name, 0)
