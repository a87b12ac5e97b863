"""Paths and labels of a folder of class folders that hold sounds."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from sklearn.utils import Bunch

from skltransfer.inputs.folders import FileKind, Labels, Wanted, files_by_class

SOUND_SUFFIXES = frozenset(
    (".aif", ".aifc", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wave")
)
"""Suffixes of sound files, in lower case."""


def _check(path: str) -> None:
    """Raise ReadError if a file cannot be read; the decoder is imported only when it is needed."""
    from skltransfer.inputs.sounds.file_check import check_sound_file

    check_sound_file(path)


_SOUNDS = FileKind("sounds", SOUND_SUFFIXES, "sounds_from_folder", "1.wav", _check)


def sounds_from_folder(
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
    """List the sounds in class folders, as `images_from_folder` does for images.

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
        Whether to open the files and leave out those that cannot be read. The header is read and
        the first tenth of a second is decoded, which needs the package soundfile. A warning says
        how many files are left out and why, and ``unreadable`` lists them. With False, no file is
        opened.
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
        maps the name of a class to the number of its sounds in subfolders of its folder. The repr
        counts the sounds of each class. Unless you shuffle them, the rows are sorted by class and
        then by file name, in the same order on every machine. When you split sorted rows, shuffle
        or stratify them, as `StratifiedKFold` does.

    Raises
    ------
    ValueError
        If the folder does not exist, or contains no class folders or no sounds; if `categories` is
        not a list of different names, or if none of these names has a folder; if `labels` is not
        allowed; if none of the checked files can be read.
    ImportError
        With ``check=True``, if soundfile is not installed.

    Warns
    -----
    UserWarning
        If files are skipped because they are not sounds or belong to no class; if a class is empty
        (it keeps its number); if the folder seems to be one level too high, because it contains
        folders such as ``train`` and ``test``; with ``check=True``, also if files lie in folders
        within a class folder.
    UnreadableRowsWarning
        With ``check=True``, if files cannot be read. The ``rows`` of the warning are the positions
        of these files among all sounds of the folder.

    See Also
    --------
    images_from_folder : The same for images.

    Examples
    --------
    >>> from skltransfer import sounds_from_folder
    >>> train = sounds_from_folder("commands/train")  # doctest: +SKIP
    >>> train.target_names  # doctest: +SKIP
    ['left', 'right', 'stop']
    """
    wanted = Wanted(check, shuffle, random_state, labels, n_jobs, verbose)
    return files_by_class(root, categories, _SOUNDS, wanted)
