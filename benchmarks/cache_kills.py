"""Kill a grid search at random moments, over one cache directory, and look at what is left.

After each kill every row that the cache serves is compared with the row computed without a cache;
when all rows are there, it is emptied for the next. The last search is left alone, and its scores
are compared with those of a search without a cache. Nothing is trained but heads, so that most of
the time the network computes and the cache is written.

Usage: ``python benchmarks/cache_kills.py [--kills 50] [--n-jobs 2]``.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.model_selection import GridSearchCV

from skltransfer import FineTunedClassifier
from skltransfer.cache import open_cache

SIZE = (96, 96)
GRID = {"freeze_depth": ["all", -1, -2]}
READY = "ready"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", metavar="CACHE", help="search once, print the scores, end")
    options = parser.parse_args()
    if options.search:
        make_classifier(None).fit(*data(options))  # imports TensorFlow
        print(READY, flush=True)
        print(json.dumps(search(options, options.search)))
        return
    expected = search(options, None)
    truth = {depth: rows_at(options, depth) for depth in GRID["freeze_depth"]}
    with tempfile.TemporaryDirectory() as cache:
        seconds = timed_search(options, tempfile.mkdtemp(dir=cache))[0]
        print(f"A search takes {seconds:.0f} s; it is killed {options.kills} times.", flush=True)
        random.seed(options.seed)
        for kill in range(options.kills):
            moment = killed_search(options, cache, seconds)
            served = [check(cache, *of_cut) for of_cut in truth.values()]
            print(f"{kill + 1}: killed after {moment:.1f} s; right rows served: {served}")
            if min(served) == options.images:
                open_cache(cache).clear()
        seconds, scores = timed_search(options, cache)
        same = np.array_equal(scores, expected)
        print(f"The last search took {seconds:.0f} s; its scores are right: {same}")
    sys.exit(not same)


def search(options, cache):
    """Scores of all candidates and folds."""
    images, labels = data(options)
    classifier = make_classifier(cache)
    found = GridSearchCV(
        classifier, GRID, cv=3, n_jobs=options.n_jobs, scoring="neg_log_loss", refit=False
    ).fit(images, labels)
    return [found.cv_results_[f"split{fold}_test_score"].tolist() for fold in range(3)]


def make_classifier(cache):
    return FineTunedClassifier(input_size=SIZE, cache=cache, epochs=0, random_state=0)


def data(options):
    """Patches of two photographs."""
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    labels = np.arange(options.images) % 2
    corners = rng.integers(0, 300, (options.images, 2))
    return np.stack(
        [photographs[k][y : y + 96, x : x + 96] for k, (y, x) in zip(labels, corners, strict=True)]
    ), labels


def rows_at(options, depth):
    """Name in the cache, keys and rows of all images at a depth."""
    images, labels = data(options)
    classifier = make_classifier(None).set_params(freeze_depth=depth).fit(images, labels)
    source, prefix = classifier._encoding.source(classifier, images), classifier._prefix()
    rows, _ = prefix.activations(source, classifier._freeze_points[-1])
    namespace = prefix.namespace_at(classifier._freeze_points[-1])
    return namespace, [source.digest(row) for row in range(len(source))], rows


def check(folder, namespace, keys, rows):
    """Number of rows that the cache serves, after a check of their bits."""
    served = np.empty_like(rows)
    found = open_cache(folder).gather(namespace, keys, served)
    assert served[found].tobytes() == rows[found].tobytes(), "a wrong row was served"
    return int(found.sum())


def command(options, cache):
    given = [f"--images={options.images}", f"--n-jobs={options.n_jobs}", f"--search={cache}"]
    return [sys.executable, __file__, *given]


def timed_search(options, cache):
    """Seconds that a search took once everything was imported, and its scores."""
    with subprocess.Popen(command(options, cache), stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        start = time.perf_counter()
        scores = json.loads(process.stdout.read())
    return time.perf_counter() - start, scores


def killed_search(options, cache, seconds):
    """Kill a search and its workers at a random moment; return the moment."""
    process = subprocess.Popen(
        command(options, cache),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdout.readline()
    moment = random.uniform(0, seconds)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return moment


if __name__ == "__main__":
    main()
