"""Training above a freeze point beside plain Keras on the same activations, as Markdown.

Usage: ``python benchmarks/suffix_training.py [--depths -1 -2 -3 0] [--repeats 7]``. An epoch of the
bundled network at 224 pixels, 8 batches of 32 patches of scikit-learn's two sample photographs, a
linear head on 10 classes drawn by lot. Keras runs ``fit``, in which BatchNorm goes by the batch,
and a compiled loop of its own with BatchNorm as at prediction, which is what skltransfer computes
by default: the losses of these two are compared over five steps with one batch. Arithmetic counts a
forward and twice as much backward.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from throughput import MATRIX, gflop_per_image, in_turns, matrix_product, patches, spread

from skltransfer.backbones.architectures import preprocessing_of
from skltransfer.backbones.building import build_model
from skltransfer.backbones.registry import resolve
from skltransfer.backend import backend_name
from skltransfer.frozen.prefix import prefix_part
from skltransfer.network.runtime import network_of
from skltransfer.network.stages import resolve_freeze_depth
from skltransfer.tasks._task import Targets
from skltransfer.tasks.classification import SoftmaxCrossEntropy
from skltransfer.training.choice import train_step_for
from skltransfer.training.head import Head
from skltransfer.training.loop import OptimizerConfig, TrainingData, run_epoch
from skltransfer.training.state import TrainingState
from skltransfer.training.train_step import join

SIZE, BATCHES, BATCH, CLASSES, RATE, EPSILON, STEPS = (224, 224), 8, 32, 10, 1e-4, 1e-7, 5
OURS, PLAIN, SAME = "skltransfer", "Keras, fit", "Keras, BatchNorm as at prediction"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", nargs="+", type=int, default=[-1, -2, -3])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(f"| freeze_depth | ms an image: {OURS} | {PLAIN} | {SAME} | losses differ by |", end="")
    print(" of a matrix product |\n|---|--:|--:|--:|--:|--:|")
    for depth in options.depths:
        report(depth, options.repeats)


def report(depth, repeats):
    network = network_of(resolve("efficientnet_lite0"), SIZE)
    freeze_point = resolve_freeze_depth(depth, network.features, network.stages)
    rng = np.random.default_rng(0)
    frozen = prefix_part(network, None, freeze_point, backend_name())
    x = frozen(patches(BATCHES * BATCH, SIZE).astype(np.float32))
    kernel = rng.normal(0, 0.02, (network.features.steps[-1].shape[-1], CLASSES))
    rows = x, np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, len(x))]
    batch = tuple(array[:BATCH] for array in rows)
    same = epoch_of_a_loop(keras_suffix(network, freeze_point, kernel), *batch)
    ours = our_epoch(network, freeze_point, kernel, *batch)
    losses = [(ours(), same()) for _ in range(STEPS)]
    plain = keras_suffix(network, freeze_point, kernel)
    plain.compile(keras.optimizers.AdamW(RATE), "categorical_crossentropy")
    ways = {
        OURS: our_epoch(network, freeze_point, kernel, *rows),
        PLAIN: lambda: plain.fit(*rows, batch_size=BATCH, verbose=0),
        SAME: epoch_of_a_loop(keras_suffix(network, freeze_point, kernel), *rows),
    }
    seconds = in_turns(ways, repeats)
    # By itself: its threads wait busily for a while, which would slow down whoever comes next.
    product = in_turns({"matrix product": matrix_product()}, repeats)["matrix product"]
    limit = 2 * MATRIX**3 / 1e9 / statistics.median(product)
    rate = 3 * gflop_per_image(plain) * len(x) / statistics.median(seconds[OURS])
    cells = [f"{1e3 * statistics.median(seconds[OURS]) / len(x):.1f}"]
    for way in (PLAIN, SAME):
        ratios = [a / b for a, b in zip(seconds[way], seconds[OURS], strict=True)]
        cells.append(f"{1e3 * statistics.median(seconds[way]) / len(x):.1f}: {spread(ratios)}")
    cells += [f"{max(abs(a - b) / b for a, b in losses):.0e}", f"{rate / limit:.0%}"]
    print(f"| {depth} | {' | '.join(cells)} |", flush=True)


def our_epoch(network, freeze_point, kernel, x, targets):
    """Function that trains on each row once and gives their mean loss, each before its step."""
    n_features = kernel.shape[0]
    head, loss = Head(n_features, (), "relu", CLASSES), SoftmaxCrossEntropy()
    step = train_step_for(network, freeze_point, head, loss, by_batch=False, dropout=False)
    arrays = network.arrays
    params = join([*(arrays[id(v)] for v in step.trained), kernel, np.zeros(CLASSES)])
    fixed = join(arrays[id(v)] for v in step.fixed)
    unscaled = np.stack([np.zeros(n_features), np.ones(n_features)]).astype(np.float32)
    state = TrainingState(params, fixed, unscaled).to_train()
    data = TrainingData(
        lambda positions, epoch: x[positions],
        Targets(targets, np.ones(len(x))),
        np.zeros((len(x), 0)),
    )
    how = OptimizerConfig(BATCH, np.ones_like(params), np.zeros_like(params), 0.0, 0)
    return lambda: run_epoch(step, state, data, how, lambda n_steps: RATE, 0)


def keras_suffix(network, freeze_point, kernel):
    """The network above the freeze point with a linear head, as plain Keras."""
    whole = build_model(network.spec, SIZE)
    if freeze_point is None:
        inputs = keras.Input((*SIZE, 3))
        maps = whole(preprocessing_of(network.spec.preprocessing)(inputs))
    else:
        inputs = whole.get_layer(network.features.steps[freeze_point].name).output
        maps = whole.output
    features = keras.layers.GlobalAveragePooling2D()(maps)
    classifier = keras.layers.Dense(CLASSES, "softmax")
    model = keras.Model(inputs, classifier(features))
    classifier.set_weights([kernel, np.zeros(CLASSES)])
    return model


def epoch_of_a_loop(model, x, targets):
    """As `our_epoch`, with Keras' AdamW in a compiled step."""
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=0.0, global_clipnorm=1.0)
    # Keras adds epsilon before moments are corrected: the same 1e-7 would be a larger one.
    optimizer.epsilon = tf.Variable(EPSILON)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(x, targets):
        with tf.GradientTape() as tape:
            found = model(x, training=False)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(targets, found))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return loss

    def corrected_step(start):
        n_steps = int(optimizer.iterations.numpy()) + 1
        optimizer.epsilon.assign(EPSILON * (1 - optimizer.beta_2**n_steps) ** 0.5)
        return float(step(x[start : start + BATCH], targets[start : start + BATCH]))

    return lambda: statistics.mean(corrected_step(start) for start in range(0, len(x), BATCH))


if __name__ == "__main__":
    main()
