"""The records of the package: what their fields may hold, and under which names they are kept."""

from __future__ import annotations

import numpy as np

from skltransfer.inputs.images.encoding import ImageEncoding
from skltransfer.inputs.images.kind import ImageInput
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.rows.encoding import TabularEncoding
from skltransfer.inputs.rows.layout import TabularToImage
from skltransfer.persistence.checks import (
    array_of,
    instance_of,
    is_bool,
    is_int,
    is_number,
    is_positive,
    is_range,
    one_of,
    optional,
    sequence_of,
)
from skltransfer.persistence.records import Record, register_record
from skltransfer.tasks.classification import Classification
from skltransfer.tasks.regression import LOSSES, Regression
from skltransfer.training.head import Head
from skltransfer.training.head_parameters import ACTIVATIONS
from skltransfer.training.state import TrainingState


def is_labels(value: object) -> bool:
    """An array of class labels."""
    return any(array_of(kinds, 1)(value) for kinds in ("biufU", "O"))


def _is_moments(value: object) -> bool:
    return array_of("f", 1)(value) and bool(np.isfinite(value).all())  # type: ignore[call-overload]


def _is_size(value: object) -> bool:
    return type(value) is tuple and sequence_of(is_positive, 2)(value)


def _is_class_weight(value: object) -> bool:
    return value is None or type(value) is dict or one_of("balanced")(value)


def _state_fits(state: TrainingState) -> bool:
    moments = [array for array in (state.exp_avg, state.exp_avg_sq) if array is not None]
    return all(array.shape == state.params.shape for array in moments)


def _task_fits(task: Classification) -> bool:
    return task.totals is None or len(task.totals) == len(task.classes)


def _regression_fits(task: Regression) -> bool:
    if task.mean is None or task.scale is None:
        return task.mean is task.scale
    one_a_target = task.mean.shape == task.scale.shape == (task.n_targets,)
    return (
        one_a_target and bool((task.scale > 0).all()) and (task.n_targets == 1 or not task.is_flat)
    )


_weights = array_of("f", 1)

register_record("image_input", Record(ImageInput, {"size": _is_size}, role="input"))
register_record(
    "image_preprocessing",
    Record(
        ImagePreprocessing,
        {
            "size": _is_size,
            "resize": one_of("stretch", "crop", "pad"),
            "pixel_range": optional(is_range),
        },
    ),
)
register_record(
    "image_encoding",
    Record(
        ImageEncoding,
        {
            "preprocessing": instance_of(ImagePreprocessing),
            "image_shape": optional(sequence_of(is_positive, 2, 3)),
        },
        role="encoding",
    ),
)
register_record(
    "tabular_to_image",
    Record(
        TabularToImage,
        {"mean": _is_moments, "scale": _is_moments},
        lambda layout: layout.mean.shape == layout.scale.shape,
    ),
)
register_record(
    "tabular_encoding",
    Record(
        TabularEncoding, {"size": _is_size, "layout": instance_of(TabularToImage)}, role="encoding"
    ),
)
register_record(
    "classification",
    Record(
        Classification,
        {
            "classes": is_labels,
            "class_weight": _is_class_weight,
            "label_smoothing": is_number,
            "totals": optional(array_of("f", 1)),
        },
        _task_fits,
        role="task",
    ),
)
register_record(
    "regression",
    Record(
        Regression,
        {
            "n_targets": is_positive,
            "is_flat": is_bool,
            "loss_name": one_of(*LOSSES),
            "mean": optional(_is_moments),
            "scale": optional(_is_moments),
            "weight_seen": is_number,
        },
        _regression_fits,
        role="task",
    ),
)
register_record(
    "head",
    Record(
        Head,
        {
            "n_features": is_positive,
            "units": sequence_of(is_positive),
            "activation": one_of(*ACTIVATIONS),
            "n_outputs": is_positive,
        },
    ),
)
register_record(
    "training_state",
    Record(
        TrainingState,
        {
            "params": _weights,
            "fixed": _weights,
            "standardizer": array_of("f", 2),
            "exp_avg": optional(_weights),
            "exp_avg_sq": optional(_weights),
            "n_steps": is_int,
        },
        _state_fits,
    ),
)
