"""Paths and labels of a folder of class folders."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
"""Endings of files that count as images, in lower case."""


def images_from_folder(root: str | os.PathLike[str]) -> Bunch:
    """List the images in a folder of class folders, as `sklearn.datasets.load_files` does texts.

    Folders within a class folder belong to that class. Hidden files and folders (with a leading
    dot) are passed over. Nothing is opened: the files are read when an estimator needs them.

    Parameters
    ----------
    root : str or path-like
        Folder whose folders are the classes. ``~`` stands for the home directory.

    Returns
    -------
    Bunch
        With ``data``, the paths, beginning with `root` (1-D object array of str);
        ``target``, the class of each as an index (1-D int array); and ``target_names``, the
        names of the class folders in sorted order (list of str). The order is that of the
        names and the same on every machine.

    Raises
    ------
    ValueError
        When there is no such folder, or it holds no class folders, or no images.

    Warns
    -----
    UserWarning
        When files are left out that are not images or belong to no class, or when a class is
        empty; it keeps its number.

    See Also
    --------
    sklearn.datasets.load_files : The same for texts.

    Examples
    --------
    >>> from skltransfer import images_from_folder
    >>> pets = images_from_folder("pets/train")  # doctest: +SKIP
    >>> pets.target_names  # doctest: +SKIP
    ['cat', 'dog']
    """
    folder = Path(root).expanduser()
    names = _class_names(folder)
    listed = [list(_files_below(folder / name)) for name in names]
    images = [[path for path in files if _is_image(path)] for files in listed]
    if not any(images):
        raise ValueError(
            f"The class folders of {str(folder)!r} ({', '.join(names)}) hold no images. Files "
            f"count that end in {' '.join(sorted(IMAGE_SUFFIXES))}."
        )
    others = [path for files in listed for path in files if not _is_image(path)]
    empty = [name for name, files in zip(names, images, strict=True) if not files]
    _warn_of_left_out(folder, others, empty)
    counts = [len(files) for files in images]
    return Bunch(
        data=np.array([str(path) for files in images for path in files], dtype=object),
        target=np.repeat(np.arange(len(names)), counts),
        target_names=names,
    )


def _class_names(folder: Path) -> list[str]:
    """Return the sorted names of the class folders, or say why there are none."""
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


def _visible(folder: Path) -> list[Path]:
    """Return what a folder holds and does not hide, sorted by name."""
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(shown, key=lambda path: path.name)  # paths of Windows are sorted without case


def _files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files in a folder and its folders, each folder's in the order of names."""
    here = os.path.realpath(folder)
    if here in above:  # a link to a folder above, which would lead in circles
        return
    for path in _visible(folder):
        if path.is_dir():
            yield from _files_below(path, above | {here})
        else:
            yield path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _warn_of_left_out(folder: Path, others: list[Path], empty: list[str]) -> None:
    """Warn once of files that are in no class or no images, and once of empty classes."""
    others = others + [path for path in _visible(folder) if path.is_file()]
    if others:
        warnings.warn(
            f"{len(others)} files below {str(folder)!r} are left out, because they are not "
            f"images by their ending or lie in no class folder; the first is "
            f"{str(others[0].relative_to(folder))!r}.",
            UserWarning,
            stacklevel=3,
        )
    if empty:
        warnings.warn(
            f"Class folders without images: {', '.join(empty)}. They keep their numbers in target, "
            "so that target_names is longer than classes_; remove the folders to avoid that.",
            UserWarning,
            stacklevel=3,
        )
