"""Features of a batch, with keys and errors, for workers of Dask, Ray, Spark and the like."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, check_is_fitted

from skltransfer.estimators.extractor import features_and_errors, numerics_of
from skltransfer.inputs.errors import ReadError

if TYPE_CHECKING:
    from skltransfer._types import Images
    from skltransfer.estimators.extractor import PretrainedFeatureExtractor
    from skltransfer.inputs._input import Source

NO_KEY = b""
"""Key of a row that could not be read at all."""


def extract_batch(extractor: PretrainedFeatureExtractor, X: Images) -> dict[str, Any]:
    """Compute the features of a batch in a worker of Dask, Ray, Spark or another engine.

    It is a pure function: the same row gives the same output in any worker and any batch. If a row
    is invalid or cannot be read, the other rows are still computed. The function then neither
    raises an error nor warns. The error is part of the output, where the driver can count it.

    Parameters
    ----------
    extractor : PretrainedFeatureExtractor
        A fitted extractor. Broadcast it once to every worker. With the bundled network, its pickle
        takes about a kilobyte.
    X : array-like of n_samples rows
        Rows as ``transform`` takes them: paths, encoded bytes, arrays, texts, sounds.

    Returns
    -------
    dict of str to list or ndarray
        Columns of a table. Lists have n_samples items.

        "key" : list of bytes
            A digest (32 bytes) of the content of each row; for a file, of its bytes. The cache
            keeps the features under this key. The key is empty if the row cannot be read at all.
        "features" : ndarray of shape (n_samples, n_features_out), dtype float32
            The result of ``transform``; NaN for rows with an error.
        "error" : list of str or None
            The reason why the row has no features, with its path; None if it has features.
        "recipe" : list of str
            ``extractor.features_digest_``. It is repeated for each row, because engines write only
            columns.
        "numerics" : list of str
            A digest of everything that the last bits of features depend on: engine, versions and
            processor.

    Raises
    ------
    NotFittedError
        If the extractor is not fitted.
    TypeError
        If X is not a sequence of rows.

    See Also
    --------
    content_keys : Returns only the keys.
    import_features : Puts such tables into a cache.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import PretrainedFeatureExtractor, extract_batch
    >>> images = np.zeros((2, 32, 32, 3), np.uint8)
    >>> extractor = PretrainedFeatureExtractor(input_size=(32, 32)).fit(images)
    >>> batch = extract_batch(extractor, images)
    >>> batch["features"].shape, batch["error"]
    ((2, 1280), [None, None])
    """
    check_is_fitted(extractor)
    forgiving = _forgiving(extractor)
    n_rows = _num_samples(X)
    parts = list(_parts(_extracted, forgiving, X)) if n_rows else []
    features = [row for part in parts for row in part.features]
    return {
        "key": [key for part in parts for key in part.keys],
        "features": np.array(features, np.float32).reshape(n_rows, forgiving._n_features_out),
        "error": [error for part in parts for error in part.errors],
        "recipe": [extractor.features_digest_] * n_rows,
        "numerics": [numerics_of(extractor)] * n_rows,
    }


def content_keys(extractor: PretrainedFeatureExtractor, X: Images) -> list[bytes]:
    """Return the keys that `extract_batch` would return, without computing features.

    Files are read but not decoded. Use the keys to find rows that occur twice, and rows for which
    an earlier run has computed the features.

    Parameters
    ----------
    extractor : PretrainedFeatureExtractor
        A fitted extractor.
    X : array-like of n_samples rows
        Rows as ``transform`` takes them.

    Returns
    -------
    list of bytes
        A digest (32 bytes) for each row; it is empty if the row cannot be read at all.

    Raises
    ------
    NotFittedError
        If the extractor is not fitted.
    TypeError
        If X is not a sequence of rows.

    See Also
    --------
    extract_batch : Also computes the features.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import PretrainedFeatureExtractor, content_keys
    >>> images = np.zeros((2, 32, 32, 3), np.uint8)
    >>> extractor = PretrainedFeatureExtractor(input_size=(32, 32)).fit(images)
    >>> first, second = content_keys(extractor, images)
    >>> len(first), first == second
    (32, True)
    """
    check_is_fitted(extractor)
    forgiving = _forgiving(extractor)
    parts = _parts(_identified, forgiving, X) if _num_samples(X) else []
    return [key for part in parts for key in part.keys]


class _Part(NamedTuple):
    """The results for consecutive rows."""

    keys: list[bytes]
    features: np.ndarray
    errors: list[str | None]


_Compute: TypeAlias = Callable[["PretrainedFeatureExtractor", Any], _Part]


def _forgiving(extractor: PretrainedFeatureExtractor) -> PretrainedFeatureExtractor:
    """Return a copy that continues after an unreadable row, and prints nothing."""
    forgiving = copy.copy(extractor)
    forgiving.on_error, forgiving.verbose = "nan", 0
    return forgiving


def _parts(compute: _Compute, extractor: PretrainedFeatureExtractor, X: Any) -> Iterator[_Part]:
    """Compute all rows together; if that fails, halve them until each invalid row is alone."""
    try:
        yield compute(extractor, X)
        return
    except (TypeError, ValueError) as error:
        n_rows = _num_samples(X)
        if n_rows == 1:
            missing = np.full((1, extractor._n_features_out), np.nan, np.float32)
            yield _Part([NO_KEY], missing, [str(error)])
            return
    for half in (slice(None, n_rows // 2), slice(n_rows // 2, None)):
        yield from _parts(compute, extractor, _safe_indexing(X, half))


def _extracted(extractor: PretrainedFeatureExtractor, X: Any) -> _Part:
    source = extractor._encoding.source(extractor, X)
    features, failures = features_and_errors(extractor, source)
    errors = [_reason(failures[row]) if row in failures else None for row in range(len(source))]
    return _Part(_keys(source), features, errors)


def _identified(extractor: PretrainedFeatureExtractor, X: Any) -> _Part:
    keys = _keys(extractor._encoding.source(extractor, X))
    return _Part(keys, np.empty((len(keys), 0), np.float32), [None] * len(keys))


def _keys(source: Source) -> list[bytes]:
    return [_key(source, row) for row in range(len(source))]


def _key(source: Source, row: int) -> bytes:
    try:
        return source.digest(row)
    except ReadError:
        return NO_KEY


def _reason(error: ReadError) -> str:
    """Return the message without the row's number, which has no meaning outside the batch."""
    described, verb, rest = str(error).partition(") cannot be read")
    return described.removeprefix(f"row {error.row} (") + verb.removeprefix(")") + rest
