"""The sets of images that ``defaults.py`` measures on, and their splits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from skltransfer import images_from_folder

FEW = (60, 300)
JUDGED = 600
"""Images at most to judge by, where a set has thousands."""


@dataclass(frozen=True)
class Case:
    """One set of images.

    Attributes
    ----------
    name : str
        What it is called in the table.
    X : ndarray
        Paths, images or rows.
    y : ndarray of int
        Classes as numbers.
    n_given : int or None
        The first rows, which are the given training part. None: parts are drawn.
    groups : ndarray or None
        What stays on one side of a split.
    n_train : int or None
        How many rows to train on where parts are drawn.
    settings : dict
        Parameters that say how X is read.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    n_given: int | None = None
    groups: np.ndarray | None = None
    n_train: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def split(self, kind: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions to train on and to judge by."""
        if self.n_train is not None:
            return self._drawn(kind, number)
        rows = np.arange(len(self.y))
        if kind == "given":
            return rows[: self.n_given], rows[self.n_given :]
        n_parts, rows = (2, rows) if kind == "repeated" else (3, rows[: self.n_given])
        groups = rows if self.groups is None else self.groups[rows]
        splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=number)
        train, test = next(splitter.split(rows, self.y[rows], groups))
        return rows[train], rows[test]

    def _drawn(self, kind: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A part drawn from the training part, and the rest or the given test part."""
        rows, seed = np.arange(len(self.y)), number
        pool = rows if self.n_given is None else rows[: self.n_given]
        n_test = min(len(pool) - self.n_train, JUDGED)
        parts = {"train_size": self.n_train, "test_size": n_test, "random_state": seed}
        train, test = train_test_split(pool, stratify=self.y[pool], **parts)
        is_given = kind == "given" and self.n_given is not None
        return train, rows[self.n_given :] if is_given else test


def suite_sets(folder: Path) -> list[Case]:
    """One case for each folder that holds the folders train and test."""
    return [suite_set(path.parent) for path in sorted(folder.glob("*/train"))]


def suite_set(folder: Path) -> Case:
    paths, labels, n_given = both_parts(folder / "train", folder / "test")
    group_of = GROUPS.get(folder.name)
    groups = None if group_of is None else group_of(paths)
    return Case(folder.name, paths, labels, n_given, groups)


def clothing_sets(folder: Path) -> list[Case]:
    """Photographs of clothes: 60 and 300 of them, and all."""
    paths, labels, n_given = both_parts(folder / "train", folder / "validation")
    few = [Case(f"clothing {n}", paths, labels, n_given, n_train=n) for n in FEW]
    return [*few, Case("clothing", paths, labels, n_given)]


def solar_cell_sets() -> list[Case]:
    """Solar cells, defective or not: 60 and 300 of them, and three quarters."""
    from elpv_dataset.utils import load_dataset

    cells, probabilities, _ = load_dataset()
    defective = (probabilities > 0.5).astype(int)
    sizes = {f"cells {n}": n for n in FEW} | {"cells": len(cells) * 3 // 4}
    return [Case(name, cells, defective, n_train=n) for name, n in sizes.items()]


def digit_sets() -> list[Case]:
    """Digits of 8 x 8 pixels: 60 and 300 of them, as images and as rows of numbers."""
    rows, digit = load_digits(return_X_y=True)
    pixels = rows.reshape(-1, 8, 8).astype(np.uint8) * 15
    kinds = {"digits": pixels, "digit rows": rows}
    return [Case(f"{name} {n}", X, digit, n_train=n) for name, X in kinds.items() for n in FEW]


def both_parts(train: Path, test: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Paths and numbers of classes of both parts, and the number of the first."""
    parts = [images_from_folder(train), images_from_folder(test)]
    paths = np.array([str(path) for part in parts for path in part.data], dtype=object)
    names = parts[0].target_names
    labels = np.concatenate([part.target for part in parts])
    codes = labels if labels.dtype.kind == "i" else np.searchsorted(names, labels)
    return paths, codes, len(parts[0].data)


# What belongs together, by the names of files ----------------------------------------------


def number_in(path: str) -> int:
    return int(re.findall(r"\d+", Path(path).stem)[0])


def runs_within_class(paths: np.ndarray) -> np.ndarray:
    """Runs of 15 consecutive numbers of a class: photographs of one object."""
    names = [f"{Path(path).parent.name} {(number_in(path) - 1) // 15}" for path in paths]
    return np.unique(names, return_inverse=True)[1]


def stretches_of_film(paths: np.ndarray) -> np.ndarray:
    """Frames of a film, cut where more than 150 are missing."""
    frames = np.array([number_in(path) for path in paths])
    numbers = np.unique(frames)
    stretch = np.cumsum(np.diff(numbers, prepend=numbers[0]) > 150)
    return stretch[np.searchsorted(numbers, frames)]


def blocks_of_numbers(paths: np.ndarray) -> np.ndarray:
    """Blocks of 40 consecutive numbers of a camera: one student's hands."""
    return np.array([number_in(path) // 40 for path in paths])


def last_numbers(paths: np.ndarray) -> np.ndarray:
    """The number behind the underscore: who drew it."""
    return np.array([int(Path(path).stem.rsplit("_", 1)[1]) for path in paths])


GROUPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "trash6": runs_within_class,
    "pollen2": stretches_of_film,
    "signdigits10": blocks_of_numbers,
    "greek24": last_numbers,
}
