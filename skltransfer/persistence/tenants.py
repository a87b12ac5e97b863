"""The package's records (dataclasses of the fitted state), and their names in saved files."""

from __future__ import annotations

from typing import Any

import numpy as np

from skltransfer._types import Resize
from skltransfer.inputs.images.encoding import ImageEncoding
from skltransfer.inputs.images.kind import ImageInput
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.rows.encoding import TabularEncoding
from skltransfer.inputs.rows.layout import TabularToImage
from skltransfer.inputs.sounds.encoding import SoundEncoding
from skltransfer.inputs.sounds.front_end import LogMel
from skltransfer.inputs.sounds.kind import SoundInput
from skltransfer.inputs.texts.encoding import TextEncoding
from skltransfer.inputs.texts.kind import TextInput
from skltransfer.persistence.checks import check_of, one_of
from skltransfer.persistence.records import Record, register_record
from skltransfer.tasks.classification import Classification
from skltransfer.tasks.multilabel import DTYPES, MultiLabel
from skltransfer.tasks.regression import LOSSES, Regression
from skltransfer.training.head import Head
from skltransfer.training.head_parameters import ACTIVATIONS
from skltransfer.training.members import Member
from skltransfer.training.state import TrainingState


def _is_names(value: Any) -> bool:
    texts = type(value) is np.ndarray and value.ndim == 1 and value.dtype == object
    return value is None or (texts and all(type(name) is str for name in value))


def _is_depth(value: Any) -> bool:
    return type(value) in (int, float, str)


def _is_label_weights(value: Any) -> bool:
    dicts = type(value) is list and all(type(factors) is dict for factors in value)
    return value is None or value == "balanced" or dicts


def _state_fits(state: TrainingState) -> bool:
    moments = [array for array in (state.exp_avg, state.exp_avg_sq) if array is not None]
    return all(array.shape == state.params.shape for array in moments)


def _task_fits(task: Classification) -> bool:
    return task.totals is None or len(task.totals) == len(task.classes)


def _multilabel_fits(task: MultiLabel) -> bool:
    lengths = [len(each) for each in (task.names, task.totals) if each is not None]
    if task.class_weight is not None and not isinstance(task.class_weight, str):
        lengths.append(len(task.class_weight))
    pairs = task.totals is None or task.totals.shape == (task.n_labels, 2)
    return pairs and all(length == task.n_labels for length in lengths)


def _regression_fits(task: Regression) -> bool:
    if task.mean is None or task.scale is None:
        return task.mean is task.scale
    one_a_target = task.mean.shape == task.scale.shape == (task.n_targets,)
    return (
        one_a_target and bool((task.scale > 0).all()) and (task.n_targets == 1 or not task.is_flat)
    )


def _layout_fits(layout: TabularToImage) -> bool:
    return layout.mean.shape == layout.scale.shape


register_record("image_input", Record(ImageInput, role="input"))
register_record("image_preprocessing", Record(ImagePreprocessing, {"resize": check_of(Resize)}))
register_record("image_encoding", Record(ImageEncoding, role="encoding"))
register_record("tabular_to_image", Record(TabularToImage, fits=_layout_fits))
register_record("tabular_encoding", Record(TabularEncoding, role="encoding"))
register_record("text_input", Record(TextInput, role="input"))
register_record("text_encoding", Record(TextEncoding, role="encoding"))
register_record("sound_input", Record(SoundInput, role="input"))
register_record("log_mel", Record(LogMel))
register_record("sound_encoding", Record(SoundEncoding, role="encoding"))
register_record("classification", Record(Classification, fits=_task_fits, role="task"))
register_record(
    "multilabel",
    Record(
        MultiLabel,
        {
            "names": _is_names,
            "dtype": one_of(*DTYPES),
            "class_weight": _is_label_weights,
        },
        _multilabel_fits,
        role="task",
    ),
)
register_record(
    "regression", Record(Regression, {"loss_name": one_of(*LOSSES)}, _regression_fits, role="task")
)
register_record(
    "head",
    Record(
        Head,
        {"activation": one_of(*ACTIVATIONS)},
        fits=lambda head: head.n_columns < head.n_features,
    ),
)
register_record("member", Record(Member, {"freeze_depth": _is_depth}))
register_record("training_state", Record(TrainingState, fits=_state_fits))
