"""The dataclasses of the fitted state: their names in a file, and what their fields may hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from skltransfer.inputs import PixelRule
from skltransfer.inputs.reading import Reading
from skltransfer.inputs.rows import RowLayout
from skltransfer.persistence.checks import (
    Check,
    array_of,
    instance_of,
    is_int,
    is_positive,
    is_range,
    one_of,
    optional,
    sequence_of,
)
from skltransfer.training.head import Head
from skltransfer.training.head_parameters import ACTIVATIONS
from skltransfer.training.loop import TrainingState

RECORDS: dict[str, type] = {
    kind.__name__: kind for kind in (Head, PixelRule, Reading, RowLayout, TrainingState)
}


def _is_moments(value) -> bool:
    return array_of("f", 1)(value) and bool(np.isfinite(value).all())


_weights = array_of("f", 1)

_FIELDS: dict[str, dict[str, Check]] = {
    "Head": {
        "n_features": is_positive,
        "units": sequence_of(is_positive),
        "activation": one_of(*ACTIVATIONS),
        "n_classes": is_positive,
    },
    "PixelRule": {
        "size": sequence_of(is_positive, 2),
        "resize": one_of("stretch", "crop", "pad"),
        "pixel_range": optional(is_range),
    },
    "Reading": {
        "rule": instance_of(PixelRule),
        "layout": optional(instance_of(RowLayout)),
        "image_shape": optional(sequence_of(is_positive, 2, 3)),
    },
    "RowLayout": {"mean": _is_moments, "scale": _is_moments},
    "TrainingState": {
        "theta": _weights,
        "fixed": _weights,
        "standardizer": array_of("f", 2),
        "first": optional(_weights),
        "second": optional(_weights),
        "n_steps": is_int,
    },
}


def _layout_fits(layout: RowLayout) -> bool:
    return layout.mean.shape == layout.scale.shape


def _state_fits(state: TrainingState) -> bool:
    moments = [array for array in (state.first, state.second) if array is not None]
    return all(array.shape == state.theta.shape for array in moments)


_FITS = {"RowLayout": _layout_fits, "TrainingState": _state_fits}


def checked_record(name: str, values: dict[str, Any]) -> Any:
    """The record of class `name`.

    Raises
    ------
    ValueError
        When it has other fields than the class, or a field holds what it cannot.
    """
    checks = _FIELDS[name]
    if tuple(values) != tuple(checks):
        raise ValueError(f"its {name} does not consist of {', '.join(checks)}.")
    for field, check in checks.items():
        if not check(values[field]):
            raise ValueError(f"its {name} has {field}={values[field]!r:.60}, which cannot be.")
    record = RECORDS[name](**values)
    if name in _FITS and not _FITS[name](record):
        raise ValueError(f"its {name} holds arrays of shapes that do not fit together.")
    return record
