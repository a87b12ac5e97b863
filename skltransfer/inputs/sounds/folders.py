"""Paths and labels of a folder of class folders that hold sounds."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sklearn.utils import Bunch

from skltransfer.inputs.folders import FileKind, files_by_class

SOUND_SUFFIXES = frozenset(
    (".aif", ".aifc", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wave")
)
"""Suffixes of sound files, in lower case."""

_SOUNDS = FileKind("sounds", SOUND_SUFFIXES, "sounds_from_folder", "1.wav")


def sounds_from_folder(
    root: str | os.PathLike[str], *, categories: Sequence[str] | None = None
) -> Bunch:
    """List the sounds in class folders, as `images_from_folder` does for images.

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
        If the folder does not exist, or contains no class folders or no sounds; if `categories` is
        not a list of different names, or none of them has a folder.

    Warns
    -----
    UserWarning
        If files are skipped that are not sounds or belong to no class; if a class is empty (it
        keeps its number); if the folder seems to be one level too high, because it contains folders
        such as ``train`` and ``test``.

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
    return files_by_class(root, categories, _SOUNDS)
