"""The first features of a fresh process, beyond the imports of TensorFlow and scikit-learn.

Usage: ``python benchmarks/first_call.py [--repeats 5] [--engines tensorflow openvino]``. Each time
is that of importing skltransfer, fitting the bundled network's extractor on one image of 224
pixels and transforming it, in a process of its own; engines take turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--engines", nargs="+", default=["tensorflow", "openvino"])
    parser.add_argument("--time", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        print(first_call(options.time))
        return
    seconds = {engine: [] for engine in options.engines}
    for _ in range(options.repeats):
        for engine, found in seconds.items():
            command = [sys.executable, __file__, "--time", engine]
            finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found.append(float(finished.stdout.splitlines()[-1]))
    for engine, found in seconds.items():
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"{engine}: {middle:.1f} s ({low:.1f} to {high:.1f})")


def first_call(engine):
    import keras  # noqa: F401  TensorFlow comes with it
    import numpy as np
    import sklearn.base  # noqa: F401

    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    start = time.perf_counter()
    from skltransfer import PretrainedFeatureExtractor

    PretrainedFeatureExtractor(engine=engine, cache=None).fit(image).transform(image)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
