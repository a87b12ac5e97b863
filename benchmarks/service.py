"""The service of the documentation under load, beside plain FastAPI with Keras' `predict`.

Both serve the same network with uvicorn, each in a process of its own, one after the other. As many
clients as stated ask at once, each for its next answer when it has the last one. The plain service
resizes with Pillow and calls `predict`, as recipes do (benchmarks/service_plain.py).

Then the service answers many requests about small images with a small network: every answer must be
that of `predict_proba`, and the memory of the process must stay the same. Linux only, for that.

Needs ``pip install fastapi uvicorn``. Usage: ``python benchmarks/service.py PHOTOS [--seconds 20]
[--requests 10000]`` with a folder of class folders.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import skltransfer

ROOT = Path(__file__).parents[1]
SERVICES = {"ours": ROOT / "docs" / "examples", "plain": ROOT / "benchmarks"}
AT_ONCE = (1, 8, 50)
SMALL = (64, 64)
TO_START = 300  # seconds
WARM_UP = 1_000  # requests, before memory is looked at first
ROUNDING = 1e-6


class Answer(NamedTuple):
    """When a request began and ended, and whether its answer was that of the classifier."""

    began: float
    ended: float
    right: bool


class Server(NamedTuple):
    """A service in a process of its own."""

    port: int
    process: subprocess.Popen

    def answers(self, files, clients, *, expected=None, requests=None, seconds=None):
        """Ask about the files in turn until there were `requests`, or `seconds` are over."""
        rows = (row % len(files) for row in (itertools.count() if seconds else range(requests)))
        end = time.perf_counter() + (seconds or float("inf"))
        lock, found = threading.Lock(), []

        def client():
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            while time.perf_counter() < end:
                with lock:
                    row = next(rows, None)
                if row is None:
                    return
                began = time.perf_counter()
                connection.request("POST", "/predict", files[row])
                response = connection.getresponse()
                content = json.loads(response.read())
                ended = time.perf_counter()
                right = response.status == 200 and (
                    expected is None or as_expected(content, expected[row])
                )
                found.append(Answer(began, ended, right))

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def megabytes(self):
        """Resident memory of the process."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", told)[1]) / 1000


def as_expected(content, probabilities):
    found = np.array(list(content["probabilities"].values()))
    return bool(np.abs(found - probabilities).max() <= ROUNDING)


@contextlib.contextmanager
def running(name, model):
    """Start a service, wait until it answers, and end it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = "service" if name == "ours" else "service_plain"
    command = [sys.executable, "-m", "uvicorn", f"{module}:create_app", "--factory"]
    process = subprocess.Popen(
        [*command, "--app-dir", SERVICES[name], "--port", str(port), "--log-level", "warning"],
        env={**os.environ, "MODEL": str(model), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    try:
        wait_for(port, process)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait()


def wait_for(port, process):
    """Wait until the port is open, which it is when the service is warm."""
    end = time.monotonic() + TO_START
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.2)
    sys.exit(f"The service did not start in {TO_START} s.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--requests", type=int, default=10_000, help="about small images")
    options = parser.parse_args()
    photos = skltransfer.images_from_folder(
        options.photos, check=True, shuffle=True, labels="names"
    )
    files = [Path(path).read_bytes() for path in photos.data[:100]]
    labels = photos.target[:100]
    print(f"{len(files)} photographs, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        compare(files, labels, options.seconds, Path(folder))
        endure(files, labels, options.requests, Path(folder) / "small.skltransfer")


def compare(files, labels, seconds, folder):
    """Print how both services bear each load."""
    classifier = skltransfer.FineTunedClassifier(freeze_depth=-1, epochs=1, random_state=0)
    classifier.fit(files, labels).set_params(cache=None)
    models = {"ours": folder / "model.skltransfer", "plain": folder / "model.keras"}
    classifier.save(models["ours"])
    classifier.to_keras().save(models["plain"])
    expected = {"ours": classifier.predict_proba(files), "plain": None}
    for name, model in models.items():
        with running(name, model) as server:
            for clients in AT_ONCE:
                answers = server.answers(files, clients, expected=expected[name], seconds=seconds)
                print_load(name, clients, answers)


def print_load(name, clients, answers):
    milliseconds = [1e3 * (answer.ended - answer.began) for answer in answers]
    p50, p99 = np.percentile(milliseconds, [50, 99])
    span = max(answer.ended for answer in answers) - min(answer.began for answer in answers)
    print(
        f"{name:>5}, {clients:2} at once: {len(answers) / span:5.1f} answers a second, p50 "
        f"{p50:5.0f} ms, p99 {p99:5.0f} ms, {wrong(answers)} of {len(answers)} wrong",
        flush=True,
    )


def endure(files, labels, requests, model):
    """Print how many of many answers were wrong, and what became of memory."""
    small = [shrunken(content) for content in files]
    classifier = skltransfer.FineTunedClassifier(
        freeze_depth="all", epochs=0, input_size=SMALL, random_state=0
    )
    classifier.fit(small, labels).set_params(cache=None).save(model)
    expected = classifier.predict_proba(small)
    with running("ours", model) as server:
        server.answers(small, 8, requests=WARM_UP)
        before = server.megabytes()
        answers = server.answers(small, 8, expected=expected, requests=requests)
        after = server.megabytes()
    print(
        f"{len(answers)} requests about small images: {wrong(answers)} wrong; memory {before:.0f} "
        f"MB before them, after {WARM_UP} others, and {after:.0f} MB after them"
    )


def shrunken(content):
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").resize(SMALL).save(file, "PNG")
    return file.getvalue()


def wrong(answers):
    return sum(not answer.right for answer in answers)


if __name__ == "__main__":
    main()
