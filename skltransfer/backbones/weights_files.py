"""Weights from a user's file, for a known architecture."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skltransfer._types import Path as PathLike
from skltransfer.backbones.spec import arrays_of
from skltransfer.backend import built

if TYPE_CHECKING:
    import keras


def read_weights_file(
    path: PathLike, *builders: Callable[[], keras.Model], name: str
) -> list[np.ndarray]:
    """Read the arrays of a network from a weights-only file.

    Parameters
    ----------
    path : str or Path
        ``.weights.h5`` as written by ``keras.Model.save_weights``, or the weights-only ``.h5``
        that Keras itself downloads.
    *builders : callable
        Each builds a network whose weights the file may hold. The first network is the requested
        one; the others begin with the same layers.
    name : str
        Name of the backbone, for messages.

    Raises
    ------
    ValueError
        If the file is missing, if it holds a whole model, or if its weights do not fit the network.
    """
    path = Path(os.path.expanduser(path))
    _check_file(path, name)
    wanted = None
    failures: list[Exception] = []
    for build in builders:
        model = built(build)
        wanted = len(model.weights) if wanted is None else wanted
        try:
            _load_weights(model, path)
        except Exception as error:  # Keras raises many types for a file of another layout
            failures.append(error)
            continue
        return arrays_of(model)[:wanted]
    raise ValueError(
        f"weights={str(path)!r} does not fit backbone={name!r}: {_first_line(failures[0])} Pass "
        f"a weights file that was saved from this architecture."
    ) from failures[0]


def _load_weights(model: keras.Model, path: Path) -> None:
    """Load weights, and suppress the warnings that Keras gives, layer by layer, before it fails."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model.load_weights(path)
    for warning in heard:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _check_file(path: Path, name: str) -> None:
    import h5py

    if not path.is_file():
        raise ValueError(
            f"weights={str(path)!r} for backbone={name!r} is not a file. Allowed are 'imagenet', "
            "None (random weights) and the path of a weights-only file (.weights.h5 or .h5)."
        )
    if not h5py.is_hdf5(path):
        raise ValueError(
            f"weights={str(path)!r} is not an HDF5 file. Allowed are .weights.h5 files written by "
            "keras.Model.save_weights and the .h5 files that Keras downloads; a .keras file is a "
            "whole model: pass it as backbone=."
        )
    with h5py.File(path, "r") as file:
        if "model_config" in file.attrs:
            raise ValueError(
                f"weights={str(path)!r} holds a whole model in the .h5 format, which Keras cannot "
                "load safely. Save it as .keras and pass that as backbone=, or save its weights "
                "alone with model.save_weights('name.weights.h5')."
            )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".") + "."
