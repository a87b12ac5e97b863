"""Types of `backbone`, `augment` and the arguments of `register_backbone`, for type checkers.

Keras is not imported for them at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Literal, TypeAlias

    import keras

    from skltransfer.backbones.spec import BackboneSpec

    KerasModel: TypeAlias = keras.Model
    Backbone: TypeAlias = str | os.PathLike[str] | BackboneSpec | KerasModel
    ModelOrBuilder: TypeAlias = KerasModel | Callable[[], KerasModel]
    Preprocessing: TypeAlias = Literal["auto", "tf", "torch", "caffe"] | tuple[float, float] | None
    Augment: TypeAlias = (
        Literal["flip", "dihedral", "standard", "shift", "gain", "masks"] | keras.layers.Layer
    )
