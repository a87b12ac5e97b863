"""Features of a batch, with keys and errors: what an engine calls in its workers."""

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
"""The key of a row that cannot even be identified."""


def extract_batch(extractor: PretrainedFeatureExtractor, X: Images) -> dict[str, Any]:
    """Compute the features of a batch in a worker of Dask, Ray, Spark or another engine.

    It is a pure function: the same rows give the same output in any worker, in any company. A row
    that cannot be read or is invalid does not stop the others, and warns of nothing: its error is
    part of the output, for the driver to count.

    Parameters
    ----------
    extractor : PretrainedFeatureExtractor
        A fitted extractor. Broadcast it once to every worker; its pickle takes about a kilobyte
        with the bundled network.
    X : array-like of n_samples rows
        As for ``transform``: paths, encoded bytes, arrays, texts, sounds.

    Returns
    -------
    dict of str to list or ndarray
        Columns of a table. Lists have n_samples items.

        "key" : list of bytes
            A digest of 32 bytes of what each row holds (of a file, its bytes), under which the
            cache keeps its features; empty where a row cannot be read at all.
        "features" : ndarray of shape (n_samples, n_features_out), dtype float32
            What ``transform`` returns; NaN where there is an error.
        "error" : list of str or None
            Why a row has no features; it names the path.
        "recipe" : list of str
            ``extractor.features_digest_``, once for each row, as engines write columns only.
        "numerics" : list of str
            A digest of what the last bits depend on: engine, versions and processor.

    Raises
    ------
    NotFittedError
        If the extractor is not fitted.
    TypeError
        If X is not a sequence of rows.

    See Also
    --------
    content_keys : The keys alone, without computing.
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
    """Return the keys that `extract_batch` will give, without computing anything.

    Files are read but not decoded. It tells which rows an earlier run has done, or which occur
    twice.

    Parameters
    ----------
    extractor : PretrainedFeatureExtractor
        A fitted extractor.
    X : array-like of n_samples rows
        As for ``transform``.

    Returns
    -------
    list of bytes
        A digest of 32 bytes for each row; empty where a row cannot be read at all.

    Raises
    ------
    NotFittedError
        If the extractor is not fitted.
    TypeError
        If X is not a sequence of rows.

    See Also
    --------
    extract_batch : Computes the features too.

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
    """What was found out about some consecutive rows."""

    keys: list[bytes]
    features: np.ndarray
    errors: list[str | None]


_Compute: TypeAlias = Callable[["PretrainedFeatureExtractor", Any], _Part]


def _forgiving(extractor: PretrainedFeatureExtractor) -> PretrainedFeatureExtractor:
    """Return a copy that goes on after a row that cannot be read, and says nothing."""
    forgiving = copy.copy(extractor)
    forgiving.on_error, forgiving.verbose = "nan", 0
    return forgiving


def _parts(compute: _Compute, extractor: PretrainedFeatureExtractor, X: Any) -> Iterator[_Part]:
    """Compute all rows together, or halves of them until those that are invalid are alone."""
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
    """Return a message without the row's number, which means nothing outside the batch."""
    described, verb, rest = str(error).partition(") cannot be read")
    return described.removeprefix(f"row {error.row} (") + verb.removeprefix(")") + rest
