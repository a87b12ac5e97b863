"""Training settings, whatever the kind of target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """The parameters of an estimator that control training; see `FineTunedClassifier`.

    Attributes
    ----------
    epochs, batch_size, n_iter_no_change : int
        The parameters of the same names.
    learning_rate, layer_decay, weight_decay, head_dropout, validation_fraction : float
        The parameters of the same names, with "auto" resolved.
    head_learning_rate : float or None
        None is `learning_rate`.
    schedule, batch_norm, head_init : str
        The parameters of the same names.
    early_stopping : bool
        The parameter.
    precision : str
        The parameter; used only in messages about overflowing features.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float | None
    layer_decay: float
    weight_decay: float
    schedule: str
    batch_norm: str
    head_dropout: float
    head_init: str
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    precision: str

    @property
    def by_batch(self) -> bool:
        """Whether BatchNorm uses the batch's statistics."""
        return self.batch_norm == "train"

    @property
    def drops(self) -> bool:
        """Whether there is dropout."""
        return self.head_dropout > 0
