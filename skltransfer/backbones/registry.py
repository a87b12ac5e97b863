"""From the user's `backbone` and `weights` to a `BackboneSpec`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skltransfer._similar import did_you_mean
from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones import user_models
from skltransfer.backbones.hugging_face import FILES, folder_spec, is_folder
from skltransfer.backbones.images import application_spec, bundled_input, image_network
from skltransfer.backbones.shipped import SHIPPED, shipped_spec
from skltransfer.backbones.sounds import bundled_sound_input, sound_network
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.backbones.texts import text_network, unread_input
from skltransfer.inputs.file_identity import FileDigests, identity_of
from skltransfer.inputs.sounds.kind import SoundInput

if TYPE_CHECKING:
    from skltransfer.backbones.types import ModelOrBuilder, Preprocessing
    from skltransfer.inputs._input import InputKind

_registered: dict[str, BackboneSpec] = {}
_digests = FileDigests()
_adopted: set[str] = set()
"""Names that came with pickled estimators and were not given to `register_backbone`."""


def register_backbone(
    name: str,
    model_or_builder: ModelOrBuilder,
    *,
    preprocessing: Preprocessing = "auto",
    tokenizer: str | os.PathLike[str] | None = None,
    max_tokens: int = 256,
    input: SoundInput | None = None,
) -> BackboneSpec:
    """Register your own Keras model under a name, for ``backbone=``.

    The content of the model is copied, so later changes to the model have no effect. The returned
    handle is immutable, and its pickles hold no Keras objects, so worker processes can receive it.
    In this process, you can pass `name` instead of the handle. When an estimator that uses the name
    is pickled, the pickle contains the handle.

    Parameters
    ----------
    name : str
        A name that no bundled or Keras network has. If the name is registered already, the new
        network replaces the old one.
    model_or_builder : keras.Model, callable, str or Path
        A functional or sequential model with one output; a function without arguments that returns
        such a model; or the path of a folder with the files of a text network from Hugging Face
        (``config.json``, ``model.safetensors``, ``tokenizer.json``). A model takes images (h, w, 3)
        or (h, w, 1), channels last. With `tokenizer`, it takes token ids (length,) of an integer
        dtype, and each text runs through it alone, without padding. A classification top may stay
        on the model, because features end at the last feature map.
    preprocessing : {"auto", "tf", "torch", "caffe"}, (scale, offset) or None, default="auto"
        How pixels from 0 to 255 become the model's input. None leaves them unchanged, for a model
        that does its own preprocessing. "auto" usually does the same as None. But if the model
        begins with the layers of a network of ``keras.applications`` and does not rescale its
        input, "auto" preprocesses pixels as in the training of that network. The other names are
        modes of ``keras.applications.imagenet_utils.preprocess_input`` ("tf": -1 to 1; "torch": 0
        to 1, then standardised; "caffe": BGR, mean subtracted). A tuple means
        ``pixel * scale + offset``.
    tokenizer : str, Path or None, default=None
        The path of a ``tokenizer.json``, for a model that reads texts.
    max_tokens : int, default=256
        Maximum number of tokens that a model for texts reads of each text, special tokens included.
    input : SoundInput or None, default=None
        The front end that computes log-mel maps, for a model that reads sounds. The model takes
        maps (frames, n_mels) or (frames, n_mels, 1) with any number of frames.

    Returns
    -------
    BackboneSpec
        The handle: pass it, or `name`, as ``backbone=``.

    Raises
    ------
    ValueError
        If the name is taken, if the model has several inputs or outputs, or if its configuration
        does not load in Keras' safe mode (because of a Lambda layer or an unregistered custom
        layer).
    TypeError
        If `name`, `model_or_builder` or `input` is of another type.

    See Also
    --------
    list_backbones : Lists the networks that have a name.
    freeze_points : Lists the stages of a network.

    Examples
    --------
    >>> import keras
    >>> from skltransfer import PretrainedFeatureExtractor, register_backbone
    >>> model = keras.Sequential(
    ...     [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, strides=2, activation="relu")]
    ... )
    >>> handle = register_backbone("mine", model, preprocessing="tf")
    >>> handle.input_size
    (16, 16)
    >>> PretrainedFeatureExtractor(handle).set_params(pooling="max").pooling
    'max'
    """
    _check_free(name)
    if is_folder(model_or_builder):
        spec = replace(resolve(model_or_builder), name=name)
    else:
        model = user_models.model_of(name, model_or_builder)
        is_new = model is not model_or_builder  # its layers have other numbers in every process
        if input is not None:
            others = None if preprocessing == "auto" else preprocessing, tokenizer
            spec = _sound_network(model, name, input, *others, renumber=is_new)
        elif tokenizer is None:
            spec = image_network(model, name, preprocessing, renumber=is_new)
        else:
            spec = text_network(model, name, tokenizer, max_tokens, renumber=is_new)
    _adopted.discard(name)
    _registered[name] = spec
    return spec


def _sound_network(
    model: Any, name: str, input: SoundInput, *others: object, renumber: bool
) -> BackboneSpec:
    """Describe a model that reads sounds; refuse `others`, which are for images and texts."""
    if not isinstance(input, SoundInput):
        raise TypeError(f"input={input!r} must be a SoundInput, or None for images and texts.")
    if any(other is not None for other in others):
        raise ValueError(
            "preprocessing is for images and tokenizer for texts, but input=SoundInput(...) says "
            "that the model reads sounds. Leave both out."
        )
    return sound_network(model, name, input, renumber=renumber)


def _check_free(name: Any) -> None:
    """Refuse names that `resolve` would interpret as something else."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"name={name!r} must be a non-empty str.")
    if _is_file_name(name):
        raise ValueError(
            f"name={name!r} looks like the path of a file; choose a name without this suffix."
        )
    taken = {_folded(known): known for known in _names()}
    if _folded(name) in taken:
        raise ValueError(
            f"name={name!r} already means the network {taken[_folded(name)]!r}; choose another."
        )


