"""Continuing from an earlier fit: what must not change, and what is carried over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.training.state import TrainingState
from skltransfer.training.train_step import TrainStep, join

if TYPE_CHECKING:
    from skltransfer.training.head import Head

_ORIGIN = (
    *("image_shape", "pixel_range", "input_size", "resize", "layer", "pooling", "max_tokens"),
    *("sample_rate", "max_seconds"),
)


def origin_of(estimator: Any, spec: BackboneSpec) -> dict[str, Any]:
    """Return the settings that a later fit cannot change, without Keras objects."""
    origin = {name: as_plain(getattr(estimator, name, None)) for name in _ORIGIN}
    network = spec.name if estimator.weights is None else spec.fingerprint
    return {"backbone": network, **origin}


def check_same_origin(before: Mapping[str, Any], now: Mapping[str, Any], keeper: str) -> None:
    """Refuse to continue with another network, or with another way to read X."""
    changed = [name for name, value in before.items() if now[name] != value]
    if changed:
        name = "backbone or weights" if changed[0] == "backbone" else changed[0]
        raise ValueError(
            f"{keeper} continues with the network and the preprocessing of the first fit, but "
            f"{name} has changed since. Set it back, or set warm_start=False and call fit to "
            "start again."
        )


def check_same_head(head: Head, units: tuple[int, ...], activation: str, keeper: str) -> None:
    """Refuse to continue with a head of another shape."""
    if (units, activation) != (head.units, head.activation):
        raise ValueError(
            f"{keeper} keeps the head, which has head_units={head.units} and "
            f"head_activation={head.activation!r}; they cannot become {units} and "
            f"{activation!r}. Set warm_start=False and call fit to start again."
        )


def backbone_below(
    spec: BackboneSpec, before: TrainStep, state: TrainingState, freeze_point: int | None
) -> BackboneSpec:
    """Return the backbone with which training continues at another freeze point.

    The trained weights of newly frozen layers become part of the backbone. If no layer is newly
    frozen, the backbone stays the same, and activations that are already cached can be used again.
    """
    if freeze_point is None or freeze_point <= _as_position(before.freeze_point):
        return spec
    tuned = before.tuned(spec.weights, state.params, state.fixed)
    return replace(spec, weights=read_only(tuned), bundled=False, fingerprint="")


def carried_over(
    spec: BackboneSpec, before: TrainStep, state: TrainingState, after: TrainStep
) -> TrainingState:
    """Return the learned state for another freeze point, without the optimiser's moments."""
    tuned = before.tuned(spec.weights, state.params, state.fixed)
    values = dict(zip(map(id, after.network.variables), tuned, strict=True))
    suffix = [values[id(variable)] for variable in after.trained]
    return TrainingState(
        params=join([*suffix, *before.of_head(state.params)]),
        fixed=join(values[id(variable)] for variable in after.fixed),
        standardizer=state.standardizer,
    )


def as_plain(value: Any) -> Any:
    """Convert NumPy's ints and floats to Python's, and lists to tuples."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(as_plain(item) for item in value)
    if not isinstance(value, Real) or isinstance(value, bool):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _as_position(freeze_point: int | None) -> int:
    return -1 if freeze_point is None else freeze_point
