"""The files of a folder of class folders, as `files_by_class` returns them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

_MOST_CLASSES_SHOWN = 20


class LabelledFiles(Bunch):
    """Paths and labels; the repr says how many files each class has.

    Parameters
    ----------
    **content : object
        Keys and their values, among them ``noun``, ``target``, ``target_names``, ``in_subfolders``
        and ``unreadable``, which the repr needs.
    """

    def __repr__(self) -> str:
        """Return a line for each class instead of all paths."""
        counts = self._counts()
        files = number_of(len(self["target"]), self["noun"].removesuffix("s"))
        lines = [f"{files} in {number_of(len(counts), 'class', 'classes')}"]
        width = max(map(len, counts), default=0)
        shown = list(counts.items())[:_MOST_CLASSES_SHOWN]
        lines += [f"  {name:<{width}}  {count:,}" for name, count in shown]
        if len(counts) > len(shown):
            lines.append(f"  … and {len(counts) - len(shown)} more")
        nested, unreadable = self["in_subfolders"], self["unreadable"]
        if nested:
            lines.append(f"of these in folders within a class folder: {counted(nested)}")
        if unreadable:
            lines.append(f"left out, because they cannot be read: {len(unreadable):,}")
        return "\n".join(lines)

    def _counts(self) -> dict[str, int]:
        """Return the number of files of each class."""
        names, target = self["target_names"], self["target"]
        numbers = target if target.dtype.kind == "i" else _numbers(names, target)
        counts = np.bincount(numbers, minlength=len(names))
        return {name: int(count) for name, count in zip(names, counts, strict=True)}


def number_of(count: int, one: str, many: str = "") -> str:
    """Return a number and what it counts, as in "1 file" and "2 files"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def counted(counts: dict[str, int]) -> str:
    """Return classes with their numbers of files, as in "cat 3, dog 1"."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _numbers(names: list[str], target: Any) -> list[int]:
    number_of = {name: number for number, name in enumerate(names)}
    return [number_of[name] for name in target]