def registered(name: Any) -> BackboneSpec | None:
    """Return the handle registered under `name` in this process, if any."""
    return _registered.get(name) if isinstance(name, str) else None


def adopt(spec: BackboneSpec) -> str | BackboneSpec:
    """Register a handle that came with a pickled estimator.

    Returns
    -------
    str or BackboneSpec
        The name of the handle. If another network has already come with this name, as in a worker
        that serves several searches, the handle itself.

    Raises
    ------
    ValueError
        If another network was registered under the same name in this process, or if the name means
        a bundled or a Keras network.
    """
    _check_free(spec.name)
    if spec.name not in _registered:
        _registered[spec.name] = spec
        _adopted.add(spec.name)
    if _registered[spec.name] != spec:
        if spec.name in _adopted:
            return spec
        raise ValueError(
            f"The estimator uses a backbone registered as {spec.name!r}, but in this process that "
            "name belongs to a network with different content. Register one of them under another "
            "name."
        )
    return spec.name


def registered_specs() -> tuple[BackboneSpec, ...]:
    """Return all handles registered in this process."""
    return tuple(_registered.values())


def resolve(backbone: Any, weights: Any = "imagenet", seed: int = 0) -> BackboneSpec:
    """Find the network that `backbone` and `weights` specify.

    Parameters
    ----------
    backbone : str, Path, BackboneSpec or keras.Model
        A name, the path of a ``.keras`` file or of a folder, a handle, or a model.
    weights : "imagenet", None, str or Path
        Pretrained weights, random weights (None), or a file that contains only weights. A model, a
        file or a handle has its own weights, which "imagenet" keeps.
    seed : int, default=0
        Seed of random weights.
    """
    if is_keras_model(backbone):
        return _with_weights(image_network(backbone, backbone.name), weights, seed)
    if isinstance(backbone, BackboneSpec):
        return _with_weights(backbone, weights, seed)
    if registered(backbone) is not None:
        return _with_weights(_registered[backbone], weights, seed)
    if isinstance(backbone, str) and _folded(backbone) in map(_folded, _names()):
        return _named(_canonical_name(backbone), _file_identity(weights), seed)
    if is_folder(backbone):
        return _with_weights(_from_folder(_folder_identity(backbone)), weights, seed)
    if isinstance(backbone, os.PathLike) or _is_file_name(str(backbone)):
        return _with_weights(_from_file(_file_identity(backbone)), weights, seed)
    return _named(_canonical_name(backbone), _file_identity(weights), seed)


