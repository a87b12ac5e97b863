"""Spark: a search, an extraction and a table of features, given its `SparkSession`."""

import joblib
from joblibspark import register_spark
from shards import shards, write_shard
from tables import with_features

COLUMNS = "key binary, features array<float>, error string, recipe string, numerics string"


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


def table(frame, extractor, folder):
    """Write a Spark frame with the one column "path" and its features as Parquet files."""
    everywhere = frame.sparkSession.sparkContext.broadcast(extractor)
    added = frame.mapInPandas(
        lambda frames: (with_features(some, everywhere.value) for some in frames),
        f"path string, {COLUMNS}",
    )
    added.write.parquet(folder)
