"""Folders in Hugging Face's format as text backbones: configuration, weights and tokenizer.

Nothing is unpickled and no code is run. Weights are read by name, each with the shape that the
configuration requires.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skltransfer.backbones.safetensors import Damaged, open_tensors
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.backbones.transformer import TransformerConfig, activation_name
from skltransfer.inputs.texts.kind import USUAL_TOKENS, TextInput
from skltransfer.inputs.texts.tokenizing import vocabulary_size

Floats = NDArray[np.float32]
Arrays = Mapping[str, Floats]

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FILES = (CONFIG, WEIGHTS, TOKENIZER)
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_MOST_JSON = 200_000_000


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes
    ----------
    keys : mapping of str to str
        Maps the fields of `TransformerConfig` to their names in the configuration.
    words, positions, types : str
        Names of the embedding tables. `types` is "" if there is no such table; otherwise, only its
        first row is used.
    norm : str
        Name of the normalisation outside the blocks.
    blocks : str
        Prefix of the names of weights in a block; ``{}`` stands for the block's number.
    parts : mapping of str to str
        Maps our names of a block's layers to their names in the file.
    causal : bool, default=False
        Whether the layout is that of GPT-2.
    counts_behind_padding : bool, default=False
        Whether positions are numbered from the padding token's id plus one, instead of from 0.
    """

    keys: Mapping[str, str]
    words: str
    positions: str
    types: str
    norm: str
    blocks: str
    parts: Mapping[str, str]
    causal: bool = False
    counts_behind_padding: bool = False


_BERT_KEYS = {
    "n_words": "vocab_size",
    "n_positions": "max_position_embeddings",
    "width": "hidden_size",
    "n_blocks": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
}
_BERT = Family(
    keys=_BERT_KEYS,
    words="embeddings.word_embeddings",
    positions="embeddings.position_embeddings",
    types="embeddings.token_type_embeddings",
    norm="embeddings.LayerNorm",
    blocks="encoder.layer.{}.",
    parts={
        "_attention/query": "attention.self.query",
        "_attention/key": "attention.self.key",
        "_attention/value": "attention.self.value",
        "_attention/attention_output": "attention.output.dense",
        "_attention_norm": "attention.output.LayerNorm",
        "_inner": "intermediate.dense",
        "_outer": "output.dense",
        "": "output.LayerNorm",
    },
)
FAMILIES = {
    "bert": _BERT,
    "roberta": Family(**{**_BERT.__dict__, "counts_behind_padding": True}),
    "distilbert": Family(
        keys={
            **_BERT_KEYS,
            "width": "dim",
            "n_blocks": "n_layers",
            "n_heads": "n_heads",
            "inner_width": "hidden_dim",
            "activation": "activation",
        },
        words="embeddings.word_embeddings",
        positions="embeddings.position_embeddings",
        types="",
        norm="embeddings.LayerNorm",
        blocks="transformer.layer.{}.",
        parts={
            "_attention/query": "attention.q_lin",
            "_attention/key": "attention.k_lin",
            "_attention/value": "attention.v_lin",
            "_attention/attention_output": "attention.out_lin",
            "_attention_norm": "sa_layer_norm",
            "_inner": "ffn.lin1",
            "_outer": "ffn.lin2",
            "": "output_layer_norm",
        },
    ),
    "gpt2": Family(
        keys={
            "n_words": "vocab_size",
            "n_positions": "n_positions",
            "width": "n_embd",
            "n_blocks": "n_layer",
            "n_heads": "n_head",
            "inner_width": "n_inner",
            "activation": "activation_function",
            "epsilon": "layer_norm_epsilon",
        },
        words="wte",
        positions="wpe",
        types="",
        norm="ln_f",
        blocks="h.{}.",
        parts={
            "_attention_norm": "ln_1",
            "_attention/attention_output": "attn.c_proj",
            "_norm": "ln_2",
            "_inner": "mlp.c_fc",
            "_outer": "mlp.c_proj",
        },
        causal=True,
    ),
}
_DEFAULTS: dict[str, Any] = {
    "activation": "gelu",
    "hidden_act": "gelu",
    "activation_function": "gelu_new",
    "layer_norm_eps": 1e-12,
    "layer_norm_epsilon": 1e-5,
    "pad_token_id": 1,
    "n_inner": None,
}
_ALLOWED_VALUES: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "sinusoidal_pos_embds": (False, True),  # files hold these embeddings as an ordinary table
}
"""The supported values of some settings; the first is the one that a missing setting has."""


