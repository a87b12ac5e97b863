"""The textbook recipe beside FineTunedClassifier that trains its last stage, on the same images.

The recipe: base model frozen, Flatten, Dense(128, relu), Dense(k, softmax), Adam, 5 epochs, as
most introductions to transfer learning with Keras have it. Both get the bundled network with its
ImageNet weights; both read the files themselves, and that is timed too.

Usage: ``python benchmarks/textbook.py DATA``, where ``DATA/train`` and ``DATA/validation`` hold a
folder of images for each class.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from skltransfer import FineTunedClassifier, images_from_folder
from skltransfer.backbones.architectures import preprocessing_of
from skltransfer.backbones.building import build_model
from skltransfer.backbones.registry import resolve

SIZE = (224, 224)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the folders train and validation")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    print("| recipe | run | seconds to fit | accuracy |\n|---|--:|--:|--:|")
    for run in range(options.repeats):
        for name, fit_and_score in (("skltransfer, defaults", ours), ("textbook", textbook)):
            seconds, accuracy = fit_and_score(options.data, run)
            print(f"| {name} | {run} | {seconds:.0f} | {accuracy:.4f} |", flush=True)


def ours(data, seed):
    """Seconds to fit, and accuracy on the validation part."""
    train, validation = (images_from_folder(data / part) for part in ("train", "validation"))
    settings = {"freeze_depth": -1, "learning_rate": 3e-4, "label_smoothing": 0.0}
    classifier = FineTunedClassifier(random_state=seed, cache=None, **settings)
    start = time.perf_counter()
    classifier.fit(train.data, train.target)
    seconds = time.perf_counter() - start
    return seconds, classifier.score(validation.data, validation.target)


def textbook(data, seed):
    """The same for the recipe."""
    import keras

    keras.utils.set_random_seed(seed)
    train, validation = (images_of(keras, data / part, part) for part in ("train", "validation"))
    model = textbook_model(keras, len(train.class_names))
    ready, unseen = (d.map(lambda x, y: (prepared(x), y)).prefetch(2) for d in (train, validation))
    start = time.perf_counter()
    model.fit(ready, epochs=5, verbose=0)
    seconds = time.perf_counter() - start
    return seconds, model.evaluate(unseen, verbose=0)[1]


def images_of(keras, folder, part):
    return keras.utils.image_dataset_from_directory(
        folder, image_size=SIZE, batch_size=32, shuffle=part == "train", verbose=False
    )


def prepared(pixels):
    return preprocessing_of(resolve("efficientnet_lite0").preprocessing)(pixels)


def textbook_model(keras, n_classes):
    base = build_model(resolve("efficientnet_lite0"), SIZE)
    base.trainable = False
    model = keras.Sequential(
        [
            base,
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(n_classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    main()
