"""Records: the plain data of the fitted state, under names of their own in a file.

A name in a file means a record that is registered here, and never the path of a class, so that
classes may be renamed and moved. What a field may hold follows from its annotation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from skltransfer.persistence.checks import Check, checks_of


@dataclass(frozen=True)
class Record:
    """How one class is written and read.

    Attributes
    ----------
    kind : type
        A dataclass.
    others : mapping of str to callable
        What fields may hold whose annotations do not say it.
    fits : callable
        Whether the fields fit together.
    role : str or None
        What it serves as: "encoding", "input" or "task".
    """

    kind: type
    others: Mapping[str, Check] = field(default_factory=dict)
    fits: Callable[[Any], bool] = lambda record: True
    role: str | None = None

    @cached_property
    def checks(self) -> dict[str, Check]:
        """For each field, in order, what it may hold."""
        found = {**checks_of(self.kind), **self.others}
        return {each.name: found[each.name] for each in fields(self.kind)}


_records: dict[str, Record] = {}
_names: dict[type, str] = {}


def register_record(name: str, record: Record) -> None:
    """Add a record under a name that no other has."""
    _records[name] = record
    _names[record.kind] = name


def name_of(kind: type) -> str | None:
    """The name of a class's record, if it has one."""
    return _names.get(kind)


def fields_of(value: object) -> dict[str, Any]:
    """What a record holds, by the names of its fields."""
    return {name: getattr(value, name) for name in _records[_names[type(value)]].checks}


def is_record(name: str) -> bool:
    """Whether a record has the name."""
    return name in _records


def serves_as(role: str) -> Check:
    """Check for a record that serves as something."""
    return lambda value: type(value) in _names and _records[_names[type(value)]].role == role


def check_record(name: str, values: dict[str, Any]) -> Any:
    """The record of a name.

    Raises
    ------
    ValueError
        When it has other fields than the record, or a field holds what it cannot.
    """
    record = _records[name]
    if tuple(values) != tuple(record.checks):
        raise ValueError(f"its {name} does not consist of {', '.join(record.checks)}.")
    for field_name, check in record.checks.items():
        value = values[field_name]
        if not check(value):
            raise ValueError(f"its {name} has {field_name}={value!r:.60}, which cannot be.")
    found = record.kind(**values)
    if not record.fits(found):
        raise ValueError(f"its {name} holds arrays of shapes that do not fit together.")
    return found
