"""Exporting fitted estimators to files that run without this package."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

import skltransfer
from skltransfer.backend import backend_name, backend_title, traced
from skltransfer.estimators.base import encoding_of
from skltransfer.estimators.extractor import PretrainedFeatureExtractor, features_of_rows
from skltransfer.estimators.fine_tuned import FineTunedBase, predictions_of_rows
from skltransfer.exporting.formats import FORMATS, Format, Metadata
from skltransfer.exporting.linear_models import linear_step, scaler_step
from skltransfer.inputs.sizes import as_ints

if TYPE_CHECKING:
    from keras import KerasTensor

    from skltransfer.inputs.exported_input import ExportedInput

_TOLERANCE = 1e-4
_OUTPUTS = {
    "predict_proba": "probabilities",
    "decision_function": "scores",
    "predict": "predictions",
    "transform": "features",
}


@dataclass(frozen=True)
class _Exported:
    """What is exported.

    Attributes
    ----------
    reader : BackboneEstimator
        The estimator that reads X.
    outputs : callable
        Computes the results from the network's rows.
    expected : callable
        Computes the results from X.
    method : str
        Name of the estimator's method that gives these results.
    classes : sequence or None
        The classes, if the columns of the results stand for classes, else None.
    """

    reader: Any
    outputs: Callable[[KerasTensor], KerasTensor]
    expected: Callable[[Any], Any]
    method: str
    classes: Sequence[Any] | None = None


def export(
    estimator: Any,
    path: str | os.PathLike[str],
    format: Literal["onnx", "openvino", "litert", "saved_model"] = "onnx",
    image_size: tuple[int, int] | None = None,
) -> None:
    """Write a fitted estimator to a file that runs without this package.

    The model takes RGB images as one array of float32 (n, h, w, 3) in the value range of fit (0 to
    255 for files), or token ids of texts (n, n_tokens) as int32. Scaling and resizing are part of
    the model. For a classifier, the model returns what ``predict_proba`` returns or, if the
    classifier of a pipeline has no probabilities, what ``decision_function`` returns. For a
    regressor, it returns what ``predict`` returns, and for an extractor, what ``transform``
    returns.

    Before the file appears, `export` runs the model in it on a few rows of noise. The results must
    agree with those of the estimator for the same **arrays** to 1e-4 or, if the largest value is
    above 1, to 1e-4 of this value. Results for paths and bytes may differ more, because the
    estimator decodes a JPEG of at least twice the needed size at a fraction of its size. This
    changes features by a few percent.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator: a ``FineTunedClassifier``, ``FineTunedRegressor`` or
        ``PretrainedFeatureExtractor`` of images or texts; a ``Pipeline`` of an extractor,
        optionally a ``StandardScaler``, and a linear model; or a search whose ``best_estimator_``
        is one of these.
    path : str or Path
        The file to write. Its name must end with ``.onnx``, ``.xml`` (OpenVINO; the weights go to a
        ``.bin`` file beside it) or ``.tflite`` (LiteRT). For "saved_model", it is a folder. An
        existing export is replaced. For texts, the tokenizer is written beside the file, as
        ``<path>.tokenizer.json``.
    format : {"onnx", "openvino", "litert", "saved_model"}, default="onnx"
        Format of the file. All but "saved_model" need an extra of the same name, as in
        ``pip install '.[onnx]'`` in a clone of the repository.
    image_size : tuple of two int, default=None
        Height and width of the images. With None, the model takes images of any size, as long as
        all images of a batch have the same one. LiteRT needs a size.

    Raises
    ------
    ValueError
        If the estimator cannot be exported, or if the results of the file and of the estimator
        differ too much. In both cases, no file is written.
    ImportError
        If a package is missing; the message says how to install it.

    See Also
    --------
    FineTunedClassifier.to_keras : A Keras model, to train on or inspect.
    FineTunedClassifier.save : A file from which this package restores the estimator.

    Notes
    -----
    The file holds metadata in JSON under the key ``skltransfer``: ``classes`` (the names of the
    columns), ``output`` (what the results are), ``input`` (how rows are read) and ``version``. ONNX
    stores them in ``metadata_props``, OpenVINO in ``rt_info``, and a SavedModel in
    ``assets.extra/skltransfer.json``. A LiteRT file is also a zip archive, which holds the metadata
    in a file named ``skltransfer.json``.

    Examples
    --------
    >>> import skltransfer
    >>> skltransfer.export(classifier, "photos.onnx")  # doctest: +SKIP
    """
    chosen = _chosen_format(format)
    size = None if image_size is None else as_ints(image_size)
    exported = _exported(estimator)
    encoding = encoding_of(exported.reader)
    assert encoding is not None
    given = encoding.exported_input(exported.reader, size)
    _check_target(Path(path), chosen, given)
    chosen.check_installed()
    graph = traced(lambda x: exported.outputs(given.rows(x)), [given.shape], [given.dtype])
    names = given.name, _OUTPUTS[exported.method]
    with tempfile.TemporaryDirectory(dir=Path(path).resolve().parent) as folder:
        written = Path(folder) / Path(path).name
        chosen.write(graph, written, names, _metadata(exported, given))
        _check_agreement(exported, given, lambda rows: chosen.run(written, rows), chosen.title)
        for ending, content in given.files.items():
            written.with_name(f"{written.name}.{ending}").write_text(content, encoding="utf-8")
        _move(Path(folder), Path(path).resolve().parent)


def _chosen_format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"format={name!r} is not one of {', '.join(map(repr, FORMATS))}.")
    if backend_name() != "tensorflow":
        raise ValueError(
            f"export starts from TensorFlow's graph, but here Keras runs on {backend_title()}. "
            "Save the estimator; load and export it in a process with KERAS_BACKEND=tensorflow."
        )
    return FORMATS[name]


def _exported(estimator: Any) -> _Exported:
    """Return what to export of an estimator, a pipeline or a search."""
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        return _of_pipeline(estimator)
    if isinstance(estimator, FineTunedBase):
        return _of_fine_tuned(estimator)
    if isinstance(estimator, PretrainedFeatureExtractor):
        outputs = features_of_rows(estimator)
        return _Exported(
            estimator, outputs, lambda X: np.asarray(estimator.transform(X)), "transform"
        )
    raise ValueError(
        f"A {type(estimator).__name__} cannot be exported. Allowed are FineTunedClassifier, "
        "FineTunedRegressor, PretrainedFeatureExtractor, and a Pipeline of a "
        "PretrainedFeatureExtractor, optionally a StandardScaler, and a linear model."
    )


def _of_fine_tuned(estimator: Any) -> _Exported:
    if estimator.tta:
        raise ValueError(
            "An estimator with tta=True cannot be exported: its predictions average several views "
            "of a row, but the model computes one. Use set_params(tta=False)."
        )
    if estimator.tabular_ is not None:
        raise ValueError(
            "An estimator with tabular= cannot be exported: exported models have one input, and "
            "the transformer is not part of the network. to_keras() gives a model of two inputs."
        )
    method = "predict_proba" if is_classifier(estimator) else "predict"
    outputs = predictions_of_rows(estimator)
    classes = estimator.classes_ if is_classifier(estimator) else None
    return _Exported(estimator, outputs, getattr(estimator, method), method, classes)


def _of_pipeline(pipeline: Pipeline) -> _Exported:
    first, *others = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    exported = _exported(first)
    if not others:
        return exported
    if exported.method != "transform":
        raise ValueError(
            f"A Pipeline with steps after a {type(first).__name__} cannot be exported. Export that "
            "step alone."
        )
    *scalers, last = others
    linear, method = linear_step(last)
    steps = [exported.outputs, *map(scaler_step, scalers), linear]

    def outputs(rows: KerasTensor) -> KerasTensor:
        for step in steps:
            rows = step(rows)
        return rows

    classes = last.classes_ if is_classifier(last) else None
    return _Exported(first, outputs, getattr(pipeline, method), method, classes)


def _check_target(path: Path, chosen: Format, given: ExportedInput) -> None:
    """Refuse a path that does not suit the format, or a missing image size that it needs."""
    if chosen.suffix and path.suffix != chosen.suffix:
        raise ValueError(f"path={str(path)!r} must end with {chosen.suffix!r} for {chosen.title}.")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"The folder of path={str(path)!r} does not exist. Create it first.")
    foreign = path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").exists()
    if path.is_dir() and (foreign or chosen.suffix):
        raise ValueError(
            f"path={str(path)!r} is a folder that holds something else. Choose another name."
        )
    if not chosen.any_size and None in given.shape[1:]:
        raise ValueError(
            f"{chosen.title} needs tensors of a fixed size. Pass image_size=(height, width). "
            "Texts differ in length: export them to one of the other formats."
        )


def _metadata(exported: _Exported, given: ExportedInput) -> Metadata:
    classes = None if exported.classes is None else np.asarray(exported.classes).tolist()
    return {
        "version": skltransfer.__version__,
        "input": {"name": given.name, **given.described},
        "output": _OUTPUTS[exported.method],
        "classes": classes,
    }


def _check_agreement(
    exported: _Exported, given: ExportedInput, run: Callable[[Any], Any], title: str
) -> None:
    """Refuse a file whose results on trial rows differ from those of the estimator."""
    for X, rows in given.trials:
        expected = np.asarray(exported.expected(X))
        found = run(rows).reshape(expected.shape)
        difference = float(np.abs(found - expected).max())
        limit = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= limit:  # NaN too
            raise ValueError(
                f"The model in {title} differs from the estimator by {difference:.1e} on trial "
                f"rows, but at most {limit:.1e} is allowed, so no file was written. The model "
                f"computes in float32; the estimator has precision={exported.reader.precision!r} "
                f"and engine_={exported.reader.engine_!r}. Fit it with precision='float32', or try "
                "another format."
            )


def _move(folder: Path, target: Path) -> None:
    """Move all files and folders to another folder, replacing those of the same name."""
    for found in folder.iterdir():
        place = target / found.name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(found, place)
