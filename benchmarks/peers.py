"""Other ways to compute the features of the same network, to measure beside skltransfer.

Each function takes a Keras model from preprocessed pixels to features and the preprocessed
images, which is a head start over skltransfer, which begins with uint8. It returns a function
without arguments that computes all features, or raises ImportError when a library is missing.
"""

from __future__ import annotations

import time

import numpy as np

TIMM_NAMES = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "EfficientNetB0": "tf_efficientnet_b0",
    "ResNet50": "resnet50",
    "VGG16": "vgg16",
}


_kept_alive = []
"""Compiled models whose destruction may wait for ever for a thread that wants Python's lock."""


def keras_predict(model, pixels):
    """The way of Keras' documentation."""
    return lambda: model.predict(pixels, batch_size=32, verbose=0)


def tf_function(model, pixels):
    """The model compiled by TensorFlow, called on batches of 8."""
    import tensorflow as tf

    compiled = tf.function(lambda block: model(block, training=False))
    return lambda: in_blocks(lambda block: compiled(block).numpy(), pixels, 8)


def tf_folded(model, pixels):
    """The same with the weights folded into constants, on batches of 32."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    folded = convert_variables_to_constants_v2(concrete(model, 32))
    return lambda: in_blocks(lambda block: folded(tf.constant(block))[0].numpy(), pixels, 32)


def openvino(model, pixels):
    """OpenVINO in float32, asynchronous requests of one image."""
    import openvino

    converted = openvino.convert_model(concrete(model, 1))
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(converted, "CPU", hints)
    _kept_alive.append(compiled)
    features = np.empty((len(pixels), model.output_shape[-1]), np.float32)

    def keep(request, row):
        features[row] = request.get_output_tensor().data[0]

    def run():
        queue = openvino.AsyncInferQueue(compiled)
        queue.set_callback(keep)
        for row in range(len(pixels)):
            queue.start_async({0: pixels[row : row + 1]}, row)
        queue.wait_all()
        return features

    return run


def onnx_runtime(model, pixels):
    """ONNX Runtime on batches of 8."""
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    converted, _ = tf2onnx.convert.from_function(
        tf.function(lambda block: model(block, training=False)),
        input_signature=[tf.TensorSpec((8, *pixels.shape[1:]), tf.float32, name="pixels")],
        opset=17,
    )
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda: in_blocks(lambda block: session.run(None, {name: block})[0], pixels, 8)


def timm_pytorch(name, pixels):
    """PyTorch's network of the same name (with random weights), at its best batch size."""
    import timm
    import torch

    network = timm.create_model(TIMM_NAMES[name], pretrained=False, num_classes=0).eval()
    network = network.to(memory_format=torch.channels_last)
    rows_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def run(rows):
        with torch.inference_mode():
            parts = [network(block).numpy() for block in rows_first.split(rows)]
        return np.concatenate(parts)

    return fastest([lambda rows=rows: run(rows) for rows in (1, 8, 32)])


def keras_from_folder(model, preprocess, folder):
    """A loop over ``image_dataset_from_directory``, which decodes beside ``predict``."""
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        folder, labels=None, shuffle=False, image_size=(224, 224), batch_size=32, verbose=False
    )
    return lambda: model.predict(dataset.map(preprocess).prefetch(4), verbose=0)


def concrete(model, n_rows):
    """Trace the model for blocks of `n_rows`."""
    import tensorflow as tf

    signature = tf.TensorSpec((n_rows, *model.input_shape[1:]), tf.float32)
    return tf.function(lambda block: model(block, training=False)).get_concrete_function(signature)


def in_blocks(compute, pixels, n_rows):
    return np.concatenate([compute(pixels[i : i + n_rows]) for i in range(0, len(pixels), n_rows)])


def fastest(runs):
    """The one that takes the shortest time on its second call."""

    def seconds(run):
        run()
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return min(runs, key=seconds)
