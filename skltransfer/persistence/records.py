"""Records: dataclasses of the fitted state, which have names of their own in a file.

Such a name refers to a record that is registered here, never to the path of a class, so that
classes may be renamed and moved. The allowed values of a field follow from its annotation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from skltransfer.persistence.checks import Check, checks_of


@dataclass(frozen=True)
class Record:
    """How a class is written and read.

    Attributes
    ----------
    kind : type
        A dataclass.
    others : mapping of str to callable
        Checks of those fields whose annotations do not say what is allowed.
    fits : callable
        Returns whether the fields are consistent.
    role : str or None
        Role of the record: "encoding", "input" or "task".
    """

    kind: type
    others: Mapping[str, Check] = field(default_factory=dict)
    fits: Callable[[Any], bool] = lambda record: True
    role: str | None = None

    @cached_property
    def checks(self) -> dict[str, Check]:
        """The check of each field, in order."""
        found = {**checks_of(self.kind), **self.others}
        return {each.name: found[each.name] for each in fields(self.kind)}


_records: dict[str, Record] = {}
_names: dict[type, str] = {}


def register_record(name: str, record: Record) -> None:
    """Register a record under a unique name."""
    _records[name] = record
    _names[record.kind] = name


def name_of(kind: type) -> str | None:
    """Return the name of a class's record, if it has one."""
    return _names.get(kind)


def fields_of(value: object) -> dict[str, Any]:
    """Return the values of a record by field name."""
    return {name: getattr(value, name) for name in _records[_names[type(value)]].checks}


def is_record(name: str) -> bool:
    """Return whether a record has this name."""
    return name in _records


def serves_as(role: str) -> Check:
    """Return the check for a record with the given role."""
    return lambda value: type(value) in _names and _records[_names[type(value)]].role == role


def check_record(name: str, values: dict[str, Any]) -> Any:
    """Build the record with this name.

    Raises
    ------
    ValueError
        If the fields differ from those of the record, or if a value is not allowed.
    """
    record = _records[name]
    if tuple(values) != tuple(record.checks):
        raise ValueError(f"its {name} does not consist of {', '.join(record.checks)}.")
    for field_name, check in record.checks.items():
        value = values[field_name]
        if not check(value):
            raise ValueError(f"its {name} has {field_name}={value!r:.60}, which is not allowed.")
    found = record.kind(**values)
    if not record.fits(found):
        raise ValueError(f"its {name} holds arrays of shapes that do not fit together.")
    return found
