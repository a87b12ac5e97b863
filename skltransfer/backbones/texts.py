"""Text networks: that of the companion distribution, and those in folders."""

from __future__ import annotations

import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skltransfer.backbones.companions import MINILM
from skltransfer.backbones.functional_models import check_one_input_and_output
from skltransfer.backbones.hugging_face import CONFIG, FAMILIES, TOKENIZER, is_folder, text_spec
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.backbones.transformer import TransformerConfig
from skltransfer.backbones.user_models import spec_of_model
from skltransfer.inputs.texts.kind import TextInput, read_input

COMPANION_CONFIG = TransformerConfig(
    n_words=30522,
    n_positions=512,
    width=384,
    n_blocks=6,
    n_heads=12,
    inner_width=1536,
    activation="gelu",
    epsilon=1e-12,
    causal=False,
    padding=-1,
)

_WEIGHTS = "minilm_l6.npz"
_UNREAD = TextInput("", n_positions=512)


def unread_input(backbone: object) -> TextInput | None:
    """Return a text backbone's input without reading the backbone; None for other backbones."""
    if backbone == MINILM.backbone:
        return _UNREAD
    if is_folder(backbone) and _model_type(Path(os.path.expanduser(str(backbone)))) in FAMILIES:
        return _UNREAD
    return None


def _model_type(folder: Path) -> Any:
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return content.get("model_type") if isinstance(content, dict) else None
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1)
def companion_spec() -> BackboneSpec:
    """Return All-MiniLM-L6-v2, from the companion distribution.

    Raises
    ------
    ImportError
        If the companion is not installed.
    """
    folder = MINILM.path()
    tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
    arrays = read_only(_companion_weights(folder / _WEIGHTS))
    return text_spec(MINILM.backbone, COMPANION_CONFIG, arrays, tokenizer, bundled=True)


def text_network(
    model: Any,
    name: str,
    tokenizer: str | os.PathLike[str],
    max_tokens: int,
    *,
    renumber: bool = False,
) -> BackboneSpec:
    """Describe a user's model as a network that reads texts.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential, from token ids (length,).
    name : str
        Its name.
    tokenizer : str or Path
        A ``tokenizer.json``.
    max_tokens : int
        Maximum number of tokens of a text.
    renumber : bool, default=False
        See `spec_of_model`.

    Raises
    ------
    ValueError
        If the model does not take token ids, or if the file does not hold a tokenizer.
    """
    check_one_input_and_output(model)
    given = model.inputs[0]
    if len(given.shape) != 2 or "int" not in given.dtype or given.shape[1] is not None:
        raise ValueError(
            f"Backbone {name!r} takes rows of shape {tuple(given.shape[1:])} of {given.dtype}; "
            "with a tokenizer, it must take token ids of any length: "
            "keras.Input((None,), dtype='int32')."
        )
    return spec_of_model(model, name, read_input(tokenizer, max_tokens), renumber=renumber)


def _companion_weights(path: Path) -> list[np.ndarray]:
    """Return the weights in the order of ``keras.Model.weights``.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            shapes = COMPANION_CONFIG.shapes()
            return [joined(file[name], shape) for name, shape in shapes.items()]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise MINILM.damaged(error) from error


def planes(array: np.ndarray) -> np.ndarray:
    """Return the bytes of float32 numbers, grouped by their place, so that they compress well.

    Only 14 of the 23 mantissa bits are kept, so the lowest byte of each number is 0. It is left
    out.
    """
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).ravel().astype(np.uint64)
    rounded = ((bits + 0xFF + ((bits >> 9) & 1)) & ~np.uint64(0x1FF)).astype("<u4")
    return rounded.view(np.uint8).reshape(-1, 4).T[1:].copy()


def joined(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the numbers of `planes`, in their shape."""
    four = np.zeros((found.shape[1], 4), np.uint8)
    four[:, 1:] = found.T
    return four.view("<f4").reshape(shape)
