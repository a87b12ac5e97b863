"""Ray: a search, an extraction and a table of features, once `ray.init` has connected."""

import joblib
import ray
from ray.util.joblib import register_ray
from shards import shards, write_shard
from tables import with_features

RESTART = {"max_restarts": -1, "max_task_retries": 5}


def search(grid, X, y):
    """Fit a GridSearchCV on the cluster's workers; workers that die are restarted."""
    register_ray()
    with joblib.parallel_backend("ray", ray_remote_args=RESTART):
        return grid.fit(X, y)


def extract(extractor, paths, folder, rows_per_shard=10_000):
    """Write the shards that are missing; return the numbers of their rows and errors."""
    write = ray.remote(num_cpus=1, max_retries=5)(write_shard)
    everywhere = ray.put(extractor)
    tasks = [
        write.remote(everywhere, file, part) for file, part in shards(paths, folder, rows_per_shard)
    ]
    counts = ray.get(tasks)
    return sum(rows for rows, _ in counts), sum(errors for _, errors in counts)


def table(dataset, extractor, folder):
    """Write a dataset of Ray Data with a column "path" and its features as Parquet files."""
    given = {"fn_args": [extractor], "batch_format": "pandas", "batch_size": 1000}
    dataset.map_batches(with_features, **given).write_parquet(folder)