def input_of(backbone: Any) -> InputKind:
    """Return a backbone's kind of input without loading it; if unknown, the default backbone's."""
    if isinstance(backbone, BackboneSpec):
        return backbone.input
    handle = registered(backbone)
    if handle is not None:
        return handle.input
    return unread_input(backbone) or bundled_sound_input(backbone) or bundled_input()


def _is_file_name(name: str) -> bool:
    return name.lower().endswith((".keras", ".h5", ".hdf5"))


def is_keras_model(backbone: object) -> bool:
    """Return whether `backbone` is a live Keras model, without importing Keras."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(backbone, keras.Model)


def preprocessing_told(backbone: Any, spec: BackboneSpec) -> str | None:
    """Return a message if preprocessing follows from a model's layers; otherwise None."""
    is_named = isinstance(backbone, BackboneSpec) or registered(backbone) is not None
    mode = spec.preprocessing.get("mode")
    if is_named or mode is None:
        return None
    return (
        f"{spec.name}: its first layers are those of a network of keras.applications, so pixels "
        f"are preprocessed as in the training of that network (preprocessing={mode!r}). If this "
        "one was trained otherwise, say how: register_backbone(name, model, preprocessing=...)."
    )


def is_downloaded(backbone: object) -> bool:
    """Return whether `backbone` names a network whose pretrained weights Keras downloads."""
    if not isinstance(backbone, str) or backbone in _registered:
        return False
    return _folded(backbone) in map(_folded, applications.names())


@lru_cache(maxsize=4)  # the specs that a search uses again for every candidate and fold
def _from_file(identity: tuple[Any, ...]) -> BackboneSpec:
    return image_network(*user_models.model_from_file(identity[0]))


@lru_cache(maxsize=4)
def _from_folder(identity: tuple[Any, ...]) -> BackboneSpec:
    return folder_spec(identity[0])


@lru_cache(maxsize=4)
def _named(name: str, weights: Any, seed: int) -> BackboneSpec:
    weights = weights[0] if isinstance(weights, tuple) else weights
    if name not in SHIPPED:
        return application_spec(name, weights, seed)
    return _with_weights(shipped_spec(name), weights, seed)


def _names() -> tuple[str, ...]:
    """Return the names of all networks of the package, of companions and of Keras."""
    return (*SHIPPED, *applications.names())


def _with_weights(spec: BackboneSpec, weights: Any, seed: int) -> BackboneSpec:
    """Return `spec` with its own, random or loaded weights."""
    from skltransfer.backbones.building import build_model, random_arrays
    from skltransfer.backbones.weights_files import read_weights_file

    if isinstance(weights, str) and weights == "imagenet":
        return spec
    if weights is None:
        arrays = random_arrays(spec, seed)
    else:
        arrays = read_weights_file(
            weights, lambda: build_model(spec, spec.input.size), name=spec.name
        )
    return replace(spec, weights=read_only(arrays), bundled=False, fingerprint="")


def _file_identity(file: Any) -> Any:
    """Return a cache key of a file, which changes when its content does."""
    if file is None or file == "imagenet":
        return file
    path = Path(os.path.expanduser(file))
    if not path.is_file():
        return (str(path), None)
    identity = identity_of(path, path.stat())
    return (str(path), _digests.digest(path, lambda: path.open("rb"), identity))


def _folder_identity(folder: Any) -> tuple[Any, ...]:
    """Return a cache key of a folder, which changes when one of its files changes."""
    path = os.path.abspath(os.path.expanduser(folder))
    return (path, *(_file_identity(os.path.join(path, name)) for name in FILES))


def _canonical_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(
            f"backbone={name!r} is a {type(name).__name__}. Pass a name from list_backbones(), the "
            "path of a .keras file or of a folder, a keras.Model, or what register_backbone "
            "returned."
        )
    known = {_folded(known): known for known in _names()}
    if _folded(name) in known:
        return known[_folded(name)]
    folded = {**known, **{_folded(own): own for own in _registered}}
    hint = did_you_mean(_folded(name), folded, cutoff=0.5)
    raise ValueError(
        f"backbone={name!r} is not known.{hint} list_backbones() shows the names. To use a model "
        "of your own, pass a keras.Model, the path of a .keras file, or what register_backbone() "
        "returns."
    )


def _folded(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
