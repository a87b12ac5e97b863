"""How the time of the extractor grows with the number of images and with their size, as Markdown.

Usage: ``python benchmarks/growth.py [--images 96] [--repeats 5]``. Images are patches of
scikit-learn's photographs; the cache is off. What is compared takes turns; ratios are taken within
one turn. For memory see ``memory.py``, for other ways to do the same ``throughput.py``.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from throughput import in_turns, patches, spread, write_jpegs

from skltransfer import PretrainedFeatureExtractor

INPUT_SIZES = (160, 224, 320)
FILE_SIZES = ((240, 320), (1500, 2000), (3000, 4000))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96, help="a multiple of 4")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    n, repeats = options.images, options.repeats
    extractor = PretrainedFeatureExtractor(cache=None).fit(patches(n, (224, 224)))
    print(f"engine: {extractor.engine_}")
    report("images of 224 pixels in memory", by_number(extractor, n), repeats)
    report("pixels of a side that the network sees", by_input_size(n), repeats)
    with tempfile.TemporaryDirectory() as folder:
        report("JPEG files", by_number_of_files(extractor, n, Path(folder)), repeats)
        report("pixels of a JPEG file", by_file_size(extractor, n, Path(folder)), repeats)


def by_number(extractor, n):
    """Ways by how many images they take."""
    images = patches(n, (224, 224))
    numbers = (n // 4, n // 2, n)
    return {k: (k, lambda k=k: extractor.transform(images[:k])) for k in numbers}


def by_input_size(n):
    """Ways by the side that the network sees; what they take counts in pixels."""
    ways = {}
    for side in INPUT_SIZES:
        images = patches(n, (side, side))
        extractor = PretrainedFeatureExtractor(input_size=(side, side), cache=None).fit(images)
        ways[side] = (side * side, lambda e=extractor, p=images: e.transform(p))
    return ways


def by_number_of_files(extractor, n, folder):
    paths = write_jpegs(made(folder / "some"), n, FILE_SIZES[0])
    return {k: (k, lambda k=k: extractor.transform(paths[:k])) for k in (n // 4, n // 2, n)}


def by_file_size(extractor, n, folder):
    ways = {}
    for size in FILE_SIZES:
        paths = write_jpegs(made(folder / f"{size[0]}"), n, size)
        name = f"{size[0]} x {size[1]}"
        ways[name] = (size[0] * size[1], lambda p=paths: extractor.transform(p))
    return ways


def made(folder):
    folder.mkdir()
    return folder


def report(what, ways, repeats):
    """Seconds of each way, and what each takes beside the first, as a share of the amount."""
    seconds = in_turns({name: run for name, (_, run) in ways.items()}, repeats)
    (first, (base, _)), *_ = ways.items()
    print(f"\n| {what} | amount | seconds | time |\n|---|--:|--:|--:|")
    for name, (amount, _) in ways.items():
        ratios = [one / other for one, other in zip(seconds[name], seconds[first], strict=True)]
        print(f"| {name} | {amount / base:.1f} | {spread(seconds[name])} | {spread(ratios)} |")


if __name__ == "__main__":
    main()
