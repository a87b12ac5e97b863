"""The ways to search that ``grid_search.py`` compares; each runs in a process of its own.

Usage: ``python benchmarks/grid_search_arms.py ARM TASK``, with the task in JSON; results are
printed as JSON. All arms get the same images, folds and candidates, and time includes decoding,
compiling and the final fit on all images, but not the imports. Arms that compute everything
again for each fit run one fold, those of Keras at one learning rate, which does not change the
time of a fit; their time is multiplied accordingly.
"""

import json
import os
import resource
import sys
import time
import warnings
from contextlib import contextmanager
from functools import lru_cache
from itertools import product

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import FineTunedClassifier, FineTunedRegressor, cache_info, images_from_folder
from skltransfer.backbones.architectures import preprocessing_of
from skltransfer.backbones.building import build_model
from skltransfer.backbones.registry import resolve
from skltransfer.frozen.content_digests import ContentDigests
from skltransfer.frozen.frozen_prefix import FrozenPrefix
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.taking import read_images
from skltransfer.network.runtime import network_of
from skltransfer.network.stages import resolve_freeze_depth

SIZE = (224, 224)
BATCH = 32


class Task:
    """Images, folds and candidates."""

    def __init__(self, described):
        self.__dict__.update(described)
        photos = images_from_folder(self.data)
        chosen = np.arange(len(photos.data))
        if self.images < len(chosen):
            chosen, _ = train_test_split(
                chosen, train_size=self.images, stratify=photos.target, random_state=0
            )
        self.paths = [photos.data[i] for i in chosen]
        self.labels = np.asarray(photos.target)[chosen]
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=0)
        self.splits = list(folds.split(self.labels, self.labels))
        self.targets = self.labels.astype(np.float32) if self.numbers else self.labels

    @property
    def candidates(self):
        """All (freeze depth, head, learning rate)."""
        return list(product(self.depths, self.heads, self.rates))

    @property
    def keras_candidates(self):
        """Those that the arms of Keras fit: all at one learning rate."""
        return [candidate for candidate in self.candidates if candidate[2] == self.rates[0]]

    @property
    def grid(self):
        heads = [tuple(head) for head in self.heads]
        return {"freeze_depth": self.depths, "head_units": heads, "learning_rate": self.rates}

    def pixels(self):
        """All images decoded, uint8."""
        source, rule = read_images(self.paths), ImagePreprocessing(SIZE)
        return np.stack([source.load(i, rule).round().astype(np.uint8) for i in range(len(source))])


# skltransfer ----------------------------------------------------------------------------------


def ours(task, n_jobs=None):
    """A search, and the same again with everything in the cache.

    Where layers learn, the second search only starts the heads: it serves to time what surrounds
    the training, which does not depend on the number of epochs.
    """
    first, search = timed(lambda: our_search(task, n_jobs=n_jobs))
    epochs = task.epochs if task.depths == ["all"] else 0
    with time_in_bookkeeping() as spent:
        again, _ = timed(lambda: our_search(task, n_jobs=n_jobs, epochs=epochs))
    rows = sorted(set(cache_info().rows_computed.values()))
    return {
        "seconds": first,
        "score": search.best_score_,
        "again": again,
        "again epochs": epochs,
        "bookkeeping": sum(spent) if n_jobs is None else None,
        "rows through each stretch": rows,
        "MB kept": cache_info().bytes / 1e6,
    }


def ours_two_workers(task):
    return ours(task, n_jobs=2)


def ours_uncached(task):
    fitting, search = timed(lambda: our_search(task, cache=None, cv=task.splits[:1], refit=False))
    best = search.estimator.set_params(**search.best_params_)
    refit, _ = timed(lambda: best.fit(task.paths, task.targets))
    return {
        "seconds": task.folds * fitting + refit,
        "score": search.best_score_,
        "measured": "one fold",
    }


def our_search(task, cache="memory", n_jobs=None, epochs=None, **options):
    kind = FineTunedRegressor if task.numbers else FineTunedClassifier
    estimator = kind(
        epochs=task.epochs if epochs is None else epochs,
        batch_size=BATCH,
        cache=cache,
        random_state=0,
    )
    options = {"cv": task.splits, "n_jobs": n_jobs, "error_score": "raise", **options}
    return GridSearchCV(estimator, task.grid, **options).fit(task.paths, task.targets)


@contextmanager
def time_in_bookkeeping():
    """Collect the seconds spent on digests, look-ups and reading: all that a warm run adds."""
    spent, originals = [], {}
    for owner, name in ((FrozenPrefix, "activations"), (ContentDigests, "complete")):
        originals[owner, name] = method = getattr(owner, name)

        def measured(*arguments, _method=method, **options):
            seconds, result = timed(lambda: _method(*arguments, **options))
            spent.append(seconds)
            return result

        setattr(owner, name, measured)
    yield spent
    for (owner, name), method in originals.items():
        setattr(owner, name, method)


# Others ----------------------------------------------------------------------------------------


def keras_loop(task):
    """Build and fit each candidate, as Keras' guide to transfer learning does."""
    decoding, pixels = timed(task.pixels)
    train, test = task.splits[0]
    scores, fitting = {}, 0.0
    for candidate in task.keras_candidates:
        seconds, model = timed(lambda c=candidate: fitted_model(task, pixels, train, *c))
        scoring, predicted = timed(lambda m=model: m.predict(pixels[test], BATCH, verbose=0))
        fitting += seconds + scoring
        scores[candidate_name(candidate)] = score(task, task.targets[test], predicted)
    best = max(task.keras_candidates, key=lambda c: scores[candidate_name(c)])
    refit, _ = timed(lambda: fitted_model(task, pixels, np.arange(len(pixels)), *best))
    return {
        "seconds": decoding + task.folds * len(task.rates) * fitting + refit,
        "score": max(scores.values()),
        "measured": "one fold and rate",
    }


