"""Importing into a cache the features that an engine has written to files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skltransfer._warnings import warn_user
from skltransfer.cache import open_cache
from skltransfer.estimators.extractor import features_namespace_of, numerics_of

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, RecordBatch

    from skltransfer.estimators.extractor import PretrainedFeatureExtractor

INSTALL = "pip install 'skltransfer[arrow]'"

_COLUMNS = ["key", "features", "error", "recipe", "numerics"]
_PARQUET, _ARROW = (".parquet",), (".arrow", ".feather")
_ROWS_TOGETHER = 1024


def import_features(
    cache: str | os.PathLike[str],
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    extractor: PretrainedFeatureExtractor,
) -> Bunch:
    """Import into a cache of this machine the features that an engine has written to files.

    Afterwards, ``transform`` of this extractor looks up the imported rows instead of computing
    them. Classifiers and regressors on the same network with ``freeze_depth="all"`` do the same in
    `fit`.

    Parameters
    ----------
    cache : str or path
        The cache, as in the parameter `cache` of the estimators: "memory", or a directory on a disk
        of this machine.
    paths : str, path or sequence of them
        Parquet files (``.parquet``), Arrow or Feather files (``.arrow``, ``.feather``), or folders
        of such files, with the columns that `extract_batch` returns. Other columns are ignored.
    extractor : PretrainedFeatureExtractor
        A fitted extractor with the same ``features_digest_`` as the one that computed the features.

    Returns
    -------
    Bunch
        Numbers of rows: ``n_imported`` rows were imported, ``n_failed`` rows have an error instead
        of features, and ``n_other_numerics`` rows were computed with another engine, version or
        processor. The latter are not imported: their last bits differ, so the same row could have
        two values. Use pyarrow to read them.

    Raises
    ------
    ValueError
        If a file holds features of another recipe (another network, layer, size, ...), if it lacks
        a column, or if it is damaged. Nothing of this file is imported then.
    FileNotFoundError
        If a path does not exist, or if a folder contains no file with features.
    ImportError
        If pyarrow is not installed.

    Warns
    -----
    UserWarning
        If rows have errors, or if they were computed with another engine, version or processor.

    See Also
    --------
    extract_batch : Computes such features.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import pyarrow
    >>> import pyarrow.parquet
    >>> from skltransfer import PretrainedFeatureExtractor, extract_batch, import_features
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    >>> extractor = PretrainedFeatureExtractor(input_size=(32, 32)).fit(images)
    >>> batch = extract_batch(extractor, images)
    >>> table = pyarrow.table({**batch, "features": list(batch["features"])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pyarrow.parquet.write_table(table, pathlib.Path(folder, "0.parquet"))
    ...     import_features("memory", folder, extractor)["n_imported"]
    3
    """
    check_is_fitted(extractor)
    store = open_cache(cache)
    namespace, numerics = features_namespace_of(extractor), numerics_of(extractor)
    found = Bunch(n_imported=0, n_failed=0, n_other_numerics=0)
    for path in _files(paths):
        with _opened(path) as rows_of:
            _check_recipe(path, rows_of(["recipe"]), extractor.features_digest_)
            for batch in rows_of(_COLUMNS):
                good = np.array([error is None for error in batch["error"].to_pylist()], bool)
                own = np.array([name == numerics for name in batch["numerics"].to_pylist()], bool)
                chosen = np.flatnonzero(good & own)
                rows = _features(batch["features"], path, extractor._n_features_out)[chosen]
                keys = batch["key"].take(chosen).to_pylist()
                store.put(namespace, keys, np.ascontiguousarray(rows))
                found.n_imported += len(chosen)
                found.n_failed += int(np.count_nonzero(~good))
                found.n_other_numerics += int(np.count_nonzero(good & ~own))
    _warn(found)
    return found


def _warn(found: Bunch) -> None:
    if found.n_failed:
        warn_user(
            f"{found.n_failed} rows have an error instead of features, and are not imported. The "
            "column 'error' says why."
        )
    if found.n_other_numerics:
        warn_user(
            f"{found.n_other_numerics} rows were computed with another engine, version or "
            "processor than this machine's, so their last bits differ; they are not imported. Read "
            "them with pyarrow, or use the same engine= and versions on all machines."
        )


def _files(paths: Any) -> Iterator[Path]:
    """Yield the files in order; search folders recursively."""
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    for path in map(Path, given):
        if not path.exists():
            raise FileNotFoundError(f"paths: there is no file or folder {os.fspath(path)!r}.")
        if path.is_file():
            yield path
            continue
        inside = [file for file in sorted(path.rglob("*")) if _is_shard(file)]
        if not inside:
            endings = ", ".join(_PARQUET + _ARROW)
            raise FileNotFoundError(
                f"paths: the folder {os.fspath(path)!r} holds no file that ends in {endings}."
            )
        yield from inside


def _is_shard(file: Path) -> bool:
    """Return whether a file may hold features; hidden files and an engine's status files do not."""
    return file.suffix in _PARQUET + _ARROW and file.name[0] not in "._"


def _check_recipe(path: Path, batches: Iterable[RecordBatch], wanted: str) -> None:
    for batch in batches:
        for recipe in set(batch["recipe"].to_pylist()) - {wanted}:
            raise ValueError(
                f"{os.fspath(path)!r} holds features with the digest {recipe!r}, but the "
                f"extractor's features_digest_ is {wanted!r}. Fit the extractor with the network, "
                "layer, pooling and preprocessing with which these features were computed."
            )


@contextmanager
def _opened(path: Path) -> Iterator[Callable[[list[str]], Iterable[RecordBatch]]]:
    """Open a file; yield a function that returns the given columns of all rows, in batches."""
    try:
        import pyarrow
        from pyarrow import feather, parquet
    except ImportError as error:
        raise ImportError(f"Parquet and Arrow files need pyarrow: {INSTALL}.") from error
    try:
        if path.suffix in _ARROW:
            table = feather.read_table(path)
            _check_columns(path, table.column_names)
            yield lambda columns: table.select(columns).to_batches(_ROWS_TOGETHER)
        else:
            with parquet.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names)
                yield lambda columns: file.iter_batches(_ROWS_TOGETHER, columns=columns)
    except pyarrow.ArrowException as error:
        raise ValueError(
            f"{os.fspath(path)!r} cannot be read ({error}). Compute its rows again."
        ) from error


def _check_columns(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise ValueError(
            f"{os.fspath(path)!r} lacks the columns {', '.join(map(repr, missing))}; write all "
            "columns that extract_batch returns."
        )


def _features(column: ChunkedArray, path: Path, width: int) -> np.ndarray:
    """Return a column of lists, of fixed length or not, as a matrix."""
    storage = getattr(column, "storage", column)  # for the tensor type of Ray
    rows = storage.fill_null([]) if storage.null_count else storage
    values = np.asarray(rows.flatten(), np.float32)
    if len(values) != len(column) * width:
        raise ValueError(
            f"{os.fspath(path)!r} holds features of another width than the extractor's {width}; "
            "write the column 'features' as extract_batch returns it."
        )
    return values.reshape(len(column), width)
