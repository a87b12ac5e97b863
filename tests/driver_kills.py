"""Kill the driver of an extraction on Dask at random moments, resume it, and look at what is left.

Called as a script: ``python tests/driver_kills.py FOLDER [--kills 50] [--shards 200]``. The network
is a tiny one. Each time the driver is killed somewhere between its start and its end, and a second
one resumes. Drivers and workers are forks of one process that has imported everything, so that
starting them takes little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

N_WORKERS, ROWS_PER_SHARD = 2, 2
PATIENCE = 5.0
"""Seconds that workers without a driver have to end by themselves."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prepare", action="store_true", help="only write the files")
    options = parser.parse_args()
    if options.prepare:  # in a process of its own, as forks fail once the network has run
        prepare(options.folder, options.shards)
        return
    subprocess.run([sys.executable, *sys.argv, "--prepare"], check=True)
    import_all()
    undisturbed = options.folder / "undisturbed"
    seconds = run(undisturbed, None)
    random.seed(options.seed)
    trials = []
    for _ in range(options.kills):
        out, moment = options.folder / "out", random.uniform(0, seconds)
        run(out, moment)
        n_done = len(done(out))
        run(out, None)
        trial = {
            "moment": round(moment, 2),
            "done": n_done,
            "again": len(begun(out)) - options.shards,
            "same": digests(out) == digests(undisturbed),
        }
        print(trial, flush=True)
        trials.append(trial)
        shutil.rmtree(out)
    again = sorted(trial["again"] for trial in trials)
    print(f"undisturbed {seconds:.1f} s; shards computed again {again}")
    print("TOLD", json.dumps(trials))


def prepare(folder, n_shards):
    """Write images and a fitted extractor."""
    import numpy as np
    from PIL import Image

    from conftest import make_tiny_model
    from skltransfer import PretrainedFeatureExtractor

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_shards * ROWS_PER_SHARD, 16, 16, 3), dtype=np.uint8)
    files = folder / "files"
    files.mkdir()
    for row, image in enumerate(images):
        Image.fromarray(image).save(files / f"{row:04}.png")
    extractor = PretrainedFeatureExtractor(make_tiny_model(), cache=None, engine="tensorflow")
    (folder / "extractor").write_bytes(pickle.dumps(extractor.fit(images)))


def import_all():
    """Import what drivers and workers need, without running anything."""
    import dask
    import keras  # noqa: F401
    import on_dask  # noqa: F401
    import tensorflow  # noqa: F401

    from skltransfer import extract_batch  # noqa: F401

    dask.config.set({"distributed.worker.multiprocessing-method": "fork"})


def run(out, moment):
    """Extract in a process of its own, killed at a moment; return the seconds it took."""
    out.mkdir(exist_ok=True)
    start = time.monotonic()
    driver = os.fork()
    if driver == 0:
        drive(out)
    if moment is not None:
        time.sleep(moment)
        os.kill(driver, signal.SIGKILL)
    _, status = os.waitpid(driver, 0)
    assert moment is not None or status == 0, f"the driver ended with {status}"
    wait_for_workers(out)
    return time.monotonic() - start


def drive(out):
    """Extract on Dask and end this process."""
    import on_dask
    from distributed import Client, LocalCluster

    on_dask.write_shard = write_and_log
    status = 1
    try:
        with (
            LocalCluster(
                n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            extractor = pickle.loads((out.parent / "extractor").read_bytes())
            paths = sorted(map(str, (out.parent / "files").iterdir()))
            on_dask.extract(client, extractor, paths, out, ROWS_PER_SHARD)
        status = 0
    finally:
        os._exit(status)


def write_and_log(extractor, file, paths):
    """Write a shard; the log has a line for each that is begun, by whom."""
    from shards import write_shard

    log = os.open(file.parent / "begun.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, f"{os.getpid()} {file.name}\n".encode())
    os.close(log)
    return write_shard(extractor, file, paths)


def wait_for_workers(out):
    """Wait until no worker is left that could write.

    Dask's workers end when their driver does, but forked ones can miss that, because each inherits
    the pipe by which the other would notice. After a while they are killed, as batch systems do.
    """
    workers = {int(line.split()[0]) for line in begun(out)}
    deadline = time.monotonic() + PATIENCE
    while left := list(filter(is_running, workers)):
        if time.monotonic() > deadline:
            for worker in left:
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.01)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def begun(out):
    log = out / "begun.log"
    return log.read_text().splitlines() if log.exists() else []


def done(out):
    return [file for file in out.glob("*.parquet") if file.name[0] != "_"]


def digests(out):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in done(out)}


if __name__ == "__main__":
    main()
