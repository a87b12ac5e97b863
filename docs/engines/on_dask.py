"""Dask: a search, an extraction and a table of features, given its `distributed.Client`."""

from copy import copy

import joblib
from distributed import as_completed
from shards import shards, write_shard
from tables import with_features


def search(client, grid, X, y):
    """Fit a GridSearchCV on the cluster's workers."""
    # X and y are sent to every worker, so that they are not lost if one dies.
    with joblib.parallel_backend("dask", client=client, scatter=[X, y]):
        return grid.fit(X, y)


def extract(client, extractor, paths, folder, rows_per_shard=10_000):
    """Write the shards that are missing; return the numbers of their rows and errors."""
    # As the result of a task, the extractor is sent to each worker once, and is not lost with one.
    everywhere = client.submit(copy, extractor, pure=False)
    tasks = [
        client.submit(write_shard, everywhere, file, part, pure=False)
        for file, part in shards(paths, folder, rows_per_shard)
    ]
    counts = [task.result() for task in as_completed(tasks)]
    return sum(rows for rows, _ in counts), sum(errors for _, errors in counts)


def table(frame, extractor, folder):
    """Write a Dask frame with a column "path" and its features as Parquet files."""
    kinds = {"key": object, "features": object, "error": "string", "recipe": str, "numerics": str}
    added = frame.map_partitions(with_features, extractor, meta={**frame.dtypes, **kinds})
    added.to_parquet(folder, schema=None)  # which is that of the rows
