"""Sound networks: the bundled one, and users' own."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from skltransfer.backbones.architectures import (
    Architecture,
    register_architecture,
    register_preprocessing,
)
from skltransfer.backbones.functional_models import check_one_input_and_output
from skltransfer.backbones.spec import BackboneSpec
from skltransfer.backbones.speech_embedding import (
    N_MELS,
    build_speech_embedding,
    bundled_weights,
)
from skltransfer.backbones.user_models import spec_of_model
from skltransfer.inputs.sounds.kind import SoundInput

if TYPE_CHECKING:
    from skltransfer.inputs._input import Size

BUNDLED = "speech_embedding"
_INPUT = SoundInput(
    sample_rate=16_000,
    window=400,
    hop=160,
    n_fft=512,
    n_mels=N_MELS,
    low_hz=60.0,
    high_hz=3800.0,
    min_seconds=1.24,  # six time steps; a single one (0.775 s) gives worse features
)
_STAGES = r"^(block\d+)|^(top)"
_ONE_CHANNEL = {"kind": "one_channel"}


@lru_cache(maxsize=1)
def bundled_spec() -> BackboneSpec:
    """Return Google's speech embedding, which is part of the package."""
    return BackboneSpec(
        name=BUNDLED,
        architecture={"kind": BUNDLED},
        preprocessing=_ONE_CHANNEL,
        input=_INPUT,
        weights=bundled_weights(),
        stage_pattern=_STAGES,
        bundled=True,
    )


def bundled_sound_input(backbone: object) -> SoundInput | None:
    """Return what the bundled network reads, without loading it; None for another backbone."""
    return _INPUT if backbone == BUNDLED else None


def sound_network(
    model: Any, name: str, input: SoundInput, *, renumber: bool = False
) -> BackboneSpec:
    """Describe a user's model as a network that reads sounds.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential, from log-mel maps (frames, n_mels) or (frames, n_mels, 1).
    name : str
        Its name.
    input : SoundInput
        Its front end.
    renumber : bool, default=False
        See `spec_of_model`.

    Raises
    ------
    ValueError
        If the model does not take log-mel maps with any number of frames.
    """
    check_one_input_and_output(model)
    shape = tuple(model.inputs[0].shape[1:])
    if shape not in ((None, input.n_mels), (None, input.n_mels, 1)):
        raise ValueError(
            f"Backbone {name!r} takes rows of shape {shape}, but its front end makes maps of shape "
            f"(frames, {input.n_mels}), where the number of frames depends on the length of the "
            f"sound. Begin the model with keras.Input((None, {input.n_mels})) or "
            f"keras.Input((None, {input.n_mels}, 1))."
        )
    how = _ONE_CHANNEL if len(shape) == 3 else {"kind": "none"}
    return spec_of_model(model, name, input, how, renumber=renumber)


def _build(description: dict[str, Any], size: Size) -> Any:
    return build_speech_embedding()


def _with_one_channel(maps: Any) -> Any:
    import keras

    return keras.ops.expand_dims(maps, -1)


register_architecture(BUNDLED, Architecture(_build, lambda description: _STAGES))
register_preprocessing("one_channel", lambda how: _with_one_channel)
