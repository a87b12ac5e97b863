"""Networks whose weights come with the package or with a companion distribution, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skltransfer.backbones.spec import BackboneSpec

_HOMES = {
    "efficientnet_lite0": "images.bundled_spec",
    "efficientnet_lite2": "images.companion_spec",
    "minilm_l6": "texts.companion_spec",
    "speech_embedding": "sounds.bundled_spec",
}
"""For each network the function that returns it, imported on demand."""

SHIPPED = tuple(_HOMES)
"""Names of these networks, the default first."""


def shipped_spec(name: str = SHIPPED[0]) -> BackboneSpec:
    """Return a network by name.

    Raises
    ------
    ImportError
        If its companion is not installed.
    KeyError
        If there is no such network.
    """
    home, function = _HOMES[name].split(".")
    found: BackboneSpec = getattr(
        importlib.import_module(f"skltransfer.backbones.{home}"), function
    )()
    return found
