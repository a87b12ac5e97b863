"""How X becomes log-mel maps, as decided in fit."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names

from skltransfer._warnings import warn_user
from skltransfer.inputs._input import RowSpec, Size, TensorSpec
from skltransfer.inputs.sounds.front_end import LogMel
from skltransfer.inputs.sounds.sources import Item, SoundSource
from skltransfer.inputs.sounds.taking import sounds_of

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs.exported_input import ExportedInput

READING_VERSION: int = 1
"""Part of every cache key. Increase it whenever the same sound would give another map."""


@dataclass(frozen=True)
class SoundEncoding:
    """Sounds as log-mel maps, each as long as its sound.

    Attributes
    ----------
    front_end : LogMel
        Computes a map from samples.
    min_samples : int
        Minimum length in samples; shorter sounds are padded with silence.
    max_seconds : float
        Number of seconds of a sound that are read.
    sample_rate : int or None
        Rate of arrays that come without one, in Hz.
    """

    front_end: LogMel
    min_samples: int
    max_seconds: float
    sample_rate: int | None

    is_learned: ClassVar[bool] = False
    refuses_views: ClassVar[str | None] = None
    size: ClassVar[Size] = ()

    @property
    def row_spec(self) -> RowSpec:
        """Tensors of a row: one log-mel map."""
        shortest = self.front_end.n_frames(self.min_samples)
        return (TensorSpec((None, self.front_end.n_mels), shortest=shortest),)

    def recipe(self) -> list[object]:
        """Return everything that a map depends on besides the stored sound, in JSON types."""
        rule = [*astuple(self.front_end), self.min_samples, self.max_seconds]
        return ["sound", READING_VERSION, *rule]

    def cache_key_fields(self) -> list[object]:
        """Return the recipe, and the libraries that determine the bits of a map."""
        return [*self.recipe(), *map(_version, ("soundfile", "numpy", "scipy"))]

    def source(
        self, estimator: Any, X: object, chosen: NDArray[np.intp] | None = None
    ) -> SoundSource:
        """Return the source of X, or of its `chosen` rows."""
        source = self._source_of(sounds_of(X, self.sample_rate, is_fitted=True), estimator, chosen)
        _check_feature_names(estimator, X, reset=False)
        return source

    def source_of(self, estimator: Any, X: object, chosen: NDArray[np.intp] | None) -> SoundSource:
        """Return the source for `fit`, without checking the names of the columns."""
        return self._source_of(sounds_of(X, self.sample_rate), estimator, chosen)

    def _source_of(
        self, sounds: list[Item], estimator: Any, chosen: NDArray[np.intp] | None
    ) -> SoundSource:
        rows = np.arange(len(sounds)) if chosen is None else chosen
        source = SoundSource(sounds, self.front_end, self.min_samples, self.max_seconds, rows)
        if estimator.on_error == "raise":
            source.check_paths()
        self._warn_of_cut_sounds(source)
        return source

    def keras_input(self) -> tuple[KerasTensor, KerasTensor]:
        """Return an input for log-mel maps; all maps of a batch must have equally many frames."""
        import keras

        source = keras.Input((None, self.front_end.n_mels), dtype="float32", name="log_mel")
        return source, source

    def exported_input(self, estimator: Any, image_size: tuple[int, int] | None) -> ExportedInput:
        """Refuse: the export formats cannot compute log-mel maps of sounds."""
        raise ValueError(
            "Estimators of sounds cannot be exported: the formats cannot compute spectrograms of "
            "sounds. to_keras() gives a model that takes spectrograms; or predict with the "
            "estimator itself."
        )

    def _warn_of_cut_sounds(self, source: SoundSource) -> None:
        n_cut = source.n_cut()
        if n_cut:
            warn_user(
                f"{n_cut} of {len(source)} sounds are longer than max_seconds="
                f"{self.max_seconds:g}, and only their beginning is read. Cut long sounds into "
                "parts, or raise max_seconds; warnings.filterwarnings('ignore', "
                "message='.*max_seconds') silences this."
            )


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
