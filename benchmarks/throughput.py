"""Images a second through a frozen network: skltransfer beside its peers, as Markdown.

Usage: ``python benchmarks/throughput.py [--backbone ResNet50]``. Peers that are not installed are
left out (openvino; onnxruntime with tf2onnx; torch with timm). All ways take turns, so that a
machine that slows down slows all of them; ratios are taken within one turn. Pixels are those of
scikit-learn's two photographs; networks of Keras get random weights, which cost the same time.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import peers
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_sample_images

from skltransfer import PretrainedFeatureExtractor
from skltransfer.backbones.architectures import preprocessing_of
from skltransfer.backbones.building import build_model
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.taking import read_images

SIZE = (224, 224)
FILE_SIZES = ((240, 320), (3000, 4000))
MATRIX = 2048
OURS, PLAIN = "skltransfer", "skltransfer with TensorFlow alone"
PREDICT = "keras.Model.predict, batch 32"
LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "openvino", "onnxruntime", "torch", "timm")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--images", type=int, default=256, help="a multiple of 32")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    print_machine(options)
    images = patches(options.images, SIZE)
    extractor = make_extractor(options.backbone).fit(images)
    model, preprocess = keras_model(extractor.backbone_)
    report_memory(options, extractor, images, model, preprocess)
    for size in FILE_SIZES:
        report_files(options, extractor, model, preprocess, size)
    report_one_image(extractor, images)


def report_memory(options, extractor, images, model, preprocess):
    """Images in memory, and the limit that arithmetic sets."""
    ways, missing = memory_ways(options.backbone, extractor, images, model, preprocess)
    differences = {name: difference(ways[OURS](), run()) for name, run in ways.items()}
    seconds = in_turns(ways, options.repeats)
    # By itself: its threads wait busily for a while, which would slow down whoever comes next.
    product = in_turns({"matrix product": matrix_product()}, options.repeats)["matrix product"]
    gflops = 2 * MATRIX**3 / 1e9 / statistics.median(product)
    work = gflop_per_image(model)
    print(f"\n### {options.backbone} from memory, {options.images} images of 224 x 224\n")
    print(f"The engine of {OURS} is {extractor.engine_}.\n")
    print_table(seconds, options.images, differences)
    limit = gflops / work
    rate = options.images / statistics.median(seconds[OURS])
    print(
        f"\nA float32 matrix product of {MATRIX} x {MATRIX} ran at {gflops:.0f} GFLOP/s. At "
        f"{work:.2f} GFLOP an image that would be {limit:.0f} images/s; {OURS} reaches "
        f"{rate / limit:.0%} of it."
    )
    if PLAIN in seconds:
        ratios = [k / p for k, p in zip(seconds[PREDICT], seconds[PLAIN], strict=True)]
        print(f"{PLAIN} is faster than {PREDICT}, by {spread(ratios)}.")
    if missing:
        print(f"Not installed: {', '.join(missing)}.")


def memory_ways(name, extractor, images, model, preprocess):
    """Every way whose library is installed, and the names of the others."""
    pixels = np.concatenate([preprocess(block.astype(np.float32)) for block in images[:, None]])
    makers = {
        PREDICT: lambda: peers.keras_predict(model, pixels),
        "tf.function, batch 8": lambda: peers.tf_function(model, pixels),
        "tf.function with constants, batch 32": lambda: peers.tf_folded(model, pixels),
        "OpenVINO, asynchronous": lambda: peers.openvino(model, pixels),
        "ONNX Runtime, batch 8": lambda: peers.onnx_runtime(model, pixels),
    }
    if name in peers.TIMM_NAMES:
        makers["timm on PyTorch, best batch"] = lambda: peers.timm_pytorch(name, pixels)
    ways, missing = our_ways(extractor, images), []
    for way, make in makers.items():
        try:
            ways[way] = make()
        except ImportError:
            missing.append(way)
    return ways, missing


def our_ways(extractor, images):
    """The engine that "auto" chose, and beside it the one that needs nothing else installed."""
    ways = {OURS: lambda: extractor.transform(images)}
    if extractor.engine_ != "tensorflow":
        plain = clone(extractor).set_params(engine="tensorflow").fit(images)
        ways[PLAIN] = lambda: plain.transform(images)
    return ways


def report_files(options, extractor, model, preprocess, size):
    """JPEG files: beside Keras, and beside decoding alone and computing alone."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_jpegs(Path(folder), options.images, size)
        decoded = decode(paths)
        ways = {
            OURS: lambda: extractor.transform(paths),
            "image_dataset_from_directory and predict": peers.keras_from_folder(
                model, preprocess, folder
            ),
            "decoding and resizing alone": lambda: decode(paths),
            "computing alone": lambda: extractor.transform(decoded),
        }
        seconds = in_turns(ways, options.repeats)
    height, width = size
    print(f"\n### {options.backbone} from {options.images} JPEG files of {height} x {width}\n")
    print_table(seconds, options.images)
    bounds = zip(seconds["decoding and resizing alone"], seconds["computing alone"], strict=True)
    shares = [max(both) / ours for both, ours in zip(bounds, seconds[OURS], strict=True)]
    print(f"\n{OURS} reaches {spread(shares)} of the slower of the two bounds.")


