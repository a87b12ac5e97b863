"""Kinds of input, and how an X of each kind becomes rows of tensors."""

from skltransfer.inputs.images.kind import ImageInput
from skltransfer.inputs.kinds import register_kind
from skltransfer.inputs.sounds.kind import SoundInput
from skltransfer.inputs.texts.kind import TextInput

register_kind(ImageInput, ImageInput.name)
register_kind(SoundInput, SoundInput.name)
register_kind(TextInput, TextInput.name)
