"""Features in shards: one Parquet file for each group of rows, which is complete if it exists."""

import hashlib
import os
from pathlib import Path

import pyarrow
from pyarrow import parquet

from skltransfer import extract_batch


def shards(paths, folder, rows_per_shard=10_000):
    """Return the shards that do not exist yet, as pairs of a file and the paths of its images."""
    found = []
    for start in range(0, len(paths), rows_per_shard):
        part = [os.fspath(path) for path in paths[start : start + rows_per_shard]]
        name = hashlib.sha256("\0".join(part).encode()).hexdigest()[:16]
        found.append((Path(folder) / f"{name}.parquet", part))
    return [(file, part) for file, part in found if not file.exists()]


def write_shard(extractor, file, paths):
    """Compute and write a shard; return the number of its rows and of its errors."""
    batch = extract_batch(extractor, paths)
    columns = {**batch, "features": list(batch["features"]), "path": paths}
    # Without errors, the column would have no type, and shards would not fit together.
    columns["error"] = pyarrow.array(batch["error"], "string")
    unfinished = file.with_name(f"_{os.getpid()}-{file.name}")  # import_features skips such names
    parquet.write_table(pyarrow.table(columns), unfinished)
    unfinished.replace(file)
    return len(paths), sum(error is not None for error in batch["error"])
