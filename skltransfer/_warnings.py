"""Warnings of the package, which point to the line of the user's code that caused them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any, ClassVar, Protocol

_NOT_THE_USER = {"skltransfer", "sklearn", "joblib"}


class UnreadRow(Protocol):
    """The error of a row that cannot be read."""

    noun: ClassVar[str]


class UnreadableRowsWarning(UserWarning):
    """Some rows could not be read, and the call continued without them.

    Estimators warn in this way with ``on_error="nan"``, and ``sounds_from_folder`` with
    ``check=True``.

    Parameters
    ----------
    message : str
        How many rows could not be read, and the error of the first.
    rows : list of int
        Positions of these rows in X or, if a folder was checked, of these files among all its
        files.

    Attributes
    ----------
    rows : list of int
        Positions of these rows in X or, if a folder was checked, of these files among all its
        files.

    See Also
    --------
    UnreadableImagesWarning : The same for images.
    ReadError : Raised instead with ``on_error="raise"``.

    Examples
    --------
    >>> import warnings
    >>> from skltransfer import PretrainedFeatureExtractor, UnreadableRowsWarning
    >>> extractor = PretrainedFeatureExtractor(on_error="nan", input_size=(32, 32)).fit(["1.jpg"])
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     features = extractor.transform(["1.jpg", "2.jpg"])
    >>> isinstance(caught[0].message, UnreadableRowsWarning)
    True
    """

    def __init__(self, message: str, rows: list[int]) -> None:
        super().__init__(message)
        self.rows = rows

    def __reduce__(self) -> tuple[type, tuple[str, list[int]]]:
        """Rebuild with both arguments, so that the warning can be pickled between processes."""
        return type(self), (str(self), self.rows)


class UnreadableImagesWarning(UnreadableRowsWarning):
    """Some images could not be read, and the call continued without them.

    Estimators warn in this way with ``on_error="nan"``, and ``images_from_folder`` with
    ``check=True``.

    Parameters
    ----------
    message : str
        How many images could not be read, and the error of the first.
    rows : list of int
        Positions of these images in X or, if a folder was checked, of these files among all its
        files.

    Attributes
    ----------
    rows : list of int
        Positions of these images in X or, if a folder was checked, of these files among all its
        files.

    See Also
    --------
    UnreadableRowsWarning : The same for rows of any kind.
    ImageReadError : Raised instead with ``on_error="raise"``.

    Examples
    --------
    >>> import warnings
    >>> from skltransfer import PretrainedFeatureExtractor, UnreadableImagesWarning
    >>> extractor = PretrainedFeatureExtractor(on_error="nan", input_size=(32, 32)).fit(["1.jpg"])
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     features = extractor.transform(["1.jpg", "2.jpg"])
    >>> caught[0].message.rows
    [0, 1]
    """


def warn_user(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that called scikit-learn or this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _package(frame) in _NOT_THE_USER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def warn_unreadable(
    failures: Mapping[int, UnreadRow], n_rows: int, lost_classes: Sequence[Any] = ()
) -> None:
    """Warn once for all `failures`, naming the first row that could not be read.

    `lost_classes` are the classes that have no readable row left.
    """
    rows = sorted(failures)
    first = failures[rows[0]]
    lost = f"No {first.noun} of the classes {lost_classes} is left. " if lost_classes else ""
    message = (
        f"{len(rows)} of {n_rows} {first.noun}s could not be read and count as missing; the first: "
        f"{first} {_another_reason(failures)}{lost}The attribute .rows of this warning lists all "
        "of them; on_error='raise' stops at the first."
    )
    category = UnreadableImagesWarning if first.noun == "image" else UnreadableRowsWarning
    warn_user(category(message, rows))


def _another_reason(failures: Mapping[int, UnreadRow]) -> str:
    """Return a sentence on a failure with another reason; "" if all have the same reason."""
    found: dict[str, int] = {}
    for row in sorted(failures):
        found.setdefault(str(failures[row]).partition(" cannot be read as ")[2], row)
    rows = list(found.values())
    return f"For another reason: {failures[rows[1]]} " if rows[1:] else ""


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
