"""Paths and labels of the files in a folder of class folders, whatever kind of files these are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from sklearn.utils import check_random_state

from skltransfer._warnings import UnreadableRowsWarning, warn_user
from skltransfer.inputs.file_checks import unreadable_files
from skltransfer.inputs.labelled_files import LabelledFiles, counted, number_of

Labels: TypeAlias = Literal["numbers", "names"]
_LABELS = ("numbers", "names")


@dataclass(frozen=True)
class FileKind:
    """Files of one kind, and what messages call them.

    Attributes
    ----------
    noun : str
        Name of the files in the plural, such as "images".
    suffixes : frozenset of str
        Endings of such files, in lower case.
    function : str
        The public function that lists them.
    example : str
        The name of such a file.
    check : callable
        Raises ReadError if the file at a path cannot be read.
    warning : type, default=UnreadableRowsWarning
        The class of the warning about files that cannot be read.
    """

    noun: str
    suffixes: frozenset[str]
    function: str
    example: str
    check: Callable[[str], None]
    warning: type[UnreadableRowsWarning] = UnreadableRowsWarning

    def counts(self, path: Path) -> bool:
        """Whether a file is of this kind by its ending."""
        return path.suffix.lower() in self.suffixes

    def number(self, count: int) -> str:
        """Return how many files of this kind there are, as in "1 image"."""
        return number_of(count, self.noun.removesuffix("s"))


@dataclass(frozen=True)
class Wanted:
    """The parameters of `images_from_folder` other than the folder and its classes."""

    check: bool
    shuffle: bool
    random_state: int | np.random.RandomState | None
    labels: Labels
    n_jobs: int | None
    verbose: int

    def __post_init__(self) -> None:
        if self.labels not in _LABELS:
            raise ValueError(
                f"labels={self.labels!r} is not allowed: give 'numbers', for indices into "
                "target_names, or 'names', for the names of the class folders."
            )


def files_by_class(
    root: str | os.PathLike[str], categories: Sequence[str] | None, kind: FileKind, wanted: Wanted
) -> LabelledFiles:
    """List the files of a kind in a folder of class folders; see `images_from_folder`."""
    folder = Path(root).expanduser()
    names, chosen = _files_of_classes(folder, categories, kind)
    paths = np.array([str(path) for files in chosen for path in files], dtype=object)
    target = np.repeat(np.arange(len(names)), [len(files) for files in chosen])
    unreadable: dict[str, str] = {}
    if wanted.check:
        unreadable = unreadable_files(paths, kind.check, kind.noun, wanted.n_jobs, wanted.verbose)
    is_read = np.array([path not in unreadable for path in paths])
    rows = np.flatnonzero(is_read)
    if unreadable:
        lost = [names[number] for number in np.setdiff1d(target, target[rows])]
        _warn_of_unreadable(unreadable, np.flatnonzero(~is_read).tolist(), len(paths), lost, kind)
    nested = _nested(folder, names, chosen, unreadable)
    if wanted.check:
        _warn_of_nested(folder, nested, kind)
    if wanted.shuffle:
        check_random_state(wanted.random_state).shuffle(rows)
    labels = target if wanted.labels == "numbers" else np.array(names, dtype=object)[target]
    return LabelledFiles(
        data=paths[rows],
        target=labels[rows],
        target_names=names,
        unreadable=unreadable,
        in_subfolders=nested,
        noun=kind.noun,
    )


def _files_of_classes(
    folder: Path, categories: Sequence[str] | None, kind: FileKind
) -> tuple[list[str], list[list[Path]]]:
    """Return the names of the classes and the files of each; warn of what is left out."""
    found = _class_names(folder, kind)
    names = found if categories is None else _chosen_names(folder, found, categories)
    listed = [list(_files_below(folder / name)) if name in found else [] for name in names]
    chosen = [[path for path in files if kind.counts(path)] for files in listed]
    if not any(chosen):
        raise ValueError(
            f"The class folders of {str(folder)!r} ({', '.join(names)}) hold no {kind.noun}. Only "
            f"files that end in one of these count: {' '.join(sorted(kind.suffixes))}."
        )
    others = [path for files in listed for path in files if not kind.counts(path)]
    empty = [name for name, files in zip(names, chosen, strict=True) if not files]
    _warn_of_left_out(folder, kind, others, empty)
    if categories is None:
        _warn_of_a_level_too_high(folder, kind, names, chosen)
    return names, chosen


def _class_names(folder: Path, kind: FileKind) -> list[str]:
    """Return the sorted names of the class folders; if there are none, the error says why."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"root={str(folder)!r} {what}. Give a folder of class folders.")
    names = [path.name for path in _visible(folder) if path.is_dir()]
    if not names:
        here = sum(map(kind.counts, _visible(folder)))
        found = f"it holds {kind.number(here)} directly" if here else f"it holds no {kind.noun}"
        raise ValueError(
            f"root={str(folder)!r} has no class folders: {found}. Put the {kind.noun} of each "
            f"class into a folder of its name, as in root/cat/{kind.example}."
        )
    return names