def keras_wrapper(task):
    """Keras' own wrapper in a GridSearchCV.

    The fixes without which it does not run: images as flattened rows, which the model folds
    back; a function that builds the model, since a given model loses its weights; settings of fit
    handed to the search, since clones lose them.
    """
    decoding, pixels = timed(task.pixels)
    rows = pixels.reshape(len(pixels), -1)
    wrapped = keras.wrappers.SKLearnClassifier(model=wrapped_model, model_kwargs={})
    grid = {"model_kwargs": [{"candidate": candidate} for candidate in task.keras_candidates]}
    search = GridSearchCV(wrapped, grid, cv=task.splits[:1], refit=False, error_score="raise")
    options = {"epochs": task.epochs, "batch_size": BATCH, "verbose": 0}
    fitting, _ = timed(lambda: search.fit(rows, task.labels, **options))
    best = wrapped.set_params(**search.best_params_)
    refit, _ = timed(lambda: best.fit(rows, task.labels, **options))
    return {
        "seconds": decoding + task.folds * len(task.rates) * fitting + refit,
        "score": float(search.best_score_),
        "measured": "one fold and rate",
    }


def by_hand(task):
    """Extract features once with Keras, then search heads with scikit-learn."""
    decoding, pixels = timed(task.pixels)
    inputs, features = backbone()
    extracting, rows = timed(
        lambda: keras.Model(inputs, features).predict(pixels, batch_size=BATCH, verbose=0)
    )
    head = MLPClassifier(max_iter=task.epochs, batch_size=BATCH, random_state=0)
    grid = {
        "mlpclassifier__hidden_layer_sizes": [tuple(head) for head in task.heads],
        "mlpclassifier__learning_rate_init": task.rates,
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), head), grid, cv=task.splits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so few epochs are what was asked for
        searching, _ = timed(lambda: search.fit(rows, task.labels))
    return {
        "seconds": decoding + extracting + searching,
        "score": search.best_score_,
        "extracting": decoding + extracting,
    }


def backbone():
    """Input and pooled features of the bundled network as plain Keras, preprocessing inside."""
    spec = resolve("efficientnet_lite0")
    network = build_model(spec, SIZE)
    network.set_weights(spec.weights)
    inputs = keras.Input((*SIZE, 3))
    features = network(preprocessing_of(spec.preprocessing)(keras.ops.cast(inputs, "float32")))
    return inputs, keras.layers.GlobalAveragePooling2D()(features)


def score(task, targets, predicted):
    """R² or accuracy."""
    return r2_score(targets, predicted) if task.numbers else np.mean(predicted.argmax(1) == targets)


def fitted_model(task, pixels, rows, depth, head, rate):
    loss = "mean_squared_error" if task.numbers else "sparse_categorical_crossentropy"
    model = keras_model(depth, head, rate, 1 if task.numbers else task.classes, loss)
    model.fit(pixels[rows], task.targets[rows], BATCH, task.epochs, verbose=0)
    return model


def wrapped_model(X, y, candidate):
    """Model for Keras' wrapper, which gives rows and one column a class."""
    model = keras_model(*candidate, y.shape[1], "categorical_crossentropy")
    rows = keras.Input((X.shape[1],))
    images = keras.layers.Reshape((*SIZE, 3))(rows)
    whole = keras.Model(rows, model(images))
    whole.compile(model.optimizer, "categorical_crossentropy")
    return whole


def keras_model(depth, head, rate, n_outputs, loss):
    """The network frozen up to `depth`, and a head; BatchNorm of frozen layers stays as it is."""
    keras.backend.clear_session()
    inputs, x = backbone()
    features = keras.Model(inputs, x)
    freeze(features, depth)
    for width in head:
        x = keras.layers.Dense(width, "relu")(x)
    activation = None if loss == "mean_squared_error" else "softmax"
    model = keras.Model(inputs, keras.layers.Dense(n_outputs, activation)(x))
    model.compile(keras.optimizers.AdamW(rate), loss)
    return model


def freeze(features, depth):
    """Freeze the layers that skltransfer freezes at this depth."""
    (network,) = (layer for layer in features.layers if hasattr(layer, "layers"))
    for layer in network.layers:
        layer.trainable = layer.name not in frozen_layers(depth)


@lru_cache
def frozen_layers(depth):
    network = network_of(resolve("efficientnet_lite0"), SIZE)
    freeze_point = resolve_freeze_depth(depth, network.features, network.stages)
    n_frozen = 0 if freeze_point is None else freeze_point + 1
    return {step.name for step in network.features.steps[:n_frozen]}


def candidate_name(candidate):
    return json.dumps(candidate)


def timed(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


ARMS = {
    "ours": ours,
    "ours_uncached": ours_uncached,
    "ours_two_workers": ours_two_workers,
    "keras_loop": keras_loop,
    "keras_wrapper": keras_wrapper,
    "by_hand": by_hand,
}


def main(arm, described):
    task = Task(json.loads(described))
    task.classes = int(task.labels.max()) + 1
    if arm == "units":
        from grid_search_units import units

        result = units(task)
    else:
        result = ARMS[arm](task)
    peak = max(resource.getrusage(who).ru_maxrss for who in (0, resource.RUSAGE_CHILDREN))
    result["peak MB"] = peak / 1e3
    print(json.dumps(result, default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
