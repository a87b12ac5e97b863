"""Extraction by two processes of one thread, beside one process of one thread.

Usage: ``python benchmarks/extraction.py [--files 10000] [--workers 2] [--pinned]``. The files are
generated JPEGs of 256 x 256 pixels, no two alike; the bundled network sees them at its own 224 x
224. Shards are written by the recipe of the docs, with the environment variables that it
recommends. Each way runs in a fresh process, timed from its start to its end: one process that does
everything, or one that fits the extractor and hands shards to workers.

A process of one thread computes in one, and reads files in another beside it, so it uses more than
one core if others are idle. With ``--pinned``, each process has a core of its own and no other, as
on a cluster that gives each worker one (Linux only).
"""

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import current_process, get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.append(str(Path(__file__).parents[1] / "docs" / "engines"))

import numpy as np
from PIL import Image

SIDE = 256
LITTLE_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
DONE = []
"""Rows of each shard that this process has written."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shards", type=int, default=50, help="more than two for each worker")
    parser.add_argument("--pinned", action="store_true", help="one core for each process")
    parser.add_argument("--extract", nargs=2, metavar=("FILES", "OUT"), help="one way")
    options = parser.parse_args()
    if options.extract:
        print(json.dumps(extract(options, *map(Path, options.extract))))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "files")
        write_files(files, options.files)
        one, several = (timed(options, files, n) for n in (1, options.workers))
        folders = Path(folder, "1"), Path(folder, str(options.workers))
        names = os.listdir(folders[0])
        same, _, _ = filecmp.cmpfiles(*folders, names, shallow=False)
    print(f"{one[0] / several[0]:.2f} times as fast, {several[1] / one[1]:.2f} times the CPU time")
    print(f"{len(same)} of {len(names)} shards are the same byte for byte")


def write_files(folder, n_files):
    """Patches of two photographs, with the number as a comment."""
    from sklearn.datasets import load_sample_images  # here, because workers import this module

    folder.mkdir()
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    for number in range(n_files):
        photograph = photographs[number % 2]
        top, left = (rng.integers(0, photograph.shape[i] - SIDE + 1) for i in (0, 1))
        image = Image.fromarray(photograph[top : top + SIDE, left : left + SIDE])
        image.save(folder / f"{number:06}.jpg", quality=90, comment=str(number).encode())


def timed(options, files, n_workers):
    """Seconds in all, and CPU seconds a file once a worker is warm; they are printed too."""
    out = files.with_name(str(n_workers))
    out.mkdir()
    given = [f"--workers={n_workers}", f"--shards={options.shards}", "--extract", files, out]
    given += ["--pinned"] if options.pinned else []
    command = [sys.executable, __file__, *map(str, given)]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **LITTLE_MEMORY, "OMP_NUM_THREADS": "1", "SKLTRANSFER_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds = time.perf_counter() - start
    shards = json.loads(done.stdout)
    warm = [shard for shard in shards if not shard["first"]]
    cpu = sum(shard["cpu"] for shard in warm) / sum(shard["rows"] for shard in warm)
    n_rows = sum(shard["rows"] for shard in shards)
    print(
        f"{n_workers} workers, {n_rows:,} files: {seconds:.1f} s, {n_rows / seconds:.0f} a second; "
        f"warm {1000 * cpu:.1f} CPU ms a file; at most "
        f"{max(shard['megabytes'] for shard in shards):.0f} MB a worker",
        flush=True,
    )
    return seconds, cpu


def extract(options, files, out):
    """Write all shards; return what each of them took."""
    paths = sorted(map(str, files.iterdir()))
    if options.workers == 1:
        if options.pinned:
            pin(0)
        return list(map(measured, tasks(options, paths, out)))
    pool = ProcessPoolExecutor(
        options.workers, get_context("spawn"), start_worker, (options.pinned,)
    )
    with pool:
        pool.map(len, [()] * options.workers)  # on a cluster too, workers run before this fits
        return list(pool.map(measured, tasks(options, paths, out)))


def tasks(options, paths, out):
    """Return an extractor, a file and paths for each shard."""
    from shards import shards

    from skltransfer import PretrainedFeatureExtractor

    extractor = PretrainedFeatureExtractor(cache=None).fit(paths[:10])
    return [(extractor, *shard) for shard in shards(paths, out, len(paths) // options.shards)]


def start_worker(pinned):
    """Import what computes, on a core of its own if `pinned`: workers have successive numbers."""
    if pinned:
        pin(current_process()._identity[0])
    import tensorflow  # noqa: F401


def pin(number):
    """Keep this process on one of its cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def measured(task):
    """Write a shard; return its rows, its CPU seconds and the peak memory of the process so far."""
    from shards import write_shard

    cpu = time.process_time()
    n_rows, _ = write_shard(*task)
    DONE.append(n_rows)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "rows": n_rows,
        "first": len(DONE) == 1,
        "cpu": time.process_time() - cpu,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
    }


if __name__ == "__main__":
    main()
