"""Exported models beside the estimator: the largest difference, and milliseconds a photograph.

A classifier is trained for one epoch on some of the photographs, and exported to each format. Each
photograph is then an array of its own size; for LiteRT, which needs one, all are resized to 300 x
200 pixels first. One photograph at a time, after three to warm up; OpenVINO computes in float32.

Usage: ``python benchmarks/export.py PHOTOS [--images 200]`` with a folder of class folders.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import skltransfer
from skltransfer.exporting.formats import FORMATS

FIXED = (200, 300)
WARM_UP = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    photos = skltransfer.images_from_folder(options.photos, check=True, shuffle=True)
    classifier = skltransfer.FineTunedClassifier(epochs=1, random_state=0)
    classifier.fit(photos.data[:100], photos.target[:100]).set_params(cache=None)
    mixed = [pixels(path) for path in photos.data[: options.images]]
    fixed = [pixels(path, FIXED) for path in photos.data[: options.images]]
    sizes = {image.shape for image in mixed}
    print(f"{len(mixed)} photographs of {len(sizes)} sizes, {os.cpu_count()} cores")
    for name, chosen in FORMATS.items():
        images, size = (mixed, None) if chosen.any_size else (fixed, FIXED)
        expected, own = timed(lambda image: classifier.predict_proba([image]), images)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{chosen.suffix}"
            skltransfer.export(classifier, path, format=name, image_size=size)
            rows = [np.float32(image)[np.newaxis] for image in images]
            found, theirs = timed(runner(name, path), rows)
        difference = np.abs(found - expected).max()
        speeds = f"{theirs:.1f} ms a photograph, ours {own:.1f} ms"
        print(f"{chosen.title:>10}: differs by {difference:.1e}, {speeds}")


def pixels(path, size=None):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    return np.asarray(image.resize(size[::-1]) if size else image)


def timed(predict, images):
    results = [predict(image) for image in images[:WARM_UP]]
    began = time.perf_counter()
    results = [predict(image) for image in images]
    return np.concatenate(results), 1e3 * (time.perf_counter() - began) / len(images)


def runner(name, path):
    """A function of rows that has opened the file once."""
    if name == "onnx":
        from onnxruntime import InferenceSession

        session = InferenceSession(path)
        return lambda rows: session.run(None, {"pixels": rows})[0]
    if name == "openvino":
        from openvino import Core

        model = Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda rows: model(rows)[0].copy()
    if name == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        interpreter.allocate_tensors()
        (given,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()

        def run(rows):
            interpreter.set_tensor(given["index"], rows)
            interpreter.invoke()
            return interpreter.get_tensor(output["index"])

        return run
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return lambda rows: serve(pixels=tf.constant(rows))["probabilities"].numpy()


if __name__ == "__main__":
    main()
