"""How a training goes, whatever is learned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """The parameters of an estimator that decide a training; see `FineTunedClassifier`.

    Attributes
    ----------
    epochs, batch_size, n_iter_no_change : int
        As the parameters of these names.
    learning_rate, layer_decay, weight_decay, head_dropout, validation_fraction : float
        As the parameters of these names.
    head_learning_rate : float or None
        None is `learning_rate`.
    schedule, batch_norm, head_init : str
        As the parameters of these names.
    early_stopping : bool
        As the parameter.
    precision : str
        As the parameter, which decides nothing here but is told where features overflow.
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
        """Whether BatchNorm goes by the batch."""
        return self.batch_norm == "train"

    @property
    def drops(self) -> bool:
        """Whether there is dropout."""
        return self.head_dropout > 0