class FolderError(ValueError):
    """A folder is not a backbone; the message says why, and what to do."""


def is_folder(backbone: object) -> bool:
    """Return whether a backbone is given as a folder."""
    return isinstance(backbone, (str, os.PathLike)) and os.path.isdir(os.path.expanduser(backbone))


def folder_spec(path: str | os.PathLike[str]) -> BackboneSpec:
    """Read a text backbone from a folder.

    Parameters
    ----------
    path : str or Path
        Contains ``config.json``, ``model.safetensors`` and ``tokenizer.json``.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or if the network is of an unknown family.
    """
    folder = Path(os.path.expanduser(path))
    try:
        family, config = read_config(_json(folder / CONFIG))
        tokenizer = (_existing(folder / TOKENIZER)).read_text(encoding="utf-8")
        _check_vocabulary(tokenizer, config)
        arrays = read_only(_weights(folder, family, config))
    except (FolderError, Damaged, UnicodeDecodeError) as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"backbone={str(path)!r} cannot be read: {reason}.") from error
    return text_spec(folder.resolve().name, config, arrays, tokenizer)


def text_spec(
    name: str,
    config: TransformerConfig,
    arrays: tuple[np.ndarray, ...],
    tokenizer: str,
    bundled: bool = False,
) -> BackboneSpec:
    """Describe an encoder and its tokenizer as a backbone."""
    n_positions = config.n_positions - 1 - config.padding
    return BackboneSpec(
        name=name,
        architecture=config.described(),
        preprocessing={"kind": "none"},
        input=TextInput(tokenizer, min(USUAL_TOKENS, n_positions), n_positions, config.causal),
        weights=arrays,
        bundled=bundled,
    )


def read_config(content: Mapping[str, Any]) -> tuple[Family, TransformerConfig]:
    """Return the family of a configuration, and the description of the network.

    Raises
    ------
    FolderError
        If the network is of an unknown family, or has unknown parts.
    """
    kind = content.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise FolderError(
            f"{CONFIG} says model_type={kind!r}, but only {', '.join(FAMILIES)} are supported"
        )
    for name, allowed in _ALLOWED_VALUES.items():
        if content.get(name, allowed[0]) not in allowed:
            raise FolderError(f"{CONFIG} says {name}={content[name]!r}, which is not supported")
    values = {ours: _setting(content, theirs) for ours, theirs in family.keys.items()}
    values["inner_width"] = values["inner_width"] or 4 * values["width"]
    activation = activation_name(str(values["activation"]))
    if activation is None:
        raise FolderError(
            f"{CONFIG} asks for the activation {values['activation']!r:.40}, which is not supported"
        )
    padding = _setting(content, "pad_token_id") if family.counts_behind_padding else -1
    config = {**values, "activation": activation, "causal": family.causal, "padding": padding}
    config["epsilon"] = float(config["epsilon"])
    try:
        return family, TransformerConfig(**config)
    except ValueError as error:
        raise FolderError(f"{CONFIG}: {error}") from error


def _setting(content: Mapping[str, Any], name: str) -> Any:
    if name not in content and name not in _DEFAULTS:
        raise FolderError(f"{CONFIG} has no {name}")
    found = content.get(name, _DEFAULTS.get(name))
    return _DEFAULTS.get(name) if found is None else found


def _check_vocabulary(tokenizer: str, config: TransformerConfig) -> None:
    n_tokens = vocabulary_size(tokenizer)
    if n_tokens > config.n_words:
        raise FolderError(
            f"{TOKENIZER} has {n_tokens:,} tokens, but the network has embeddings for only "
            f"{config.n_words:,}: they belong to different networks"
        )


# Files -----------------------------------------------------------------------------------------


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    if path.name == WEIGHTS and list(path.parent.glob("pytorch_model*.bin")):
        raise FolderError(
            f"its weights are in a pickle, which can run code. If you trust their source, "
            f"transformers' AutoModel.from_pretrained(folder).save_pretrained(folder) "
            f"writes {WEIGHTS}"
        )
    if path.name == TOKENIZER:
        raise FolderError(
            f"there is no {TOKENIZER}; transformers' AutoTokenizer.from_pretrained(folder)"
            ".save_pretrained(folder) writes one"
        )
    raise FolderError(f"there is no {path.name} in it")


