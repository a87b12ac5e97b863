"""Networks whose weights come with the package or with a companion of it, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skltransfer.backbones.spec import BackboneSpec

_HOMES = {"efficientnet_lite0": "images.bundled_spec", "minilm_l6": "texts.companion_spec"}
"""The functions that give them, which are imported when one is asked for."""

SHIPPED = tuple(_HOMES)
"""Their names, the default first."""


def shipped_spec(name: str = SHIPPED[0]) -> BackboneSpec:
    """A network by its name.

    Raises
    ------
    ImportError
        When its companion is not installed.
    KeyError
        When there is no such network.
    """
    home, function = _HOMES[name].split(".")
    found: BackboneSpec = getattr(
        importlib.import_module(f"skltransfer.backbones.{home}"), function
    )()
    return found
