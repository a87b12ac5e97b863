"""Loading what an estimator's `save` wrote."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from skltransfer.persistence import read_state

if TYPE_CHECKING:
    from skltransfer.estimators.classifier import FineTunedClassifier
    from skltransfer.estimators.extractor import PretrainedFeatureExtractor
    from skltransfer.estimators.regressor import FineTunedRegressor


def load(
    path: str | os.PathLike[str],
) -> PretrainedFeatureExtractor | FineTunedClassifier | FineTunedRegressor:
    """Load an estimator from a file written by its ``save(path)``.

    Loading cannot run code. Before it builds anything, `load` checks three things: the checksum,
    the sizes of the arrays, and that the file asks only for what ``save`` writes. The checksum
    detects damage; it does not prove who wrote the file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    PretrainedFeatureExtractor, FineTunedClassifier or FineTunedRegressor
        An estimator equal to the saved one. With the same versions of TensorFlow and Keras on the
        same processor, its predictions are bit-identical. If `backbone` was a ``keras.Model``, it
        is now a handle with the same content.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is damaged or was changed; if it was written with a newer protocol; if it is a
        file of another kind, such as a pickle; or if it needs a bundled network that this version
        does not contain.

    See Also
    --------
    PretrainedFeatureExtractor.save : Writes the file.
    FineTunedClassifier.save : Writes the file.
    FineTunedRegressor.save : Writes the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skltransfer import PretrainedFeatureExtractor, load
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "extractor.skltransfer"
    ...     PretrainedFeatureExtractor(pooling="max").save(path)
    ...     load(path)
    PretrainedFeatureExtractor(pooling='max')
    """
    try:
        kind, state = read_state(path)
        estimator: Any = object.__new__(kind)
        estimator.__setstate__(state)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} cannot be loaded: {error}") from error
    return cast("PretrainedFeatureExtractor | FineTunedClassifier | FineTunedRegressor", estimator)
