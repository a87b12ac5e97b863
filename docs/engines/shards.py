"""An extraction in shards: one Parquet file for each group of rows, written whole or not at all."""

import hashlib
import os
from pathlib import Path

import pyarrow
from pyarrow import parquet

from skltransfer import extract_batch


def shards(paths, folder, rows_per_shard=10_000):
    """List the shards that are not done yet, as pairs of a file and its paths."""
    found = []
    for start in range(0, len(paths), rows_per_shard):
        part = [os.fspath(path) for path in paths[start : start + rows_per_shard]]
        name = hashlib.sha256("\0".join(part).encode()).hexdigest()[:16]
        found.append((Path(folder) / f"{name}.parquet", part))
    return [(file, part) for file, part in found if not file.exists()]


def write_shard(extractor, file, paths):
    """Compute a shard; return how many rows it has, and how many of them have an error."""
    batch = extract_batch(extractor, paths)
    columns = {**batch, "features": list(batch["features"]), "path": paths}
    unfinished = file.with_name(f"_{os.getpid()}-{file.name}")  # importing ignores its name
    parquet.write_table(pyarrow.table(columns), unfinished)
    unfinished.replace(file)
    return len(paths), sum(error is not None for error in batch["error"])
