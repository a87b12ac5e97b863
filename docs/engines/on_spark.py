"""Spark: a search and an extraction of features on a cluster, given its `SparkSession`."""

import joblib
from joblibspark import register_spark
from shards import shards, write_shard


def search(grid, X, y, n_jobs):
    """Fit a GridSearchCV in `n_jobs` tasks of the cluster."""
    register_spark()
    with joblib.parallel_backend("spark", n_jobs=n_jobs):
        return grid.fit(X, y)


def extract(spark, extractor, paths, folder, rows_per_shard=10_000):
    """Write the shards that are missing; return the numbers of their rows and errors."""
    everywhere = spark.sparkContext.broadcast(extractor)
    todo = shards(paths, folder, rows_per_shard)
    tasks = spark.sparkContext.parallelize(todo, max(1, len(todo)))
    counts = tasks.map(lambda shard: write_shard(everywhere.value, *shard)).collect()
    return sum(rows for rows, _ in counts), sum(errors for _, errors in counts)