def _chosen_names(folder: Path, found: list[str], categories: Sequence[str]) -> list[str]:
    """Return the requested names; refuse them if one is repeated or none has a folder."""
    chosen = [] if isinstance(categories, str) else [str(name) for name in categories]
    if len(set(chosen)) < len(chosen) or not set(chosen) & set(found):
        raise ValueError(
            f"categories={categories!r} is not allowed: give a list of different names of class "
            f"folders. Those in {str(folder)!r} are {', '.join(found)}."
        )
    return chosen


def _visible(folder: Path) -> list[Path]:
    """Return the visible content of a folder, sorted by name."""
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(shown, key=lambda path: path.name)  # Windows paths are compared without case


def _files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, each sorted by name."""
    here = os.path.realpath(folder)
    if here in above:  # a link to a folder above would cause a cycle
        return
    for path in _visible(folder):
        if path.is_dir():
            yield from _files_below(path, above | {here})
        else:
            yield path


def _warn_of_left_out(folder: Path, kind: FileKind, others: list[Path], empty: list[str]) -> None:
    """Warn once of files that are of another kind or in no class, and once of empty classes."""
    others = others + [path for path in _visible(folder) if path.is_file()]
    if others:
        warn_user(
            f"{kind.function} leaves out {number_of(len(others), 'file')} below {str(folder)!r}; "
            f"the first is {str(others[0].relative_to(folder))!r}. A file counts only if it is in "
            f"a class folder and has an ending that {kind.noun} have."
        )
    if empty:
        warn_user(
            f"Class folders without {kind.noun}: {', '.join(empty)}. They keep their numbers in "
            "target, so that target_names is longer than classes_; remove the folders, or leave "
            "them out of categories, to avoid that.",
        )


def _nested(
    folder: Path, names: list[str], chosen: list[list[Path]], left_out: Container[str]
) -> dict[str, int]:
    """Return how many files lie in subfolders of a class folder, for classes that have any."""
    counts = {
        name: sum(path.parent != folder / name and str(path) not in left_out for path in files)
        for name, files in zip(names, chosen, strict=True)
    }
    return {name: count for name, count in counts.items() if count}


def _warn_of_nested(folder: Path, nested: dict[str, int], kind: FileKind) -> None:
    if nested:
        warn_user(
            f"Below {str(folder)!r}, folders within class folders hold "
            f"{kind.number(sum(nested.values()))}: {counted(nested)}. Files in such inner "
            "folders belong to the class of the outer folder. If the inner folders are classes of "
            "their own, move them up to the other class folders."
        )


def _warn_of_unreadable(
    unreadable: dict[str, str], rows: list[int], n_files: int, lost: list[str], kind: FileKind
) -> None:
    """Warn once of files that cannot be read; raise an error if none can."""
    path, reason = next(iter(unreadable.items()))
    first = f"the first is {path!r}: {reason}"
    if len(unreadable) == n_files:
        raise ValueError(f"Of {kind.number(n_files)}, none can be read; {first}")
    classes = f"Classes without a readable file: {', '.join(lost)}. " if lost else ""
    message = (
        f"check=True leaves out {len(unreadable):,} of {kind.number(n_files)} as unreadable; "
        f"{first} {classes}The attribute unreadable of the result lists all of them with the "
        "reasons."
    )
    warn_user(kind.warning(message, rows))


def _warn_of_a_level_too_high(
    folder: Path, kind: FileKind, names: list[str], chosen: list[list[Path]]
) -> None:
    """Warn if folders such as train and test, which share their classes, are read as classes."""
    within: dict[str, set[str]] = {}
    for name, files in zip(names, chosen, strict=True):
        folders = {path.parent for path in files}
        if folder / name not in folders:
            within[name] = {inner.relative_to(folder / name).parts[0] for inner in folders}
    counts = Counter(chain.from_iterable(within.values()))
    shared = sorted(inner for inner, count in counts.items() if count > 1)
    if len(shared) > 1:  # one name is a layout such as cat/images, dog/images
        first, second, *_ = (name for name, inner in within.items() if shared[0] in inner)
        warn_user(
            f"{str(folder)!r} looks one level too high: {first!r} and {second!r} are read as "
            f"classes, but hold no {kind.noun} of their own, and both hold a folder "
            f"{shared[0]!r}. To read them one by one: {kind.function}({str(folder / first)!r}). If "
            "they are the classes, list them in categories.",
        )
