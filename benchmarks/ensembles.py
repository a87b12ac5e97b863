"""Members from one cache by soft voting, and greedy soups of a search's candidates.

Give folders with ``train`` and ``test``, each of them a folder of class folders:

    python benchmarks/ensembles.py votes data/suite/*
    python benchmarks/ensembles.py soups data/suite/trash6 --seeds 0 1 2

`votes` fits heads on frozen features at two sizes and two layers, and averages the probabilities of
pairs. `soups` trains the last stage at several learning rates on three quarters of the training
part; the remaining quarter scores the candidates, and decides which weights are averaged (Wortsman
et al., "Model Soups", 2022).
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import train_test_split

from skltransfer import FineTunedClassifier, images_from_folder

MEMBERS = {
    f"{layer or 'end'} {size}": {"layer": layer, "input_size": (size, size)}
    for layer in (None, "block6d_add")
    for size in (224, 160)
}
RATES = (1e-4, 3e-4, 1e-3, 2e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["votes", "soups"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of soups")
    options = parser.parse_args()
    rows = {}
    for folder in options.folders:
        parts = [images_from_folder(folder / part) for part in ("train", "test")]
        data = [values for part in parts for values in (np.array(part.data, object), part.target)]
        if options.what == "votes":
            rows[folder.name] = votes(*data)
        else:
            rows |= {f"{folder.name} {seed}": soup(*data, seed) for seed in options.seeds}
    models = next(iter(rows.values()))
    rows["mean"] = {model: np.mean([row[model] for row in rows.values()]) for model in models}
    for name, row in rows.items():
        print(f"{name}:", "; ".join(f"{model} {value:.4g}" for model, value in row.items()))


def votes(X, y, X_test, y_test):
    """Return the test accuracy of each member, and of each pair."""
    members = {
        name: FineTunedClassifier(freeze_depth="all", epochs=0, random_state=0, **settings)
        for name, settings in MEMBERS.items()
    }
    pairs = {
        " + ".join(names): VotingClassifier(
            [(name, members[name]) for name in names], voting="soft"
        )
        for names in combinations(members, 2)
    }
    models = members | pairs
    return {name: model.fit(X, y).score(X_test, y_test) for name, model in models.items()}


def soup(X, y, X_test, y_test, seed):
    """Return the test accuracy of the best candidate, of the soup, and of the candidates' vote."""
    X, X_held, y, y_held = train_test_split(X, y, stratify=y, random_state=seed)
    candidates = [
        FineTunedClassifier(freeze_depth=-1, learning_rate=rate, random_state=seed).fit(X, y)
        for rate in RATES
    ]
    candidates.sort(key=lambda one: -one.score(X_held, y_held))
    best = candidates[:1]
    for other in candidates[1:]:
        if mixed([*best, other]).score(X_held, y_held) >= mixed(best).score(X_held, y_held):
            best.append(other)
    probabilities = np.mean([one.predict_proba(X_test) for one in candidates], axis=0)
    return {
        "best candidate": candidates[0].score(X_test, y_test),
        "soup": mixed(best).score(X_test, y_test),
        "vote": float((candidates[0].classes_[probabilities.argmax(axis=1)] == y_test).mean()),
        "in the soup": len(best),
    }


def mixed(classifiers):
    """Return a classifier with the mean of the weights of `classifiers`."""
    found = deepcopy(classifiers[0])
    params = np.mean([one._states[0].params for one in classifiers], axis=0, dtype=np.float64)
    found._states = (replace(found._states[0], params=params.astype(np.float32)),)
    return found


if __name__ == "__main__":
    main()
