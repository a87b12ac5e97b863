"""Paths and labels of a folder of class folders that hold images."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from sklearn.utils import Bunch

from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.inputs.folders import FileKind, Labels, Wanted, files_by_class

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
"""Suffixes of image files, in lower case."""


def _check(path: str) -> None:
    """Raise ReadError if a file cannot be read; the decoder is imported only when it is needed."""
    from skltransfer.inputs.images.file_check import check_image_file

    check_image_file(path)


_IMAGES = FileKind(
    "images", IMAGE_SUFFIXES, "images_from_folder", "1.jpg", _check, UnreadableImagesWarning
)


def images_from_folder(
    root: str | os.PathLike[str],
    *,
    categories: Sequence[str] | None = None,
    check: bool = False,
    shuffle: bool = False,
    random_state: int | np.random.RandomState | None = 0,
    labels: Labels = "numbers",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch:
    """List the images in class folders, as `sklearn.datasets.load_files` does for texts.

    Folders within a class folder belong to that class. Hidden files and folders (with a leading
    dot) are skipped. This function does not read the files; an estimator reads them when it needs
    them. With ``check=True``, however, this function opens the files and leaves out those that
    cannot be read.

    Parameters
    ----------
    root : str or path-like
        Folder whose subfolders are the classes. ``~`` is the home directory.
    categories : list of str, default=None
        Names of the class folders to read. The classes are numbered in this order; a name without a
        folder keeps its number. None reads all class folders, in sorted order. To number the
        classes of a second folder in the same way as those of the first, pass the `target_names` of
        the first. This works even if the second folder lacks a class.
    check : bool, default=False
        Whether to open the files and leave out those that cannot be read. For a JPEG or PNG, only
        the header and the last bytes are read, because an interrupted copy lacks the last bytes. If
        the last bytes are unusual, or if the file has another format, the file is decoded. A
        warning says how many files are left out and why, and ``unreadable`` lists them. With False,
        no file is opened.
    shuffle : bool, default=False
        Whether to shuffle the rows, as `sklearn.datasets.load_files` does by default.
    random_state : int, RandomState instance or None, default=0
        Determines the order of shuffled rows.
    labels : {"numbers", "names"}, default="numbers"
        What ``target`` holds: indices into ``target_names``, or the names themselves (str), which a
        classifier then predicts.
    n_jobs : int, default=None
        Number of threads that check files; None and -1 use one for each core.
    verbose : int, default=0
        1 or more shows a progress bar while files are checked.

    Returns
    -------
    Bunch
        ``data`` holds the paths, which begin with `root` (1-D object array of str). ``target``
        holds the class of each path, as an index (1-D int array) or a name (1-D object array of
        str). ``target_names`` lists the names of the classes. ``unreadable`` is a dict that maps
        the path of each file that `check` left out to the reason. ``in_subfolders`` is a dict that
        maps the name of a class to the number of its images in subfolders of its folder. The repr
        counts the images of each class. Unless you shuffle them, the rows are sorted by class and
        then by file name, in the same order on every machine. When you split sorted rows, shuffle
        or stratify them, as `StratifiedKFold` does.

    Raises
    ------
    ValueError
        If the folder does not exist, or contains no class folders or no images; if `categories` is
        not a list of different names, or if none of these names has a folder; if `labels` is not
        allowed; if none of the checked files can be read.

    Warns
    -----
    UserWarning
        If files are skipped because they are not images or belong to no class; if a class is empty
        (it keeps its number); if the folder seems to be one level too high, because it contains
        folders such as ``train`` and ``test``; with ``check=True``, also if files lie in folders
        within a class folder.
    UnreadableImagesWarning
        With ``check=True``, if files cannot be read. The ``rows`` of the warning are the positions
        of these files among all images of the folder.

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
    wanted = Wanted(check, shuffle, random_state, labels, n_jobs, verbose)
    return files_by_class(root, categories, _IMAGES, wanted)