def report_one_image(extractor, images):
    seconds = in_turns({OURS: lambda: extractor.transform(images[:1])}, 50)[OURS]
    print(f"\nOne image, `transform` after warm-up: {statistics.median(seconds) * 1e3:.1f} ms.")


def make_extractor(backbone):
    weights = "imagenet" if backbone == "efficientnet_lite0" else None
    return PretrainedFeatureExtractor(
        backbone, weights=weights, input_size=SIZE, cache=None, random_state=0
    )


def keras_model(spec):
    """The same network with pooling as a plain Keras model, and its preprocessing."""
    import keras

    network = build_model(spec, SIZE)
    pooled = keras.layers.GlobalAveragePooling2D()(network.outputs[0])
    return keras.Model(network.inputs, pooled), preprocessing_of(spec.preprocessing)


def patches(n_images, size):
    """Random patches of two photographs, uint8."""
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    found = np.empty((n_images, *size, 3), np.uint8)
    for row in range(n_images):
        photograph = photographs[row % 2]
        top, left = (rng.integers(0, photograph.shape[i] - size[i] + 1) for i in (0, 1))
        found[row] = photograph[top : top + size[0], left : left + size[1]]
    return found


def write_jpegs(folder, n_images, size):
    """Patches of 240 x 320, enlarged to `size`."""
    paths = [folder / f"{row:05}.jpg" for row in range(n_images)]
    for path, pixels in zip(paths, patches(n_images, FILE_SIZES[0]), strict=True):
        Image.fromarray(pixels).resize(size[::-1]).save(path, quality=90)
    return [str(path) for path in paths]


def decode(paths):
    """Decode and resize in one thread for each core."""
    source, rule = read_images(paths), ImagePreprocessing(SIZE)
    pixels = np.empty((len(paths), *SIZE, 3), np.float32)

    def load(start):
        rows = range(start, min(start + 8, len(paths)))
        source.load_block(rows, rule, pixels[start : start + 8])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(load, range(0, len(paths), 8)))
    return pixels


def matrix_product():
    a, b = np.random.default_rng(0).random((2, MATRIX, MATRIX), np.float32)
    return lambda: a @ b


def gflop_per_image(model):
    """Two for each multiplication with a kernel's entry; the rest is small."""
    kernels = [(layer.kernel, layer.output) for layer in model.layers if hasattr(layer, "kernel")]
    return sum(2 * prod(k.shape) * prod(out.shape[1:-1]) for k, out in kernels) / 1e9


def in_turns(ways, repeats):
    """Seconds of each way in each turn, after one call to warm up."""
    for run in ways.values():
        run()
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def difference(ours, theirs):
    """Largest difference between features, as a share of the largest feature."""
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())


def print_table(seconds, n_images, differences=None):
    """Ways by speed; ratios are medians over the turns, with the lowest and the highest."""
    print("| way | images/s | lowest to highest | skltransfer is faster by |", end="")
    print(" largest difference |" if differences else "")
    print("|---|--:|--:|--:|" + ("--:|" if differences else ""))
    for name, taken in sorted(seconds.items(), key=lambda item: statistics.median(item[1])):
        rates = [n_images / one for one in taken]
        ratios = [theirs / ours for theirs, ours in zip(taken, seconds[OURS], strict=True)]
        cells = [
            name,
            f"{statistics.median(rates):.0f}",
            f"{min(rates):.0f} to {max(rates):.0f}",
            "" if name == OURS else spread(ratios),
        ]
        if differences:
            cells.append(as_difference(name, differences[name]))
        print(f"| {' | '.join(cells)} |")


def as_difference(name, value):
    if name == OURS:
        return ""
    return "other weights" if name.startswith("timm") else f"{value:.0e}"


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def print_machine(options):
    print(
        f"Command: `python benchmarks/throughput.py --backbone {options.backbone} "
        f"--images {options.images} --repeats {options.repeats}`\n"
    )
    print(f"- processor: {processor()}, {os.cpu_count()} cores")
    print(f"- load average of the machine before the run: {os.getloadavg()[0]:.1f}")
    print(f"- Python {platform.python_version()}, {', '.join(installed())}")


def processor():
    """Model name where Linux tells it, with the widest vector instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}
    widest = next((f for f in ("avx512f", "avx2", "avx") if f in facts.get("flags", "")), "")
    return f"{facts.get('model name', platform.machine())} {widest}".strip()


def installed():
    for library in LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            continue


if __name__ == "__main__":
    main()
