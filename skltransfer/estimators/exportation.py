"""Fitted estimators as files that run without this package."""

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
        From the network's rows to the results.
    expected : callable
        From X to the results.
    method : str
        The method whose results they are.
    classes : sequence or None
        Names of the columns of the results; None unless they are those of classes.
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

    The model takes RGB images as one array of float32 (n, h, w, 3) in the range of values of fit (0
    to 255 for files), or token ids of texts (n, n_tokens) as int32. Scaling and resizing are
    inside. It gives the results of ``predict_proba``, of ``predict`` for a regressor, of
    ``transform`` for an extractor, and of ``decision_function`` for a pipeline whose classifier has
    no probabilities.

    Before the file appears, it is run on a few rows of noise and compared with the estimator on the
    same **arrays**: they agree to 1e-4 of the largest value. Paths and bytes of JPEGs that are at
    least twice as large as needed are decoded at a fraction of their size by the estimator, which
    changes features by some percent.

    Parameters
    ----------
    estimator : estimator
        A fitted ``FineTunedClassifier``, ``FineTunedRegressor`` or ``PretrainedFeatureExtractor``
        of images or texts; a ``Pipeline`` of an extractor, if you like a ``StandardScaler``, and a
        linear model; or a search with one of these as its ``best_estimator_``.
    path : str or Path
        The file; its name ends with ``.onnx``, ``.xml`` (OpenVINO, whose weights go to a ``.bin``
        beside it) or ``.tflite``. For "saved_model", a folder. An older one is replaced. For texts,
        the tokenizer is written beside it, as ``<path>.tokenizer.json``.
    format : {"onnx", "openvino", "litert", "saved_model"}, default="onnx"
        All but the last need an extra of the same name: ``pip install 'skltransfer[onnx]'``.
    image_size : tuple of two int, default=None
        Height and width of the images. None: any size, each batch its own. LiteRT needs a size.

    Raises
    ------
    ValueError
        If the estimator cannot be exported, with the reason; if the file would give other results
        than the estimator. No file is left then.
    ImportError
        If a package is lacking; with the command to install it.

    See Also
    --------
    FineTunedClassifier.to_keras : A Keras model, to train on or inspect.
    FineTunedClassifier.save : A file from which this package restores the estimator.

    Notes
    -----
    The file holds JSON metadata under the key ``skltransfer``: ``classes`` (the names of the
    columns), ``output``, ``input`` (how rows are read) and ``version``. ONNX has them in
    ``metadata_props``, OpenVINO in ``rt_info``, LiteRT in a file ``skltransfer.json`` of the zip
    archive that the file also is, and a SavedModel in ``assets.extra/skltransfer.json``.

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
            f"export starts from TensorFlow's graph, and here Keras runs on {backend_title()}. "
            "Save the estimator, and export what load() gives in a process with "
            "KERAS_BACKEND=tensorflow."
        )
    return FORMATS[name]


def _exported(estimator: Any) -> _Exported:
    """Return what is exported of an estimator, a pipeline or a search."""
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
        "FineTunedRegressor, PretrainedFeatureExtractor, and a Pipeline of the last, "
        "StandardScaler and a linear model."
    )


def _of_fine_tuned(estimator: Any) -> _Exported:
    if estimator.tta:
        raise ValueError(
            "An estimator with tta=True cannot be exported: its predictions average views of a "
            "row, and the model computes one. Use set_params(tta=False)."
        )
    if estimator.tabular_ is not None:
        raise ValueError(
            "An estimator with tabular= cannot be exported: exported models have one input, and "
            "the transformer of the table is no network. to_keras() gives a model of two inputs."
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
        raise ValueError(f"A Pipeline cannot go on behind a {type(first).__name__}.")
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
    """Refuse a path that does not suit the format, and images of any size where they need one."""
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
            f"{chosen.title} needs tensors of a fixed size. Give image_size=(height, width); "
            "texts, whose lengths differ, can be exported to the other formats."
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
    """Compare the file with the estimator on trial rows."""
    for X, rows in given.trials:
        expected = np.asarray(exported.expected(X))
        found = run(rows).reshape(expected.shape)
        difference = float(np.abs(found - expected).max())
        limit = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= limit:  # NaN too
            raise ValueError(
                f"The model in {title} differs from the estimator by {difference:.1e} on trial "
                f"rows, and at most {limit:.1e} is allowed, so no file was written. The model "
                f"computes in float32; the estimator has precision={exported.reader.precision!r} "
                f"and engine_={exported.reader.engine_!r}."
            )


def _move(folder: Path, target: Path) -> None:
    """Move all files and folders from one folder to another, in place of those of the same name."""
    for found in folder.iterdir():
        place = target / found.name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(found, place)
