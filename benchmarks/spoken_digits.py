"""Spoken digits by the bundled sound network, beside log-mel baselines, speakers kept apart.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset
    python benchmarks/spoken_digits.py free-spoken-digit-dataset/recordings

3,000 recordings of ten digits by six speakers (CC BY-SA 4.0; nothing of it is in this repository).
Tests are always the recordings 0 to 4 of a speaker and digit, as the data set's authors have it.
The penalty of the logistic regression is chosen by cross-validation on the training part alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor
from skltransfer.backbones.sounds import bundled_spec
from skltransfer.inputs.sounds.sources import SoundSource

N_TEST = 5
N_DRAWS = 5
PENALTIES = [1e-3, 1e-2, 1e-1, 1.0]
TIMES = 24


def recordings(folder):
    """A row for each file: path, digit, speaker, number."""
    rows = []
    for path in sorted(Path(folder).glob("*_*_*.wav")):
        digit, speaker, number = path.stem.split("_")
        rows.append((str(path), int(digit), speaker, int(number)))
    return pd.DataFrame(rows, columns=["path", "digit", "speaker", "number"])


def log_mel_maps(paths):
    """Maps by the front end of the bundled network."""
    rule = bundled_spec().input
    source = SoundSource(list(paths), rule.front_end, rule.min_samples, 60.0, np.arange(len(paths)))
    out = np.empty(len(paths), object)
    source.load(range(len(paths)), (out,))
    return out


def statistics(maps):
    """Mean and deviation of each band."""
    return np.array([np.r_[m.mean(axis=0), m.std(axis=0)] for m in maps])


def flattened(maps):
    """Maps at one number of times, each the mean of a stretch."""
    parts = ([part.mean(axis=0) for part in np.array_split(m, TIMES)] for m in maps)
    return np.array([np.concatenate(list(part)) for part in parts])


def score(features, table, train, test):
    """Accuracy on the test rows of a model chosen on the training rows."""
    digits, speakers = table.digit.to_numpy(), table.speaker.to_numpy()
    n_speakers = len(set(speakers[train]))
    cv = GroupKFold(min(5, n_speakers)) if n_speakers > 1 else StratifiedKFold(5)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(model, {"logisticregression__C": PENALTIES}, cv=cv)
    groups = {"groups": speakers[train]} if n_speakers > 1 else {}
    search.fit(features[train], digits[train], **groups)
    return search.score(features[test], digits[test])


def protocols(table):
    """Names, each with pairs of training and test rows."""
    speakers, numbers = table.speaker.to_numpy(), table.number.to_numpy()
    tests, trains = numbers < N_TEST, numbers >= N_TEST
    yield "official", [(trains, tests)]
    draws = []
    for seed in range(N_DRAWS):
        chosen = np.random.default_rng(seed).choice(np.arange(N_TEST, 50), 2, replace=False)
        draws.append((np.isin(numbers, chosen), tests))
    yield "two clips a speaker and digit", draws
    names = sorted(set(speakers))
    yield (
        "a new speaker",
        [(trains & (speakers != name), tests & (speakers == name)) for name in names],
    )
    yield (
        "one speaker to the others",
        [(trains & (speakers == name), tests & (speakers != name)) for name in names],
    )


def tuned(table, train, test):
    """Accuracy of the fine-tuned network at its default settings."""
    model = FineTunedClassifier("speech_embedding", random_state=0)
    model.fit(table.path[train].tolist(), table.digit[train])
    return model.score(table.path[test].tolist(), table.digit[test])


def told(protocol, kind, scores):
    each = " ".join(f"{value:.3f}" for value in scores)
    print(f"{protocol:30} {kind:20} {np.mean(scores):.3f}   ({each})", flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--tune", action="store_true", help="fine-tune too, at the defaults")
    arguments = parser.parse_args(argv)
    table = recordings(arguments.folder)
    if len(table) != 3000:
        sys.exit(f"{arguments.folder} holds {len(table)} recordings, and 3,000 are expected.")
    begun = time.perf_counter()
    extractor = PretrainedFeatureExtractor("speech_embedding")
    given = {"speech_embedding": extractor.fit_transform(table.path)}
    print(f"features of 3,000 recordings: {time.perf_counter() - begun:.0f} s")
    maps = log_mel_maps(table.path)
    given |= {"log-mel statistics": statistics(maps), "log-mel map": flattened(maps)}
    for name, splits in protocols(table):
        for kind, features in given.items():
            told(name, kind, [score(features, table, *split) for split in splits])
        if arguments.tune:
            scores = [tuned(table, *split) for split in splits]
            told(name, "FineTunedClassifier", scores)


if __name__ == "__main__":
    main()
