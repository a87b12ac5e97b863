"""Paths and labels of a folder of class folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skltransfer._warnings import warn_user

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
"""Suffixes of image files, in lower case."""


def images_from_folder(
    root: str | os.PathLike[str], *, categories: Sequence[str] | None = None
) -> Bunch:
    """List the images in class folders, as `sklearn.datasets.load_files` does for texts.

    Folders within a class folder belong to that class. Hidden files and folders (with a leading
    dot) are skipped. No file is opened: an estimator reads them when it needs them.

    Parameters
    ----------
    root : str or path-like
        Folder whose subfolders are the classes. ``~`` is the home directory.
    categories : list of str, default=None
        Names of the class folders to read, numbered in this order; a name without a folder keeps
        its number. None reads all of them, in sorted order. Pass the `target_names` of one folder
        to number the classes of another in the same way, even if it lacks a class.

    Returns
    -------
    Bunch
        With ``data``, the paths, beginning with `root` (1-D object array of str); ``target``, the
        class of each as an index (1-D int array); and ``target_names``, the names of the classes
        (list of str). The rows are sorted by class, and within a class by file name, in the same
        order on every machine. Shuffle or stratify when you split them, as `StratifiedKFold` does.

    Raises
    ------
    ValueError
        If the folder does not exist, or contains no class folders or no images; if `categories` is
        not a list of different names, or none of them has a folder.

    Warns
    -----
    UserWarning
        If files are skipped that are not images or belong to no class; if a class is empty (it
        keeps its number); if the folder seems to be one level too high, because it contains folders
        such as ``train`` and ``test``.

    See Also
    --------
    sklearn.datasets.load_files : The same for texts.

    Examples
    --------
    >>> from skltransfer import images_from_folder
    >>> train = images_from_folder("pets/train")  # doctest: +SKIP
    >>> train.target_names  # doctest: +SKIP
    ['cat', 'dog']
    >>> test = images_from_folder("pets/test", categories=train.target_names)  # doctest: +SKIP
    """
    folder = Path(root).expanduser()
    found = _class_names(folder)
    names = found if categories is None else _chosen_names(folder, found, categories)
    listed = [list(_files_below(folder / name)) if name in found else [] for name in names]
    images = [[path for path in files if _is_image(path)] for files in listed]
    if not any(images):
        raise ValueError(
            f"The class folders of {str(folder)!r} ({', '.join(names)}) hold no images. Files "
            f"count that end in {' '.join(sorted(IMAGE_SUFFIXES))}."
        )
    others = [path for files in listed for path in files if not _is_image(path)]
    empty = [name for name, files in zip(names, images, strict=True) if not files]
    _warn_of_left_out(folder, others, empty)
    if categories is None:
        _warn_of_a_level_too_high(folder, names, images)
    counts = [len(files) for files in images]
    return Bunch(
        data=np.array([str(path) for files in images for path in files], dtype=object),
        target=np.repeat(np.arange(len(names)), counts),
        target_names=names,
    )


def _class_names(folder: Path) -> list[str]:
    """Return the sorted names of the class folders, or raise an error that says why not."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"root={str(folder)!r} {what}. Give a folder of class folders.")
    names = [path.name for path in _visible(folder) if path.is_dir()]
    if not names:
        images = sum(_is_image(path) for path in _visible(folder))
        found = f"{images} images lie in it directly" if images else "it holds no images"
        raise ValueError(
            f"root={str(folder)!r} has no class folders: {found}. Put the images of each class "
            "into a folder of its name, as in root/cat/1.jpg."
        )
    return names


def _chosen_names(folder: Path, found: list[str], categories: Sequence[str]) -> list[str]:
    """Return the requested names, if some have a folder; the error lists the folders."""
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
    return sorted(shown, key=lambda path: path.name)  # Windows paths would be sorted without case


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


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _warn_of_left_out(folder: Path, others: list[Path], empty: list[str]) -> None:
    """Warn once of files that are not images or in no class, and once of empty classes."""
    others = others + [path for path in _visible(folder) if path.is_file()]
    if others:
        warn_user(
            f"{len(others)} files below {str(folder)!r} are left out, because they are not "
            f"images by their ending or lie in no class folder; the first is "
            f"{str(others[0].relative_to(folder))!r}.",
        )
    if empty:
        warn_user(
            f"Class folders without images: {', '.join(empty)}. They keep their numbers in target, "
            "so that target_names is longer than classes_; remove the folders, or leave them out "
            "of categories, to avoid that.",
        )


def _warn_of_a_level_too_high(folder: Path, names: list[str], images: list[list[Path]]) -> None:
    """Warn if folders such as train and test, which share their classes, are read as classes."""
    within: dict[str, set[str]] = {}
    for name, files in zip(names, images, strict=True):
        folders = {path.parent for path in files}
        if folder / name not in folders:
            within[name] = {inner.relative_to(folder / name).parts[0] for inner in folders}
    counts = Counter(chain.from_iterable(within.values()))
    shared = sorted(inner for inner, count in counts.items() if count > 1)
    if len(shared) > 1:  # a single one is a layout such as cat/images, dog/images
        first, second, *_ = (name for name, inner in within.items() if shared[0] in inner)
        warn_user(
            f"{str(folder)!r} looks one level too high: {first!r} and {second!r} are read as "
            f"classes, but hold no images of their own, and both hold a folder {shared[0]!r}. To "
            f"read them one by one: images_from_folder({str(folder / first)!r}). If they are the "
            "classes, list them in categories.",
        )