def _json(path: Path) -> dict[str, Any]:
    if _existing(path).stat().st_size > _MOST_JSON:
        raise FolderError(f"{path.name} is too large to hold settings")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise FolderError(f"{path.name} is not JSON") from error
    if not isinstance(content, dict):
        raise FolderError(f"{path.name} is not a JSON object of settings")
    return content


def _tensors(folder: Path) -> Arrays:
    """Return all tensors of a folder by their current names, from one file or several."""
    index = folder / f"{WEIGHTS}.index.json"
    names = [WEIGHTS]
    if index.is_file() and not (folder / WEIGHTS).exists():
        listed = _json(index).get("weight_map")
        if not isinstance(listed, dict) or not all(map(_is_file_name, listed.values())):
            raise FolderError(f"{index.name} has no weight_map to .safetensors files")
        names = sorted(set(listed.values()))
    return _Renamed([_opened(_existing(folder / name)) for name in names])


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[\w.-]+\.safetensors", name) is not None


def _opened(path: Path) -> Arrays:
    try:
        return open_tensors(path)
    except Damaged as error:
        raise FolderError(f"{path.name} is damaged: {error}. Download it again") from error


class _Renamed(Mapping[str, Floats]):
    """Tensors of several files, under their current names."""

    def __init__(self, files: list[Arrays]) -> None:
        self._places = {_name_today(name): (file, name) for file in files for name in file}

    def __getitem__(self, name: str) -> Floats:
        file, own = self._places[name]
        return file[own]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _name_today(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return name


# Weights ---------------------------------------------------------------------------------------


def _weights(folder: Path, family: Family, config: TransformerConfig) -> Iterator[Floats]:
    """Yield the weights in the order and shapes of ``keras.Model.weights``."""
    tensors = _tensors(folder)
    words = f"{family.words}.weight"
    prefix = next((name[: -len(words)] for name in tensors if name.endswith(words)), "")

    def read(name: str) -> Floats:
        if prefix + name not in tensors:
            raise FolderError(f"its weights lack the tensor {prefix + name!r}")
        return tensors[prefix + name]

    yield from converted(read, family, config)


def converted(
    read: Callable[[str], Floats], family: Family, config: TransformerConfig
) -> Iterator[Floats]:
    """Read weights by their names in the file, and yield them in Keras' layout."""
    for name, shape in config.shapes().items():
        layer, _, variable = name.rpartition("/")
        array = np.ascontiguousarray(_found(read, family, config, layer, variable))
        wanted = _without_heads(shape, layer)
        if array.shape != wanted:
            raise FolderError(
                f"its weights for {name!r} have the shape {array.shape}, but {CONFIG} asks for "
                f"{wanted}"
            )
        yield array.reshape(shape)


def _without_heads(shape: tuple[int, ...], layer: str) -> tuple[int, ...]:
    """Return the shape of a weight in files, where heads are merged."""
    if "_attention/" not in layer or len(shape) == 1:
        return shape
    if layer.endswith("attention_output"):
        return (shape[0] * shape[1], shape[2])
    return (*shape[:-2], shape[-2] * shape[-1])


def _found(
    read: Callable[[str], Floats],
    family: Family,
    config: TransformerConfig,
    layer: str,
    variable: str,
) -> Floats:
    kind = "bias" if variable in ("bias", "beta") else "weight"
    if layer == "tokens":
        return read(f"{family.words}.weight")
    if layer == "positions":
        table = read(f"{family.positions}.weight")
        return table + read(f"{family.types}.weight")[0] if family.types else table
    if layer in ("embeddings", "final_norm"):
        return read(f"{family.norm}.{kind}")
    # All other layers are parts of blocks, so the pattern matches.
    number, part = re.fullmatch(r"block(\d+)(.*)", layer).groups()  # type: ignore[union-attr]
    block = family.blocks.format(int(number) - 1)
    if part not in family.parts:
        return _of_one_third(read(f"{block}attn.c_attn.{kind}"), part)
    array = read(f"{block}{family.parts[part]}.{kind}")
    is_turned = variable == "kernel" and not family.causal  # GPT-2 has Keras' layout
    return array.T if is_turned else array


def _of_one_third(joined: Floats, part: str) -> Floats:
    """Return the queries, keys or values of GPT-2; files store the three as one tensor."""
    third = ["query", "key", "value"].index(part.rpartition("/")[2])
    if joined.shape[-1] % 3:
        raise FolderError("its attention weights do not divide into three equal parts")
    return np.split(joined, 3, axis=-1)[third]
